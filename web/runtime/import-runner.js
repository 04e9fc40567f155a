/**
 * Imports foreign files into a package, exports a package into files of other programs, and runs
 * the breeder's jobs: the module asks for ranges to read and gives back ranges to write, which go
 * to the caller's sink or become a Blob. Holds two ranges and what the browser has not yet moved
 * out of memory; never a whole file.
 */
import { IMPORT_STEP } from "./abi.js";
import { CultivarError, KIND } from "./errors.js";
import { Budget, Turn } from "./pace.js";

/** Written ranges are folded into a Blob, which browsers can keep on disk, from this size on. */
const FOLD_BYTES = 16 << 20;

/**
 * Resolves to the package: a Blob or, with a hook `write(position, bytes)`, its length. `files` are
 * `{ name, blob }`; options as in `cultivar.d.ts`. The import waits for what `onPlan` and `write`
 * answer.
 */
export async function importFiles(engine, files, options, hooks = {}) {
  const { onPlan, onProgress, write } = hooks;
  const sources = files.map(({ name, blob }) => ({ name, bytes: blob.size }));
  const order = JSON.stringify({ sources, options });
  const handle = engine.call("import_begin", engine.putText(order));
  const target = write ? new CallerSink(write) : new RangeSink();
  let hasPlan = false;
  await pump(engine, "import", handle, hooks.signal, {
    read: ([source, at, n]) => readRange(files[source], at, n),
    write: ([, at], bytes) => target.write(at, bytes),
    progress: async ([, doneBytes, totalBytes]) => {
      if (!hasPlan) await onPlan?.(engine.json("import_plan", handle));
      hasPlan = true;
      onProgress?.({ phase: "import", doneBytes, totalBytes });
    },
  });
  return target.end();
}

/** Resolves to `{ files: [{ name, blob }], report }`. */
export async function exportFiles(engine, blob, format, { signal, onProgress } = {}) {
  const totalBytes = blob.size;
  const handle = engine.call("export_begin", engine.putText(format), totalBytes);
  const targets = [];
  let made = null;
  await pump(engine, "export", handle, signal, {
    read: ([, at, n]) => {
      onProgress?.({ phase: "export", doneBytes: at + n, totalBytes });
      return readRange({ name: "the package", blob }, at, n);
    },
    write: ([file, at], bytes) => {
      made ??= engine.json("export_files", handle);
      (targets[file] ??= new RangeSink()).write(at, bytes);
    },
  });
  const files = made.files.map((name, idx) => ({ name, blob: targets[idx].end() }));
  return { files, report: made.report };
}

/**
 * Runs a job of the breeder; docs/abi.md lists them. Resolves to `{ blob, report }`; with a hook
 * `write`, the file went there and `blob` is missing. `files` are `{ name, blob }`.
 */
export async function runJob(engine, job, files, options, { signal, onProgress, write } = {}) {
  const sources = files.map(({ name, blob }) => ({ name, bytes: blob.size }));
  const order = JSON.stringify({ job, sources, options });
  const handle = engine.call("job_begin", engine.putText(order));
  const target = write ? new CallerSink(write) : new RangeSink();
  let report = null;
  await pump(engine, "job", handle, signal, {
    read: ([source, at, n]) => readRange(files[source], at, n),
    write: ([, at], bytes) => target.write(at, bytes),
    progress: ([, done, total]) => onProgress?.({ phase: job, done, total }),
    done: () => (report = engine.json("job_report", handle)),
  });
  const made = await target.end();
  return write ? { report } : { blob: made, report };
}

/** Does what the steps of a handle ask for, to its end, and closes it. */
async function pump(engine, group, handle, signal, { read, write, progress, done }) {
  const budget = new Budget(1 << 18, 1 << 14, 1 << 24);
  const turn = new Turn(signal);
  try {
    for (;;) {
      const began = performance.now();
      const outcome = engine.call(`${group}_step`, handle, budget.units);
      const wanted = request(engine, group, handle);
      if (outcome === IMPORT_STEP.done) {
        done?.();
        return;
      }
      const isRead = outcome === IMPORT_STEP.read;
      const output = outcome === IMPORT_STEP.write
        && engine.bytes(engine.call(`${group}_output`, handle));
      // Making output is work of the step; reading and writing files is not.
      if (!isRead) budget.note(performance.now() - began);
      if (output) await write(wanted, output);
      if (outcome === IMPORT_STEP.progress) await progress(wanted);
      if (isRead) {
        const bytes = await read(wanted);
        turn.check();
        const supplied = performance.now();
        engine.call(`${group}_supply`, handle, engine.put(bytes));
        budget.note(performance.now() - supplied);
      }
      await turn.next();
    }
  } finally {
    if (!engine.isDead) engine.call(`${group}_close`, handle);
  }
}

/** The three numbers that say what a step wants; each is below 2^53 by the package's limits. */
function request(engine, group, handle) {
  const bytes = engine.bytes(engine.call(`${group}_request`, handle) * 4);
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

/** Hands ranges to the caller, who writes one while the next is made. */
class CallerSink {
  #write;
  #end = 0;
  #writing = null;

  constructor(write) {
    this.#write = write;
  }

  async write(position, data) {
    await this.#writing;
    this.#end = Math.max(this.#end, position + data.length);
    this.#writing = this.#write(position, data);
    this.#writing.catch(() => {}); // Whoever awaits it next hears of it.
  }

  /** The length of what was written. */
  async end() {
    await this.#writing;
    return this.#end;
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

  /** Everything in order of offsets as a Blob; what was never written is zero. */
  end() {
    return blobOfRanges(this.#parts);
  }

  #fold() {
    for (const at of this.#loose) this.#parts.set(at, new Blob([this.#parts.get(at)]));
    this.#loose = [];
    this.#looseBytes = 0;
  }
}

/** A Blob of a Map from offset to Blob or bytes, in order; what was never written is zero. */
export function blobOfRanges(parts) {
  const pieces = [];
  let end = 0;
  for (const at of [...parts.keys()].sort((a, b) => a - b)) {
    const part = parts.get(at);
    if (at > end) pieces.push(new Uint8Array(at - end));
    pieces.push(part);
    end = at + (part.size ?? part.length);
  }
  return new Blob(pieces, { type: "application/octet-stream" });
}
