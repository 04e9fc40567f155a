/**
 * What the kit's tests share: the built modules, the golden packages, foreign files made from
 * arithmetic, and a worker of Node in the shape of a browser's.
 */
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { EXPORTS } from "../../runtime/abi.js";
import { Engine } from "../../runtime/engine.js";
import {
  FILE_MODULES, MODULE_FILES, TEXT_FILE, detectFeatures,
} from "../../runtime/features.js";

/** Folder of the built modules. */
export const MODULES_URL = new URL("../../wasm/", import.meta.url);
const GOLDEN_URL = new URL("../../../fixtures/golden/", import.meta.url);

const FILES = { ...MODULE_FILES, ...FILE_MODULES, text: TEXT_FILE };

/** A compiled module: an engine's name, "text", "packer", "exporter" or "breeder". */
export async function moduleOf(name) {
  const file = FILES[name];
  return WebAssembly.compile(await readFile(new URL(file, MODULES_URL)));
}

/** A fresh instance; engines have their encoder. */
export async function engineOf(name = "simd128") {
  const textModule = MODULE_FILES[name] && await moduleOf("text");
  return Engine.create(await moduleOf(name), textModule);
}

/** Whether this Node runs a module, and exactly: V8 11 has a wrong relaxed dot without a flag. */
async function isExact(name) {
  if (!detectFeatures()[name]) return false;
  try {
    return (await engineOf(name)).call("selftest") > 0;
  } catch (error) {
    if (name === "simd128" || error.kind !== "self_test") throw error;
    console.log(`the relaxed module is not tested: ${error.message}`);
    return false;
  }
}

/** Names of the modules that this Node can run, simd128 first. */
export const runnable = (await isExact("relaxed")) ? ["simd128", "relaxed"] : ["simd128"];

/** `{prompt, runs: [{file, settings, run_digest}]}` of the golden packages. */
export const golden = JSON.parse(readFileSync(new URL("digests.json", GOLDEN_URL), "utf8"));

/** Bytes of a golden package. */
export function goldenBytes(file = "golden-q8_0.slm") {
  return new Uint8Array(readFileSync(new URL(file, GOLDEN_URL)));
}

/** A golden package as a page would get it. */
export function goldenBlob(file) {
  return new Blob([goldenBytes(file)]);
}

/** A file of fixtures/family. */
export function familyBytes(path) {
  return readFile(new URL(`../../../fixtures/family/${path}`, import.meta.url));
}

/** A worker thread that serves the kit's verbs, with the face of a browser's Worker. */
export class KitWorker {
  #thread = new Worker(new URL("./kit-worker.mjs", import.meta.url));
  onmessage = null;
  onerror = null;
  isTerminated = false;

  constructor() {
    this.#thread.on("message", (data) => this.onmessage?.({ data }));
    this.#thread.on("error", ({ message }) => this.onerror?.({ message }));
  }

  postMessage(message) {
    this.#thread.postMessage(message);
  }

  terminate() {
    this.isTerminated = true;
    this.#thread.terminate();
  }
}

/** Lets `fetch` read files of this machine, and notes what was asked for. */
export function serveFiles() {
  const asked = [];
  globalThis.fetch = async (url) => {
    asked.push(String(url));
    const bytes = await readFile(new URL(url)).catch(() => null);
    if (!bytes) return new Response(null, { status: 404 });
    const headers = { "content-length": String(bytes.length) };
    if (String(url).endsWith(".wasm")) headers["content-type"] = "application/wasm";
    return new Response(bytes, { headers });
  };
  return asked;
}

/** A llama2.c checkpoint of small random weights, and a tokenizer file for it. */
export function foreignFiles({ dim, hidden, nLayers, nHeads, vocab, contextLen }) {
  const headDim = dim / nHeads;
  const perLayer = 2 * dim + 4 * dim * dim + 3 * dim * hidden;
  const n = vocab * dim + nLayers * perLayer + dim + contextLen * headDim;
  const bytes = new ArrayBuffer(28 + 4 * n);
  new Int32Array(bytes, 0, 7).set([dim, hidden, nLayers, nHeads, nHeads, vocab, contextLen]);
  const weights = new Float32Array(bytes, 28);
  let state = 1;
  for (let i = 0; i < n; i += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    weights[i] = state / 2 ** 35;
  }
  return [
    { name: "random.bin", blob: new Blob([bytes]) },
    { name: "tok.bin", blob: new Blob([tokenizerFile(vocab)]) },
  ];
}

/** Three special pieces, the 256 byte pieces, and numbered words. */
function tokenizerFile(vocab) {
  const pieces = ["<unk>", "\n<s>\n", "\n</s>\n"];
  for (let b = 0; b < 256; b += 1) {
    pieces.push(`<0x${b.toString(16).toUpperCase().padStart(2, "0")}>`);
  }
  while (pieces.length < vocab) pieces.push(` w${pieces.length}`);
  const parts = [Int32Array.of(12)];
  for (const [id, piece] of pieces.entries()) {
    const text = new TextEncoder().encode(piece);
    parts.push(Float32Array.of(-id), Int32Array.of(text.length), text);
  }
  return new Blob(parts);
}

/** Names of the exports that a part has, sorted. */
export const namesOf = (part) =>
  Object.keys(EXPORTS).filter((name) => ["every", part].includes(EXPORTS[name].split(" ")[0]))
    .sort();

/** Opens a session of a package; answers its handle. */
export const newSession = (engine, handle, settings = {}) =>
  engine.call("session_new", handle, engine.putText(JSON.stringify(settings)));

/** A shape for `foreignFiles`, as small as they come. */
export const TINY = {
  dim: 32, hidden: 64, nLayers: 2, nHeads: 4, vocab: 300, contextLen: 32,
};

/** A handle of the text module beside an engine, of a package of these bytes. */
export function openText(engine, bytes) {
  const { module } = engine.encoder;
  const begun = engine.call("package_begin", engine.put(bytes.subarray(0, 64)), bytes.length);
  const head = bytes.subarray(0, engine.call("package_head_bytes", begun));
  engine.call("package_close", begun);
  return module.call("text_open", module.put(head), bytes.length);
}
