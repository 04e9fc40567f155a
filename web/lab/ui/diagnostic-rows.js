/**
 * Flattens a diagnostics document into groups of named values in words. The unit is read from
 * the name (`decode_ms_p50`, `peak_bytes`, `tokens_per_s`). Long lists are counted, not shown.
 */
import { bytesText, durationText, rateText, wholeText } from "./quantity.js";

/** A number's words by the unit in its name; the first match wins. */
const UNITS = [
  [/_per_s(_|$)/, (value, name) => rateText(value, ratedNoun(name))],
  [/(^|_)bytes(_|$)/, (value) => bytesText(value)],
  [/(^|_)ms(_|$)/, (value) => durationText(value)],
  [/(^|_)watts$/, (value) => `${value} W`],
  [/(^|_)joules_/, (value) => `${Number(value.toPrecision(3))} J`],
  [/(^|_)n(_|$)|_len$/, (value) => wholeText(value)],
];

/** "decode_tokens_per_s" → "tokens". */
function ratedNoun(name) {
  return name.split("_per_s")[0].replace(/.*_/, "");
}

/** `[[group, [[name, words], …]], …]` of a document; nested objects become groups of their own. */
export function diagnosticRows(document) {
  const groups = [];
  collect(groups, "general", document);
  return groups.filter(([, rows]) => rows.length > 0);
}

function collect(groups, group, object) {
  const rows = [];
  groups.push([group, rows]);
  for (const [name, value] of Object.entries(object)) {
    if (value !== null && typeof value === "object" && !Array.isArray(value)) {
      collect(groups, group === "general" ? name : `${group} · ${name}`, value);
    } else if (value !== null) {
      rows.push([nameWords(name), valueWords(name, value)]);
    }
  }
}

/** "decode_ms_p50" → "decode p50": the unit is told by the value. */
function nameWords(name) {
  const bare = name.replace(/_per_s/, "").replace(/_(ms|bytes)(?=_|$)/, "");
  const words = bare.replace(/([a-z])([A-Z])/g, "$1 $2").replaceAll("_", " ").toLowerCase();
  return words.replace(/^n /, "number of ");
}

function valueWords(name, value) {
  // Warnings are named, one kind each.
  if (value[0]?.count) return value.map((one) => `${nameWords(one.kind)}: ${one.count}`).join();
  if (Array.isArray(value)) return `${value.length} values`;
  if (typeof value !== "number") return String(value);
  const unit = UNITS.find(([pattern]) => pattern.test(name));
  if (unit) return unit[1](value, name);
  return Number.isInteger(value) ? wholeText(value) : String(Number(value.toPrecision(6)));
}
