/**
 * Settings to the link's fragment and back, driven wholly by the settings table. A row is written
 * also at its default, so that a link keeps its meaning if that changes, unless the default
 * stands for "off"; and the model's weights identity, so that another model can be told apart.
 * What cannot be read is ignored.
 */
import { SETTINGS, parseSetting } from "./setting-table.js";

/** Version of the fragment's grammar; an unknown version is not read at all. */
const LINK_VERSION = "1";
/** A link names its model by this many leading hex digits: 64 bits tell models apart. */
const WEIGHTS_LEN = 16;

/**
 * The fragment, without `#`, for these values; `weights` is a hex identity or null, `mix` names
 * adapters with their weights (state/mix.js reads it).
 */
export function writeFragment(values, weights, mix = "") {
  const params = new URLSearchParams([["v", LINK_VERSION]]);
  for (const { name, group, initial } of SETTINGS) {
    if (!group || values[name] !== initial) params.set(name, String(values[name]));
  }
  if (weights) params.set("weights", weights.slice(0, WEIGHTS_LEN));
  if (mix) params.set("mix", mix);
  return params.toString();
}

/** `{ present, values, weights }` of a fragment with or without its leading `#`. */
export function readFragment(fragment) {
  const params = new URLSearchParams(fragment.replace(/^#/, ""));
  if (params.get("v") !== LINK_VERSION) return { present: false, values: {}, weights: null };
  const values = {};
  for (const row of SETTINGS) {
    const text = params.get(row.name);
    if (text === null) continue;
    const { value, problem } = parseSetting(row, text);
    if (!problem) values[row.name] = value;
  }
  const weights = params.get("weights");
  const isHex = weights !== null && /^[0-9a-f]{8,64}$/.test(weights);
  return { present: true, values, weights: isHex ? weights : null };
}
