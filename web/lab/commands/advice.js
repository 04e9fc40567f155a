/**
 * Turns a failure into a message a person can act on: what could not be done, what the engine
 * says is wrong (unchanged), and advice, by the stable ranges of status codes (docs/abi.md).
 */
import { bytesText, wholeText } from "../ui/quantity.js";

const MEMORY = "The model needs more memory than a page can have. "
  + "Close other tabs, or use a smaller model or format.";

/** Rows of [first code, last code, advice]; the first match wins. */
const BY_CODE = [
  [5, 5, MEMORY],
  [107, 107, MEMORY],
  [153, 153, MEMORY],
  [251, 251, MEMORY],
  [100, 199, "The file is damaged, cut short or not a package. Get it again, or import it anew."],
  [200, 249, "This engine does not run this kind of model yet. Try another model."],
  [250, 299, "The model's weights do not fit its description. Get the file again."],
  [300, 349, "The tokenizer does not fit. Use the tokenizer that belongs to the model."],
  [354, 354, "Shorten it, begin a new session, or set a context shift."],
  [362, 364, "A record needs the model, the adapters and the prompt that it was made with."],
  [350, 399, "Change the setting named above and run again."],
  [400, 449, "Choose fewer tokens or a smaller KV format, close sessions, and run again."],
  [450, 458, "The adapter's file is damaged or of a kind that is not supported yet."],
  [459, 469, "It was made for another model: open that one, or import the adapter anew for this."],
  [470, 499, "Take an adapter off, or use a smaller weight."],
  [585, 599, "Drop the adapter's own files together: its settings and its weights."],
  [500, 599, "Check that the files belong together and are complete, and drop them again."],
];

/** Advice by the kit's names of failures that have no code of their own. */
const BY_KIND = {
  too_large: MEMORY,
  quota: "Delete models that are kept here, choose a smaller format, or free disk space.",
  trap: "The engine was restarted. If this happens again with the same file, do not use it.",
  replaced: "The engine was restarted. Run again: the open model is read anew.",
  session_lost: "The engine was restarted. Run again: the open model is read anew.",
  network: "Check that the file is still there and complete, and drop it again.",
  record: "Choose a file that Save record, or the command’s --record, wrote.",
  demo: "This copy of the page may lack its demo. Try again, or open a model of your own.",
  unsupported: "Use a current version of Chrome, Edge, Firefox or Safari, and reload the page.",
};

const UNPACK = "Unpack the archive and drop the files in it.";

/** Advice for files the page recognises but cannot open, by kind (files/file-kind.js). */
const BY_FILE = {
  empty: "The file has no bytes. Download or copy it again.",
  adapter: "An adapter changes a model: open the model it was made for, then drop it again.",
  pickle: "Such files can run code when they are read. Get the model as safetensors or GGUF.",
  zip: UNPACK,
  gzip: UNPACK,
  unknown: "Drop a .slm, a GGUF file, the files of a Hugging Face folder, or a llama2.c"
    + " checkpoint with its tokenizer.bin.",
};

const ASK_AGAIN = "Try again; if it fails again, reload the page.";

/** Message for an error thrown by the kit while doing `title`. */
export function messageOfError(title, error) {
  const code = Math.abs(error.code ?? 0);
  const row = BY_CODE.find(([first, last]) => code >= first && code <= last);
  const advice = row?.[2] ?? BY_KIND[error.kind] ?? ASK_AGAIN;
  return { tone: "error", title, detail: error.message || String(error), advice };
}

/** Whether an error says that there is not enough memory. */
export function isMemoryError({ code, kind }) {
  return kind === "too_large" || BY_CODE.some(([first, , advice]) => first === code
    && advice === MEMORY);
}

/** What is asked of the person when a model may not fit; see state/memory.js. */
export function questionOfDoubt({ need, limit_bytes, fits }) {
  const ways = [
    fits.context_len && `a context of ${wholeText(fits.context_len)} tokens`,
    fits.kv && `KV format ${fits.kv}`,
    fits.format && `weights as ${fits.format}`,
  ].filter(Boolean);
  const parts = `${bytesText(need.weights_bytes)} of weights, ${bytesText(need.kv_bytes)} of keys`
    + " and values";
  return `It needs about ${bytesText(need.total_bytes)} (${parts}), and a page here has about `
    + `${bytesText(limit_bytes)}. `
    + (ways.length > 0 ? `It would fit with ${ways.join(", or ")}.` : "A smaller model would fit.");
}

/** What is asked when the browser's storage may be too small. */
export function questionOfRoom(need_bytes, free_bytes) {
  return `Keeping it takes about ${bytesText(need_bytes)}, and the browser says that it has`
    + ` ${bytesText(free_bytes)} left. ${BY_KIND.quota}`;
}

/** The refusal of a model that cannot fit. */
export function errorOfDoubt(doubt) {
  return Object.assign(new Error(questionOfDoubt(doubt)), { kind: "too_large" });
}

/** Message for a file that is not of a kind this page opens. */
export function messageOfFile(name, { kind, what }) {
  return {
    tone: "error", title: `${name} was not opened`,
    detail: `It is ${what}.`, advice: BY_FILE[kind] ?? BY_FILE.unknown,
  };
}

/** A message that is no failure. */
export function note(title, detail, advice = "") {
  return { tone: "note", title, detail, advice };
}
