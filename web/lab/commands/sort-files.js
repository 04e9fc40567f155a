/**
 * Decides what a handful of dropped files means: a package to open, the files of a foreign model
 * to import, files to keep until the rest of theirs comes, or files to refuse. Pure: kinds in, a
 * decision out.
 */

/** Kinds that hold a model's weights, or half of it: naming them is worth it when left out. */
const MODELS = ["package", "gguf", "safetensors", "checkpoint", "tokenizer"];

/** Rows in order of preference: the kinds of one model's files, weights first, and what lacks. */
const FAMILIES = [
  { kinds: ["gguf"], missingOf: missingParts },
  { kinds: ["safetensors", "companion"], missingOf: missingOfFolder },
  { kinds: ["checkpoint", "tokenizer"], missingOf: missingOfPair },
];

const PART = /^(.*)-(\d{5})-of-(\d{5})(\.\w+)$/;

/**
 * `files`: [{ file, kind: { kind, what, note } }]; `kept`: such entries from before.
 * Returns `{ open, set, kept, missing, refused, ignored }`: `open` an entry or null, `set` all
 * files of one model or null, `kept` what stays waiting for what `missing` says, `refused` entries
 * no use can be found for, and `ignored` usable ones beyond the first model.
 */
export function sortFiles(files, kept) {
  const is = (kinds) => ({ kind }) => kinds.includes(kind.kind);
  const none = { open: null, set: null, kept, missing: "", ignored: [] };
  const refused = files.filter((entry) => !is([...MODELS, "companion"])(entry));
  const leftOf = (used) => files.filter((entry) => !used.includes(entry) && is(MODELS)(entry));
  const open = files.find(is(["package"]));
  if (open) return { ...none, refused, open, ignored: leftOf([open]) };
  const family = FAMILIES.find(({ kinds }) => files.some(is(kinds)));
  if (!family) return { ...none, refused };
  const pool = [...files, ...kept].filter(is(family.kinds));
  const isWeights = is(family.kinds.slice(0, 1));
  const first = pool.find(isWeights);
  const ofFirst = pool.filter((entry) => isWeights(entry) && wholeOf(entry) === wholeOf(first));
  const set = onePerPlace([...ofFirst, ...pool.filter((entry) => !isWeights(entry))]);
  const missing = family.missingOf(set);
  const ignored = leftOf(set);
  if (missing) return { ...none, refused, ignored, kept: set, missing };
  return { ...none, refused, ignored, kept: [], set };
}

/** What a part belongs to; a file that is whole belongs to itself. */
const wholeOf = ({ file }) => PART.exec(file.name)?.[1] ?? file.name;

/** The first file of each name, and one llama2.c tokenizer whatever its name. */
function onePerPlace(files) {
  const places = new Map();
  for (const entry of files.toReversed()) {
    places.set(entry.kind.kind === "tokenizer" ? "" : entry.file.name, entry);
  }
  return files.filter((entry) => [...places.values()].includes(entry));
}

/** "parts 2 and 3 of 3", or nothing. */
function missingParts(files) {
  const parts = files.map(({ file }) => PART.exec(file.name));
  const n_parts = Number(parts[0]?.[3] ?? 0);
  const have = parts.map((part) => Number(part?.[2]));
  const lacking = Array.from({ length: n_parts }, (_, idx) => idx + 1)
    .filter((number) => !have.includes(number));
  return lacking.length > 0 ? `part ${lacking.join(", ")} of ${n_parts}` : "";
}

function missingOfFolder(files) {
  const has = (name) => files.some(({ file }) => file.name === name);
  const weights = files.filter(({ kind }) => kind.kind === "safetensors");
  const hasTokenizer = has("tokenizer.json") || has("tokenizer.model")
    || (has("vocab.json") && has("merges.txt"));
  return [
    weights.length > 0 ? missingParts(weights) : "the weights (.safetensors)",
    has("config.json") ? "" : "config.json",
    hasTokenizer ? "" : "tokenizer.json",
  ].filter(Boolean).join(", ");
}

function missingOfPair(files) {
  const has = (wanted) => files.some(({ kind }) => kind.kind === wanted);
  if (!has("checkpoint")) return "the checkpoint (.bin)";
  return has("tokenizer") ? "" : "its tokenizer (tokenizer.bin)";
}

/**
 * Takes adapters out of what was dropped: `{ adapters: { packages, foreign }, others }`, `foreign`
 * being groups of files, of a PEFT folder its two and the readme that may state a licence.
 */
export function sortAdapters(files) {
  const of = (wanted) => files.filter(({ kind }) => kind.kind === wanted).map(({ file }) => file);
  const configs = of("peft_config");
  const ggufs = of("gguf_lora").map((file) => [file]);
  const foreign = [...ggufs, ...of("lora").map((file) => {
    const at = configs.findIndex((config) => config.folder === file.folder);
    const readme = of("companion").filter(({ name, folder }) =>
      name === "README.md" && folder && folder === file.folder);
    return at < 0 ? [file] : [...configs.splice(at, 1), file, ...readme];
  })];
  // What lies beside an adapter in its folder belongs to it.
  const folders = foreign.map((group) => group.at(-1).folder).filter(Boolean);
  const others = files.filter(({ file, kind }) =>
    !/adapter|lora|peft/.test(kind.kind) && !folders.includes(file.folder));
  return { adapters: { packages: of("adapter"), foreign }, others };
}

/** Name of the package an import makes of a set: its folder's or file's, and the chosen format. */
export function packageName([{ file }], format) {
  const stem = file.folder ?? PART.exec(file.name)?.[1] ?? file.name.replace(/\.[^.]*$/, "");
  return `${stem || "model"}${format === "keep" ? "" : `-${format}`}.slm`;
}
