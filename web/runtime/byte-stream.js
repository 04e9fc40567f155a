/**
 * A file as a stream of bounded pieces, from a Blob or from a URL, consumed exactly front to back.
 * Never holds more than one piece, whatever the file's size.
 */
import { CultivarError, KIND } from "./errors.js";

/** Bytes asked of a Blob at a time: large enough for full speed, small enough to stop quickly. */
const PIECE_BYTES = 8 << 20;

export class ByteStream {
  #nextPiece;
  #piece = new Uint8Array(0);
  #isOver = false;

  /** `size` bytes; `nextPiece` resolves to null at the end; `cancel` gives up what is unread. */
  constructor(size, nextPiece, cancel = () => {}) {
    this.size = size;
    this.cancel = cancel;
    this.#nextPiece = nextPiece;
  }

  /** A stream over a Blob, or over what a URL answers; `signal` ends a transfer. */
  static async open(source, signal) {
    return typeof source === "string" ? openUrl(source, signal) : openBlob(source);
  }

  /**
   * Consumes the next `len` bytes and hands them to `sink(bytes, at)` in pieces, `at` counting
   * from 0. Answers how many there were, fewer than `len` only at the end of the file.
   */
  async pass(len, sink) {
    let at = 0;
    while (at < len) {
      if (this.#piece.length === 0) await this.#refill();
      if (this.#isOver) break;
      const bytes = this.#piece.subarray(0, len - at);
      this.#piece = this.#piece.subarray(bytes.length);
      sink(bytes, at);
      at += bytes.length;
    }
    return at;
  }

  /** The next `len` bytes in one array, or as many as there are. */
  async take(len) {
    const whole = new Uint8Array(len);
    const n = await this.pass(len, (bytes, at) => whole.set(bytes, at));
    return whole.subarray(0, n);
  }

  async #refill() {
    const piece = await this.#nextPiece();
    if (piece === null) this.#isOver = true;
    else this.#piece = piece;
  }
}

function openBlob(blob) {
  let at = 0;
  return new ByteStream(blob.size, async () => {
    if (at >= blob.size) return null;
    const part = blob.slice(at, at + PIECE_BYTES);
    at += part.size;
    return new Uint8Array(await readable(part.arrayBuffer()));
  });
}

async function openUrl(url, signal) {
  const response = await readable(fetch(url, { signal }), signal);
  if (!response.ok) {
    throw new CultivarError(`${url} answered ${response.status}`, { kind: KIND.network });
  }
  const size = Number(response.headers.get("content-length"));
  // An encoded transfer states its own length, not the file's: then the whole has to be there.
  if (!size || response.headers.get("content-encoding") || !response.body) {
    return openBlob(await readable(response.blob(), signal));
  }
  const reader = response.body.getReader();
  const nextPiece = async () => {
    const { done, value } = await readable(reader.read(), signal);
    return done ? null : value;
  };
  return new ByteStream(size, nextPiece, () => reader.cancel().catch(() => {}));
}

/** Failures of the browser's readers, said in our words; a stop keeps its own name. */
async function readable(promise, signal) {
  try {
    return await promise;
  } catch (cause) {
    if (signal?.aborted) throw new CultivarError("stopped", { kind: KIND.stopped });
    const message = `the file cannot be read (${cause.message}): was it changed or removed?`;
    throw new CultivarError(message, { kind: KIND.network });
  }
}
