/**
 * The one table of settings: names as the engine knows them, defaults, ranges and words. Fields,
 * links, presets and what a session is created with are read from it; a new setting is one row
 * here. The idea is TensorFlow Playground's `state.ts`.
 */

/** Seeds have 64 bits, more than a JavaScript number holds; they stay text all the way. */
const SEED_MAX = 2n ** 64n - 1n;

/** A row that is a number, as `[name, kind, initial, min, max, label, hint]`. */
const number = ([name, kind, initial, min, max, label, hint], more) =>
  ({ name, kind, initial, min, max, label, hint, scope: "run", ...more });

/** Numbers in the open. */
const COMMON = [
  ["temperature", "real", 0, 0, 100, "Temperature"],
  ["top_k", "whole", 40, 1, 1024, "Top-k"],
  ["top_p", "real", 0.95, 0.001, 1, "Top-p"],
].map((row) => number(row, { preset: true }));

/** Those of the sampler that stand folded. */
const SAMPLER = [
  ["min_p", "real", 0, 0, 1, "Min-p", "Of the likeliest; 0 is off."],
  ["typical_p", "real", 1, 0.001, 1, "Typical-p", "1 is off."],
  ["repetition_penalty", "real", 1, 0.001, 100, "Repetition penalty", "1 is off."],
  ["frequency_penalty", "real", 0, -100, 100, "Frequency penalty", "0 is off."],
  ["presence_penalty", "real", 0, -100, 100, "Presence penalty", "0 is off."],
  ["penalty_window", "whole", 64, 0, 1_048_576, "Penalty window", "Tokens back; 0 is all."],
].map((row) => number(row, { group: "sampler" }));

/** Lists of tokens, by id, in one line; `form` is what one of them looks like. */
const TOKENS = [
  ["logit_bias", "Logit bias", /^\d{1,9}:-?\d+(\.\d*)?$/, "Token id:number, as 42:-3.5."],
  ["banned_tokens", "Banned tokens", /^\d{1,9}$/, "Ids."],
  ["stop_tokens", "Stop tokens", /^\d{1,9}$/, "Ids."],
].map(([name, label, form, hint]) =>
  ({ name, kind: "tokens", initial: "", label, hint, form, scope: "run", group: "sampler" }));

/** Other folded numbers; an initial value of "" leaves the setting out. */
const MORE = [
  ["context_len", "whole", "", 1, 1_048_576, "Context", "Positions; empty is the model’s."],
  ["context_shift", "whole", "", 0, 1_048_576, "Context shift",
    "First tokens kept when full; empty stops."],
  ["prompt_lookup", "whole", 0, 0, 16, "Prompt lookup", "Tokens drafted at once: speed alone."],
  ["logprobs", "whole", "", 0, 20, "Log-probabilities", "Alternatives per token; empty is none."],
].map((row) => number(row, { group: "more" }));

/**
 * Rows: `name` (engine's key and link key), `kind`, `initial`, `min`/`max` inclusive as the
 * engine's settings have them, `scope` (`run` goes to the session, `import` to the importer,
 * others to neither), `label` and `hint` for people. `group` says where the field stands: in the
 * open (none), in a chat alone, or folded under `sampler` or `more`; a preset sets sampler rows
 * and those with `preset`. Links leave rows of a group out while they are initial, which means
 * "off" for good.
 */
export const SETTINGS = Object.freeze([
  {
    name: "mode", kind: "choice", initial: "complete", label: "Mode",
    choices: [["complete", "Complete"], ["chat", "Chat"]],
  },
  { name: "prompt", kind: "text", initial: "Once upon a time", label: "Prompt" },
  { name: "system", kind: "text", initial: "", group: "chat", label: "System prompt" },
  ...COMMON,
  number(["seed", "seed", "0", 0, SEED_MAX, "Seed"]),
  number(["max_tokens", "whole", 256, 1, 1_048_576, "Max tokens"]),
  ...SAMPLER,
  ...TOKENS,
  {
    name: "ignore_stop", kind: "choice", initial: "no", scope: "run", group: "sampler",
    label: "Ignore stop", choices: [["no", "no"], ["yes", "yes"]],
  },
  {
    name: "random_stream", kind: "choice", initial: "session", scope: "run", group: "sampler",
    label: "Random numbers", choices: [["session", "go on"], ["prompt", "per prompt"]],
  },
  {
    name: "constrain", kind: "choice", initial: "none", group: "sampler", label: "Output must be",
    choices: [["none", "any text"], ["json", "JSON"], ["json_schema", "JSON of a schema"],
      ["gbnf", "text of a grammar"]],
  },
  {
    name: "rules", kind: "text", initial: "", group: "sampler", label: "Schema or grammar",
    hint: "JSON Schema, or GBNF beginning with root.",
  },
  {
    name: "kv", kind: "choice", initial: "f32", scope: "run", group: "more", label: "KV format",
    hint: "q8 is smallest.", choices: [["f32", "f32"], ["f16", "f16"], ["q8", "q8"]],
  },
  ...MORE,
  number(["cache_mib", "real", "", 0.1, 1_048_576, "Cache, MiB",
    "Empty is no limit."], { group: "more", scope: "cache" }),
  {
    name: "stop_strings", kind: "lines", initial: "", scope: "run", group: "more",
    label: "Stop at", hint: "One a line; \\n is a line end.",
  },
  {
    name: "watts", kind: "real", initial: "", min: 0.1, max: 10_000, group: "watts",
    label: "Watts of this machine", hint: "For energy per token.",
  },
  {
    name: "format", kind: "choice", initial: "keep", scope: "import", label: "Import weights as",
    hint: "Smaller ones change the text a little.",
    choices: [
      ["keep", "as stored"], ["f16", "f16 · 16 bits"], ["q8_0", "q8_0 · 8 bits"],
      ["q4_k_m", "q4_k_m · 4 to 6 bits"], ["q4_0", "q4_0 · 4 bits"],
    ],
  },
]);

/** The row of that name, or undefined. */
export function settingRow(name) {
  return SETTINGS.find((row) => row.name === name);
}

/** Whether a preset sets this row. */
export const isOfPreset = (row) => row.preset || row.group === "sampler";

/** Reads typed text as the row's value: `{ value }`, or `{ problem }` as a sentence. */
export function parseSetting(row, text) {
  const problem = (rule) => ({ problem: `${row.label} must be ${rule}.` });
  switch (row.kind) {
    case "text":
      return { value: text };
    case "lines":
      return linesOf(text).length <= 16 && linesOf(text).every(isStop)
        ? { value: text } : problem("up to 16 lines of 1 to 256 bytes");
    case "tokens":
      return tokensOf(text).every((one) => row.form.test(one))
        ? { value: text } : problem(row.hint.replace(/[,.].*/, "").toLowerCase());
    case "choice": {
      const names = row.choices.map(([name]) => name);
      return names.includes(text) ? { value: text } : problem(`one of ${names.join(", ")}`);
    }
    default: {
      const value = numberOf(row, text.trim());
      if (value === "") return { value };
      if (value !== null && value >= row.min && value <= row.max) {
        return { value: row.kind === "seed" ? String(value) : value };
      }
      const noun = row.kind === "real" ? "a number" : "a whole number";
      return problem(`${noun} from ${row.min} to ${row.max}`);
    }
  }
}

/** Plain decimals only: no exponents or other bases, which people type by mistake. */
function numberOf({ kind, initial, min }, text) {
  if (text === "" && initial === "") return "";
  const real = min < 0 ? /^-?(\d+(\.\d*)?|\.\d+)$/ : /^(\d+(\.\d*)?|\.\d+)$/;
  if (kind === "real") return real.test(text) ? Number(text) : null;
  if (!/^\d{1,20}$/.test(text)) return null;
  return kind === "seed" ? BigInt(text) : Number(text);
}

const ESCAPES = { n: "\n", t: "\t", "\\": "\\" };
const linesOf = (text) => text.split("\n").filter(Boolean)
  .map((line) => line.replace(/\\([nt\\])/g, (_, letter) => ESCAPES[letter]));
const tokensOf = (text) => text.split(/[\s,]+/).filter(Boolean);
const isStop = (text) => new TextEncoder().encode(text).length <= 256;

/** What a session is created with: what differs from "left out", as the engine wants it. */
export function sessionSettings(values) {
  const settings = {};
  for (const { name, kind, scope, group, initial } of SETTINGS) {
    const value = values[name];
    if (scope !== "run" || (group && value === initial)) continue;
    settings[name] = kind === "lines" ? linesOf(value)
      : kind === "tokens" ? engineTokens(name, tokensOf(value)) : value === "yes" || value;
  }
  const { constrain, rules } = values;
  if (constrain !== "none") settings.constraint = { [constrain]: constraintOf(constrain, rules) };
  return settings;
}

/** Ids, or ids with a number each. */
const engineTokens = (name, list) => name === "logit_bias"
  ? Object.fromEntries(list.map((one) => one.split(":")).map(([id, bias]) => [id, Number(bias)]))
  : list.map(Number);

/** A schema that is no JSON goes on as text, and the engine says what is wrong with it. */
function constraintOf(kind, rules) {
  if (kind === "json") return true;
  if (kind === "gbnf") return rules;
  try {
    return JSON.parse(rules);
  } catch {
    return rules;
  }
}
