/**
 * Text for an engine: an instance of the text module, which has the tokenizer and the chat format
 * of each package that the engine is opening or has open. Never sees a weight.
 */
import { ENCODE_FLAGS } from "./abi.js";

/** Flags of tokenizing; `bos` undefined: as the model wants it. */
function encodeFlags({ special = false, bos } = {}) {
  const parse = special ? ENCODE_FLAGS.parse_special : 0;
  if (bos === undefined) return parse;
  return parse | (bos ? ENCODE_FLAGS.add_bos : ENCODE_FLAGS.no_bos);
}

/** A closed one, for packages that are not open. */
const NO_HANDLE = 0;

export class Encoder {
  #handles = new Map();

  /** @param {import("./engine.js").Engine} module the text module's instance */
  constructor(module) {
    this.module = module;
  }

  /** Takes what text needs from the head of a package of the engine, a file of `fileBytes`. */
  open(handle, head, fileBytes) {
    const text = this.module.call("text_open", this.module.put(head), fileBytes);
    this.#handles.set(handle, text);
  }

  #handle(handle) {
    return this.#handles.get(handle) ?? NO_HANDLE;
  }

  /** Token ids of a text. */
  ids(handle, text, options) {
    const len = this.module.putText(text);
    const n = this.module.call("tokenize", this.#handle(handle), len, encodeFlags(options));
    return this.module.memory.words(this.module.call("buffer_ptr"), n);
  }

  /** The prompt of a conversation. */
  chatPrompt(handle, order) {
    const len = this.module.putText(JSON.stringify(order));
    return this.module.json("chat_prompt", this.#handle(handle), len);
  }

  /** Forgets a package. */
  close(handle) {
    if (!this.#handles.has(handle) || this.module.isDead) return;
    this.module.call("text_close", this.#handles.get(handle));
    this.#handles.delete(handle);
  }
}
