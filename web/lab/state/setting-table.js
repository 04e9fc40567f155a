/**
 * The one table of settings: names as the engine knows them, defaults, ranges and words. Fields,
 * links, presets and what a session is created with are read from it; a new setting is one row
 * here. The idea is TensorFlow Playground's `state.ts`.
 */

/** Seeds have 64 bits, more than a JavaScript number holds; they stay text all the way. */
const SEED_MAX = 2n ** 64n - 1n;

const choices = (...names) => names.map((name) => [name, name]);

/** Rows of the sampler that stand folded. */
const real = (name, initial, min, max, label, hint) =>
  ({ name, kind: "real", initial, min, max, scope: "run", group: "sampler", label, hint });
const penalty = (name, label, hint) => real(name, 0, -100, 100, label, hint);
/** A row that may be left empty, which leaves the setting out. */
const optional = (name, max, label, hint) => ({
  name, kind: "whole", initial: "", min: 0, max, scope: "run", group: "more", label, hint,
});
const ids = (name, label, hint) =>
  ({ name, kind: "ids", initial: "", scope: "run", group: "more", label, hint });

/**
 * Rows: `name` (engine's key and link key), `kind`, `initial`, `min`/`max` inclusive as the
 * engine's settings have them, `scope` (`run` goes to the session, `import` to the importer,
 * `page` to neither), `label` and `hint` for people. `group` says where the field stands: in the
 * open (none), in a chat alone, or folded under `sampler` or `more`; a preset sets sampler rows
 * and those with `preset`. Links leave rows of a group out while they are initial, which means
 * "off" for good.
 */
export const SETTINGS = Object.freeze([
  {
    name: "mode", kind: "choice", initial: "complete", scope: "page", label: "Mode",
    choices: [["complete", "Complete"], ["chat", "Chat"]],
  },
  {
    name: "prompt", kind: "text", initial: "Once upon a time", scope: "page",
    label: "Prompt", hint: "The text the model continues.",
  },
  {
    name: "system", kind: "text", initial: "", scope: "page", group: "chat",
    label: "System prompt", hint: "Says how the model is to behave.",
  },
  {
    name: "temperature", kind: "real", initial: 0, min: 0, max: 100, scope: "run", preset: true,
    label: "Temperature", hint: "0 takes the likeliest token; higher is more varied.",
  },
  {
    name: "top_k", kind: "whole", initial: 40, min: 1, max: 1024, scope: "run", preset: true,
    label: "Top-k", hint: "Draw from the k likeliest tokens.",
  },
  {
    name: "top_p", kind: "real", initial: 0.95, min: 0.001, max: 1, scope: "run", preset: true,
    label: "Top-p", hint: "Draw from the likeliest tokens up to this share.",
  },
  {
    name: "seed", kind: "seed", initial: "0", min: 0, max: SEED_MAX, scope: "run",
    label: "Seed", hint: "Same seed, same text.",
  },
  {
    name: "max_tokens", kind: "whole", initial: 256, min: 1, max: 1_048_576, scope: "run",
    label: "Max tokens", hint: "Stop after this many tokens.",
  },
  real("min_p", 0, 0, 1, "Min-p", "Drop what is less likely than this part of the likeliest."),
  real("typical_p", 1, 0.001, 1, "Typical-p", "Keep tokens of about expected surprise; 1 is off."),
  real("repetition_penalty", 1, 0.001, 100, "Repetition penalty", "Divides seen tokens; 1 is off."),
  penalty("frequency_penalty", "Frequency penalty", "Subtracted for each time a token was seen."),
  penalty("presence_penalty", "Presence penalty", "Subtracted once if a token was seen."),
  {
    name: "penalty_window", kind: "whole", initial: 64, min: 0, max: 1_048_576, scope: "run",
    group: "sampler", label: "Penalty window", hint: "Tokens back that penalties look; 0 is all.",
  },
  {
    name: "constrain", kind: "choice", initial: "none", scope: "page", group: "sampler",
    label: "Output must be", hint: "Only tokens that keep to it are chosen.",
    choices: [["none", "any text"], ["json", "JSON"], ["json_schema", "JSON of a schema"],
      ["gbnf", "text of a grammar"]],
  },
  {
    name: "rules", kind: "text", initial: "", scope: "page", group: "sampler",
    label: "Schema or grammar", hint: "JSON Schema, or rules in GBNF beginning with root.",
  },
  {
    name: "kv", kind: "choice", initial: "f32", scope: "run", group: "more", label: "KV format",
    hint: "Attention cache: f32 is exact, q8 is smallest.", choices: choices("f32", "f16", "q8"),
  },
  optional("context_len", 1_048_576, "Context", "Positions of a session; empty is the model’s."),
  optional("context_shift", 1_048_576, "Context shift",
    "When full, keep so many first tokens and drop half of the rest; empty stops."),
  {
    name: "prompt_lookup", kind: "whole", initial: 0, min: 0, max: 16, scope: "run",
    group: "more", label: "Prompt lookup", hint: "Tokens drafted from the text before; speed only.",
  },
  optional("logprobs", 20, "Log-probabilities", "Alternatives kept per token; empty is none."),
  {
    name: "stop_strings", kind: "lines", initial: "", scope: "run", group: "more",
    label: "Stop at", hint: "Texts that end the output, one a line; \\n is a line end.",
  },
  ids("stop_tokens", "Stop tokens", "Token ids that end the output, such as 2, 50256."),
  ids("banned_tokens", "Banned tokens", "Token ids that are never chosen."),
  {
    name: "ignore_stop", kind: "choice", initial: "false", scope: "run", group: "more",
    label: "Model’s end tokens", hint: "Whether the model may end its text.",
    choices: [["false", "end the text"], ["true", "are passed over"]],
  },
  {
    name: "random_stream", kind: "choice", initial: "session", scope: "run", group: "more",
    label: "Random numbers", hint: "What they are counted by.",
    choices: [["session", "place in the session"], ["prompt", "place after the prompt"]],
  },
  {
    name: "format", kind: "choice", initial: "keep", scope: "import", label: "Import weights as",
    hint: "Smaller formats need less memory and change the text a little.",
    choices: [
      ["keep", "as stored (f32)"], ["f16", "f16 · half the size"],
      ["q8_0", "q8_0 · about a quarter"], ["q4_0", "q4_0 · about an eighth"],
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
    case "ids":
      return idsOf(text) ? { value: text } : problem("whole numbers with commas between");
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
const isStop = (text) => new TextEncoder().encode(text).length <= 256;

function idsOf(text) {
  const words = text.split(/[\s,]+/).filter(Boolean);
  return words.every((word) => /^\d{1,9}$/.test(word)) ? words.map(Number) : null;
}

/** What a session is created with: what differs from "left out", as the engine wants it. */
export function sessionSettings(values) {
  const settings = {};
  for (const { name, kind, scope, group, initial } of SETTINGS) {
    const value = values[name];
    if (scope !== "run" || (group && value === initial)) continue;
    if (kind === "lines") settings[name] = linesOf(value);
    else if (kind === "ids") settings[name] = idsOf(value);
    else settings[name] = value === "true" ? true : value;
  }
  const { constrain, rules } = values;
  if (constrain !== "none") settings.constraint = { [constrain]: constraintOf(constrain, rules) };
  return settings;
}

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
