/**
 * The one table of settings: names as the engine knows them, defaults, ranges and words. Fields,
 * links and what a session is created with are read from it; a new setting is one row here.
 * The idea is TensorFlow Playground's `state.ts`.
 */

/** Seeds have 64 bits, more than a JavaScript number holds; they stay text all the way. */
const SEED_MAX = 2n ** 64n - 1n;

/**
 * Rows: `name` (engine's key and link key), `kind` (text, real, whole, seed, choice), `initial`,
 * `min`/`max` inclusive, as the engine's settings have them, `scope` (`run` goes to the session,
 * `import` to the importer, `prompt` is the text itself), `label` and `hint` for people.
 */
export const SETTINGS = Object.freeze([
  {
    name: "prompt", kind: "text", initial: "Once upon a time", scope: "prompt",
    label: "Prompt", hint: "The text the model continues.",
  },
  {
    name: "temperature", kind: "real", initial: 0, min: 0, max: 100, scope: "run",
    label: "Temperature", hint: "0 takes the likeliest token; higher is more varied.",
  },
  {
    name: "top_k", kind: "whole", initial: 40, min: 1, max: 1024, scope: "run",
    label: "Top-k", hint: "Draw from the k likeliest tokens.",
  },
  {
    name: "top_p", kind: "real", initial: 0.95, min: 0.001, max: 1, scope: "run",
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
  {
    name: "kv", kind: "choice", initial: "f32", scope: "run", label: "KV format",
    hint: "Attention cache: f32 is exact, q8 is smallest.",
    choices: [["f32", "f32"], ["f16", "f16"], ["q8", "q8"]],
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

/** Reads typed text as the row's value: `{ value }`, or `{ problem }` as a sentence. */
export function parseSetting(row, text) {
  if (row.kind === "text") return { value: text };
  if (row.kind === "choice") {
    const names = row.choices.map(([name]) => name);
    if (names.includes(text)) return { value: text };
    return { problem: `${row.label} must be one of ${names.join(", ")}.` };
  }
  const value = numberOf(row.kind, text.trim());
  if (value !== null && value >= row.min && value <= row.max) {
    return { value: row.kind === "seed" ? String(value) : value };
  }
  const noun = row.kind === "real" ? "a number" : "a whole number";
  return { problem: `${row.label} must be ${noun} from ${row.min} to ${row.max}.` };
}

/** Plain decimals only: no signs, exponents or other bases, which people type by mistake. */
function numberOf(kind, text) {
  if (kind === "real") return /^(\d+(\.\d*)?|\.\d+)$/.test(text) ? Number(text) : null;
  if (!/^\d{1,20}$/.test(text)) return null;
  return kind === "seed" ? BigInt(text) : Number(text);
}
