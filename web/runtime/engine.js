/**
 * One instance of the module as an object: calls with errors instead of status codes, and the
 * shared buffer. Runs in the kit's worker, in Node, anywhere WebAssembly does.
 * Must never be used again after a trap: `isDead` says so, and every later call refuses.
 */
import { ABI_VERSION, EXPORTS } from "./abi.js";
import { Encoder } from "./encoder.js";
import { CultivarError, KIND, statusError } from "./errors.js";
import { ModuleMemory, utf8 } from "./memory.js";

/** Rows of the table with an address for an answer. */
const ANSWERS_ADDRESS = /^\w+ ptr/;

export class Engine {
  #exports;
  #dead = false;

  /** What makes ids of text; an engine without one takes ids alone. */
  encoder = null;

  /** @param {WebAssembly.Instance} instance */
  constructor(instance) {
    this.#exports = instance.exports;
    this.memory = new ModuleMemory(instance.exports.memory);
    this.info = this.#readInfo();
  }

  /**
   * Instantiates a compiled module, and the text module beside it. They must import nothing.
   * @param {WebAssembly.Module} module
   * @param {WebAssembly.Module} [textModule]
   */
  static async create(module, textModule) {
    const foreign = WebAssembly.Module.imports(module).find(({ name }) => name !== "now_ms");
    if (foreign) {
      const message = `the module imports ${foreign.name}; it must import nothing`;
      throw new CultivarError(message, { kind: KIND.unsupported });
    }
    const bench = { now_ms: () => performance.now() };
    const engine = new Engine(await WebAssembly.instantiate(module, { bench }));
    if (textModule) engine.encoder = new Encoder(await Engine.create(textModule));
    return engine;
  }

  /** Has a package's time noted by operator, where the module is one that asks for a clock. */
  profile(handle) {
    this.#exports.bench_profile?.(handle);
  }

  #readInfo() {
    const version = this.#exports.abi_version?.();
    if (version !== ABI_VERSION) {
      const message = `the module speaks ABI ${version}, the kit ${ABI_VERSION}: reload the page`;
      throw new CultivarError(message, { kind: KIND.unsupported });
    }
    return this.json("engine_info");
  }

  /** Whether a trap has ended this instance. */
  get isDead() {
    return this.#dead;
  }

  /**
   * Calls an export. A negative status, or address 0, becomes a CultivarError with the module's
   * own sentence; a trap becomes one of kind "trap".
   */
  call(name, ...args) {
    const raw = this.#raw(name, args);
    if (ANSWERS_ADDRESS.test(EXPORTS[name])) {
      const ptr = raw >>> 0;
      if (ptr !== 0) return ptr;
      throw statusError(this.#raw("error_code", []), this.#errorText());
    }
    if (raw >= 0) return raw;
    throw statusError(-raw, this.#errorText());
  }

  #raw(name, args) {
    if (this.#dead) {
      throw new CultivarError("this engine has ended after a defect", { kind: KIND.trap });
    }
    try {
      return this.#exports[name](...args);
    } catch (cause) {
      this.#dead = true;
      const said = this.#panicText() || cause.message;
      throw new CultivarError(`the engine failed in ${name}: ${said}`, { kind: KIND.trap });
    }
  }

  #errorText() {
    return this.text(this.#raw("error_text", []));
  }

  #panicText() {
    const len = this.#exports.panic_text_len() >>> 0;
    return this.memory.text(this.#exports.panic_text_ptr() >>> 0, len);
  }

  /** Memory of this instance and its encoder's together: JSON `cultivar.memory.v1`. */
  memoryStats() {
    const own = this.json("memory_stats");
    const text = this.encoder?.module.memoryStats() ?? {};
    for (const key of Object.keys(text)) if (key !== "schema") own[key] += text[key];
    return own;
  }

  /** Writes bytes to the front of the shared buffer; answers their number. */
  put(bytes) {
    this.memory.write(this.call("buffer_reserve", bytes.length), bytes);
    return bytes.length;
  }

  /** Writes a text to the shared buffer; answers its bytes. */
  putText(text) {
    return this.put(utf8(text));
  }

  /** The first `len` bytes of the buffer, copied. */
  bytes(len) {
    return this.memory.copy(this.call("buffer_ptr"), len);
  }

  /** The first `len` bytes of the buffer as text. */
  text(len) {
    return len === 0 ? "" : this.memory.text(this.call("buffer_ptr"), len);
  }

  /** Calls an export that answers with JSON, and parses it. */
  json(name, ...args) {
    return JSON.parse(this.text(this.call(name, ...args)));
  }
}
