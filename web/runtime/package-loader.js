/**
 * Opens a package: streams a file into the module, each tensor straight into its own buffer.
 * One transaction: on any error or stop everything that was allocated is given back, and what
 * was open before is untouched. Digests are computed here or by the browser, but compared inside
 * the module only.
 */
import { ByteStream } from "./byte-stream.js";
import { CultivarError, KIND } from "./errors.js";
import { Budget, Turn } from "./pace.js";

/** The header's size; it says how many bytes come before the tensors. */
const HEADER_BYTES = 64;
/** The browser hashes a copy; beyond this, or a tenth of the file, the module hashes in place. */
const COPY_BYTES_MAX = 1 << 20;
/** Progress is reported at most this often. */
const PROGRESS_MS = 50;

/** Opens a Blob, or what a URL answers: `{ handle, card }`. */
export async function loadPackage(engine, source, { signal, onCard, onProgress } = {}) {
  const began = performance.now();
  const stream = await ByteStream.open(source, signal);
  const loader = new Loader(engine, stream, signal, onProgress ?? (() => {}));
  try {
    await loader.readHead();
    await onCard?.(loader.card);
    await loader.readTensors();
    await loader.readTail();
    await loader.finish();
    engine.profile(loader.handle);
    engine.call("package_note_load_ms", loader.handle, performance.now() - began);
    return { handle: loader.handle, card: engine.json("package_describe", loader.handle) };
  } catch (error) {
    loader.abandon();
    throw error;
  }
}

/** Gives back all that a package holds. */
export function closePackage(engine, handle) {
  engine.encoder?.close(handle);
  if (!engine.isDead) engine.call("package_close", handle);
}

class Loader {
  #engine;
  #stream;
  #turn;
  #onProgress;
  #at = 0;
  #reported = 0;
  #checking = Promise.resolve();

  constructor(engine, stream, signal, onProgress) {
    this.#engine = engine;
    this.#stream = stream;
    this.#turn = new Turn(signal);
    this.#onProgress = onProgress;
  }

  async readHead() {
    const engine = this.#engine;
    const header = await this.#stream.take(HEADER_BYTES);
    this.handle = engine.call("package_begin", engine.put(header), this.#stream.size);
    const head = new Uint8Array(engine.call("package_head_bytes", this.handle));
    head.set(header);
    await this.#pass(head.length - header.length, (bytes, at) => head.set(bytes, 64 + at));
    this.#at = head.length;
    engine.call("package_head", this.handle, engine.put(head));
    engine.encoder?.open(this.handle, head, this.#stream.size);
    this.card = engine.json("package_describe", this.handle);
  }

  async readTensors() {
    for (const [idx, { bytes, read_bytes: readBytes }] of this.card.tensors.entries()) {
      const ptr = this.#engine.call("package_tensor_ptr", this.handle, idx);
      await this.#pass(readBytes, (piece, at) => {
        this.#engine.memory.write(ptr + at, piece);
        this.#progress("read", this.#at + at + piece.length, this.#stream.size);
      });
      this.#at += readBytes;
      // The browser hashes this tensor while the next one is read; only one is in flight.
      await this.#checking;
      this.#checking = this.#verify(idx, ptr, bytes);
      this.#checking.catch(() => {});
    }
    await this.#checking;
  }

  async readTail() {
    const tail = new Uint8Array(this.#stream.size - this.#at);
    await this.#pass(tail.length, (bytes, at) => tail.set(bytes, at));
    this.#engine.call("package_tail", this.handle, this.#engine.put(tail));
    this.#progress("read", this.#stream.size, this.#stream.size, true);
  }

  async finish() {
    const total = this.card.memory.weights_bytes;
    await this.#steps("package_finish_step", [], (left) => {
      this.#progress("verify", total - left, total, left === 0);
    });
  }

  abandon() {
    this.#stream.cancel();
    if (this.handle) closePackage(this.#engine, this.handle);
  }

  async #verify(idx, ptr, len) {
    const isSmall = len <= Math.max(COPY_BYTES_MAX, this.#stream.size / 10);
    const digest = isSmall && (await this.#engine.memory.sha256(ptr, len));
    if (digest) {
      this.#engine.put(digest);
      this.#engine.call("package_tensor_digest", this.handle, idx);
    } else {
      await this.#steps("package_tensor_verify_step", [idx], () => {});
    }
  }

  /** Repeats a step verb until nothing is left. */
  async #steps(verb, args, onLeft) {
    const budget = new Budget(1 << 20, 1 << 16, 1 << 28);
    for (let left = 1; left > 0; ) {
      const began = performance.now();
      left = this.#engine.call(verb, this.handle, ...args, budget.units);
      budget.note(performance.now() - began);
      onLeft(left);
      await this.#turn.next();
    }
  }

  async #pass(len, sink) {
    this.#turn.check();
    const n = await this.#stream.pass(len, (bytes, at) => {
      this.#turn.check();
      sink(bytes, at);
    });
    if (n < len) {
      const message = `the file ended after ${this.#at + n} of ${this.#stream.size} bytes`;
      throw new CultivarError(message, { kind: KIND.network });
    }
  }

  #progress(phase, doneBytes, totalBytes, isLast = false) {
    const now = performance.now();
    if (!isLast && now - this.#reported < PROGRESS_MS) return;
    this.#reported = now;
    this.#onProgress({ phase, doneBytes, totalBytes });
  }
}
