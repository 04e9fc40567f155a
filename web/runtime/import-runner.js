/**
 * Imports foreign files into a package: the module asks for ranges, and gives back ranges of the
 * new file, which becomes a Blob. Holds one range and what the browser has not yet moved out of
 * memory; never a whole source file.
 */
import { IMPORT_STEP } from "./abi.js";
import { CultivarError, KIND } from "./errors.js";
import { Budget, Turn } from "./pace.js";

/** Written ranges are folded into a Blob, which browsers can keep on disk, from this size on. */
const FOLD_BYTES = 16 << 20;

/**
 * Resolves to the package as a Blob. `files` are `{ name, blob }`; options are `format`, `name`,
 * `license`, `source` and `notes`.
 */
export async function importFiles(engine, files, options, { signal, onProgress } = {}) {
  const sources = files.map(({ name, blob }) => ({ name, bytes: blob.size }));
  const order = JSON.stringify({ sources, options });
  const handle = engine.call("import_begin", engine.putText(order));
  try {
    return await runImport(engine, handle, files, new Turn(signal), onProgress ?? (() => {}));
  } finally {
    if (!engine.isDead) engine.call("import_close", handle);
  }
}

async function runImport(engine, handle, files, turn, onProgress) {
  const budget = new Budget(1 << 18, 1 << 14, 1 << 24);
  const target = new RangeSink();
  for (;;) {
    const began = performance.now();
    const outcome = engine.call("import_step", handle, budget.units);
    const [source, at, n] = request(engine, handle);
    if (outcome === IMPORT_STEP.done) return target.toBlob();
    if (outcome === IMPORT_STEP.progress) {
      onProgress({ phase: "import", doneBytes: at, totalBytes: n });
    }
    if (outcome === IMPORT_STEP.write) {
      target.write(at, engine.bytes(engine.call("import_output", handle)));
    }
    // Making output is work of the step; reading a file below is not.
    if (outcome !== IMPORT_STEP.read) budget.note(performance.now() - began);
    if (outcome === IMPORT_STEP.read) {
      const bytes = await readRange(files[source], at, n);
      turn.check();
      const supplied = performance.now();
      engine.call("import_supply", handle, engine.put(bytes));
      budget.note(performance.now() - supplied);
    }
    await turn.next();
  }
}

/** The three numbers that say what a step wants; each is below 2^53 by the package's limits. */
function request(engine, handle) {
  const bytes = engine.bytes(engine.call("import_request", handle) * 4);
  const view = new DataView(bytes.buffer);
  return [0, 8, 16].map((at) => Number(view.getBigUint64(at, true)));
}

async function readRange({ name, blob }, at, len) {
  try {
    return new Uint8Array(await blob.slice(at, at + len).arrayBuffer());
  } catch (cause) {
    const message = `${name} cannot be read (${cause.message}): was it changed or removed?`;
    throw new CultivarError(message, { kind: KIND.network });
  }
}

/** Ranges of a file in any order; the last one written at an offset counts. */
class RangeSink {
  #parts = new Map();
  #loose = [];
  #looseBytes = 0;

  write(at, bytes) {
    this.#parts.set(at, bytes);
    this.#loose.push(at);
    this.#looseBytes += bytes.length;
    if (this.#looseBytes >= FOLD_BYTES) this.#fold();
  }

  /** Everything in order of offsets; what was never written is zero. */
  toBlob() {
    const pieces = [];
    let end = 0;
    for (const at of [...this.#parts.keys()].sort((a, b) => a - b)) {
      const part = this.#parts.get(at);
      if (at > end) pieces.push(new Uint8Array(at - end));
      pieces.push(part);
      end = at + (part.size ?? part.length);
    }
    return new Blob(pieces, { type: "application/octet-stream" });
  }

  #fold() {
    for (const at of this.#loose) this.#parts.set(at, new Blob([this.#parts.get(at)]));
    this.#loose = [];
    this.#looseBytes = 0;
  }
}
