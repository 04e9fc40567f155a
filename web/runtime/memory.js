/**
 * The only file that touches the module's memory.
 * Every view is made at the moment of use: a call into the module may grow the memory, which
 * detaches all older views. Nothing that is returned here, except by `view`, aliases the memory.
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class ModuleMemory {
  #memory;

  /** @param {WebAssembly.Memory} memory */
  constructor(memory) {
    this.#memory = memory;
  }

  /** Bytes of the whole memory now. */
  get byteLength() {
    return this.#memory.buffer.byteLength;
  }

  /** Bytes as they lie in the memory; valid until the next call into the module. */
  view(ptr, len) {
    return new Uint8Array(this.#memory.buffer, ptr, len);
  }

  /** Writes `bytes` at `ptr`. */
  write(ptr, bytes) {
    this.view(ptr, bytes.length).set(bytes);
  }

  /** A copy of `len` bytes. */
  copy(ptr, len) {
    return this.view(ptr, len).slice();
  }

  /** The text of `len` UTF-8 bytes. */
  text(ptr, len) {
    return len === 0 ? "" : decoder.decode(this.view(ptr, len));
  }

  /** A copy of `n` unsigned 32-bit numbers. */
  words(ptr, n) {
    return new Uint32Array(this.copy(ptr, n * 4).buffer);
  }

  /** A copy of `n` 32-bit floats. */
  floats(ptr, n) {
    return new Float32Array(this.copy(ptr, n * 4).buffer);
  }

  /**
   * SHA-256 of `len` bytes by the browser, which copies them when it is called; `null` where the
   * context is not secure.
   */
  sha256(ptr, len) {
    const subtle = globalThis.crypto?.subtle;
    if (!subtle) return null;
    return subtle.digest("SHA-256", this.view(ptr, len)).then((digest) => new Uint8Array(digest));
  }
}

/** UTF-8 bytes of a text; lone surrogates become U+FFFD. */
export function utf8(text) {
  return encoder.encode(text);
}

/** The bytes of a list of token ids. */
export function idBytes(ids) {
  const words = ids instanceof Uint32Array ? ids : Uint32Array.from(ids);
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}
