/**
 * An open package on the page's side: a handle in the worker and where the bytes came from, so
 * that it can be opened again when the worker is replaced. Never holds weights.
 */
import { Adapter } from "./adapter.js";
import { ByteStream } from "./byte-stream.js";
import { CultivarError, KIND } from "./errors.js";
import { Session } from "./session.js";

export class Package {
  #client;
  #kit;
  #source;
  #handle = 0;
  #epoch = 0;
  #opening = null;
  #closed = false;

  /** What the package is: see `Card` in `cultivar.d.ts`. */
  card = null;

  constructor(client, kit, source) {
    this.#client = client;
    this.#kit = kit;
    this.#source = source;
  }

  /** Opens a package; resolves when it is verified as a whole. */
  static async open(client, kit, source, hooks) {
    const opened = new Package(client, kit, asSource(source));
    await opened.#open(hooks);
    return opened;
  }

  async #open({ signal, pauser, onCard, onProgress } = {}) {
    const onEvent = (event, data) => {
      if (event === "progress") onProgress?.(data);
      return event === "card" ? onCard?.(data) : undefined;
    };
    await this.#client.ready();
    const { epoch } = this.#client;
    const args = { source: await sourceNow(this.#source) };
    const { handle, card } = await this.#client.call("openPackage", args, {
      signal, pauser, onEvent, epoch,
    });
    Object.assign(this, { card });
    this.#handle = handle;
    this.#epoch = epoch;
  }

  /** Calls a verb on the package, opening it again first if its worker is gone. */
  async #call(verb, args, hooks) {
    this.#checkOpen();
    if (this.#epoch !== this.#client.epoch) {
      this.#opening ??= this.#open().finally(() => (this.#opening = null));
      await this.#opening;
      this.#checkOpen();
    }
    const epoch = this.#epoch;
    const all = { handle: this.#handle, ...args };
    const value = await this.#client.call(verb, all, { ...hooks, epoch });
    return { value, epoch };
  }

  /** Opens an adapter for this package. */
  openAdapter(source, hooks) {
    const call = (...args) => this.#call(...args);
    const kept = asSource(source);
    return new Adapter(this.#client, call, () => sourceNow(kept)).open(hooks);
  }

  /** The identity of this package with these adapters. */
  async assembly(adapters = []) {
    return (await this.#call("assembly", { stack: await this.#stack(adapters) })).value;
  }

  /** Adapters as the worker names them. */
  async #stack(adapters) {
    const stack = [];
    for (const { adapter, weight = 1, layerWeights, moduleWeights } of adapters) {
      stack.push({
        adapter: await adapter.handle(), weight,
        layer_weights: layerWeights, module_weights: moduleWeights,
      });
    }
    return stack;
  }

  #checkOpen() {
    if (this.#closed) throw new CultivarError("the package was closed", { kind: KIND.closed });
  }

  /** Token ids of a text. */
  async tokenize(text, options = {}) {
    return (await this.#call("tokenize", { text, options })).value;
  }

  /** Text of token ids. */
  async detokenize(ids) {
    return (await this.#call("detokenize", { ids })).value;
  }

  /** The package as files of another program: "gguf" or "safetensors". */
  exportAs(format, options) {
    return this.#kit.exportPackage(this.#source, format, options);
  }

  /** Opens a session. */
  async createSession(settings = {}, adapters = []) {
    const given = plain(settings);
    const tables = await this.#tables([given.constraint]);
    const stack = await this.#stack(adapters);
    return this.#session("createSession", { settings: given, tables, stack });
  }

  /** Opens the session of a snapshot. */
  async restore(snapshot) {
    const bytes = new Uint8Array(await snapshot.arrayBuffer());
    const tables = await this.#tables([constraintOf(bytes)]);
    return this.#session("restore", { bytes, tables });
  }

  /** What the engine needs for these constraints: each table once. */
  #tables(constraints) {
    const given = new Set(constraints.filter(Boolean).map((one) => JSON.stringify(one)));
    return Promise.all([...given].map((one) => this.#kit.compileConstraint(JSON.parse(one))));
  }

  async #session(verb, args) {
    const { value, epoch } = await this.#call(verb, args);
    return new Session(this.#client, value, epoch, (adapters) => this.#stack(adapters));
  }

  /** The prompt of a conversation. */
  async renderChat(messages, { addGeneration = true } = {}) {
    const order = { messages, add_generation: addGeneration };
    return (await this.#call("chatPrompt", { order })).value;
  }

  /** Computes a record again; `prompts` are those that it leaves out. */
  async replay(record, { prompts = [], signal, onTokens } = {}) {
    const given = prompts.values();
    const turns = record.turns?.map(({ prompt_ids = given.next().value, ...turn }) => ({
      ...turn, prompt_ids: prompt_ids && Array.from(prompt_ids),
    }));
    const hooks = { signal, onEvent: (_, data) => onTokens?.(data) };
    const tables = await this.#tables([record.settings?.constraint]);
    return (await this.#call("replay", { record: { ...record, turns }, tables }, hooks)).value;
  }

  /** Runs all prompts together; `settings` are for all, or a list. */
  async generateBatch(prompts, settings = {}, { signal, special, bos } = {}) {
    const each = prompts.map((prompt, i) => ({
      prompt, settings: plain(Array.isArray(settings) ? settings[i] : settings),
    }));
    const tables = await this.#tables(each.map((one) => one.settings.constraint));
    const args = { prompts: each, options: { special, bos }, tables };
    return (await this.#call("generateBatch", args, { signal })).value;
  }

  /** Sets what a batch and the cache may take. */
  async setLimits(limits) {
    await this.#call("setLimits", { limits });
  }

  /** What a batch and the cache may take, and take. */
  async cache() {
    return (await this.#call("cache")).value;
  }

  /** Closes the package and its sessions, and gives their memory back. */
  async close() {
    if (this.#closed) return;
    this.#closed = true;
    // What is being opened again has a handle only when that is over.
    await this.#opening?.catch(() => {});
    if (this.#epoch !== this.#client.epoch) return;
    const hooks = { epoch: this.#epoch };
    await this.#client.call("closePackage", { handle: this.#handle }, hooks);
  }
}

/** `{schema}` and `{grammar}` as reports and records have them; the compiler judges what it is. */
export function inEngineWords(constraint) {
  const { schema, grammar } = Object(constraint);
  if (schema !== undefined) return { json_schema: schema };
  return grammar === undefined ? constraint : { gbnf: grammar };
}

/** Where a snapshot has its settings: the number of bytes, then JSON (docs/numerics.md). */
const SNAPSHOT_SETTINGS_AT = 60;

/** The constraint of a snapshot, if it has one; what is no snapshot is refused by the engine. */
function constraintOf(bytes) {
  try {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const text = bytes.subarray(SNAPSHOT_SETTINGS_AT + 4);
    const n = view.getUint32(SNAPSHOT_SETTINGS_AT, true);
    return JSON.parse(new TextDecoder().decode(text.subarray(0, n))).constraint;
  } catch {
    return null;
  }
}

/** The bytes of whatever a package can be opened from. */
export async function blobOf(source, signal) {
  const now = await sourceNow(asSource(source));
  if (now instanceof Blob) return now;
  const stream = await ByteStream.open(now, signal);
  return new Blob([await stream.take(stream.size)]);
}

/** A function gives the Blob anew each time. */
const sourceNow = (source) => (typeof source === "function" ? source() : source);

/** Settings in the engine's words. A seed of 64 bits does not survive a JSON number. */
function plain(settings) {
  const { seed, constraint } = settings;
  return {
    ...settings,
    ...(seed !== undefined && { seed: String(seed) }),
    ...(constraint && { constraint: inEngineWords(constraint) }),
  };
}

/** A Blob stays with the browser and can be read again; a URL is fetched again. */
function asSource(source) {
  if (source instanceof Blob || typeof source === "function") return source;
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return new Blob([source]);
  if (source instanceof URL) return source.href;
  if (typeof source === "string") return new URL(source, globalThis.location?.href).href;
  const message = "a package is opened from a Blob, File, URL, ArrayBuffer or function";
  throw new CultivarError(message, { kind: KIND.badArgument });
}
