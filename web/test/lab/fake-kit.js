/**
 * A kit for tests with the real one's interface and no engine: text comes from a fixed list, so
 * commands and panels can be tried without WebAssembly. Test only; the page never loads it.
 */

export class CultivarError extends Error {
  constructor(message, code, kind) {
    super(message);
    this.name = "CultivarError";
    this.code = code;
    this.kind = kind;
  }
}

const WORDS = [",", " there", " was", " a", " little", " girl", " named", " Lily", ".",
  " She", " loved", " to", " play", " outside", " in", " the", " park", "."];
const HEX = "0123456789abcdef".repeat(4);

/** A card such as `package_describe` gives. */
export function fakeCard(overrides = {}) {
  return {
    name: "stories260K", kind: "model", architecture: "llama, 5 layers, d_model 64, 8 heads (4 kv)",
    n_parameters: 260032,
    formats: { f32: 48 }, context_len: 512,
    tokenizer: { kind: "sentencepiece_bpe", vocab_size: 512 },
    license: "MIT", source: "llama2.c", file_bytes: 1075712,
    identities: { content: HEX, weights: HEX, architecture: HEX, tokenizer: HEX,
      tensor_schema: HEX },
    memory: { weights_bytes: 1040128, kv_bytes: 655360, workspace_bytes: 81920,
      total_bytes: 1777408 },
    config: { d_model: 64, d_ff: 172, n_layers: 5, n_heads: 8, n_kv_heads: 4 },
    tensors: [], ...overrides,
  };
}

function checkStopped(signal) {
  if (signal?.aborted) throw new DOMException("stopped", "AbortError");
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Its token at a place is the place's number, shifted by the seed: a text per seed. */
class FakeSession {
  constructor(settings, kit) {
    Object.assign(this, { settings, kit, ids: [], isClosed: false, signal: null, prompts: [] });
  }
  async *generate(prompt, { signal } = {}) {
    Object.assign(this, { signal, output: [] });
    this.prompts.push(prompt);
    this.ids.push(...prompt);
    for (let index = 0; index < this.settings.max_tokens; index += 1) {
      await pause(this.kit.pace_ms);
      checkStopped(signal);
      const id = index + Number(BigInt(this.settings.seed) % 16n);
      this.ids.push(id);
      this.output.push(id);
      yield { id, index, text: WORDS[id % WORDS.length] };
    }
  }
  async fork() {
    const fork = new FakeSession(this.settings, this.kit);
    Object.assign(fork, { ids: [...this.ids], isFork: true });
    this.kit.sessions.push(fork);
    return fork;
  }
  async rewind(n) {
    this.ids.length = n;
  }
  async report() {
    return {
      schema: "cultivar.run.v1", prompt_ids: [1], output_ids: this.output, text: "…",
      stop_reason: this.signal?.aborted ? "cancelled" : "max_tokens", run_digest: HEX,
      diagnostics: { schema: "cultivar.diagnostics.v1", decode_ms_p50: 0.71, peak_bytes: 3e6,
        decode_tokens_per_s: 1404.2, n_prompt: 5 },
    };
  }
  async record(options) {
    return { schema: "cultivar.replay.v1", options, run_digest: HEX };
  }
  async close() {
    this.isClosed = true;
  }
}

class FakePackage {
  constructor(card, kit) {
    Object.assign(this, { card, kit, isClosed: false });
  }
  async createSession(settings) {
    this.kit.sessions.push(new FakeSession(settings, this.kit));
    return this.kit.sessions.at(-1);
  }
  /** As a play: a letter for the role, a colon, the text. */
  async renderChat(messages) {
    const text = messages.map(({ role, content }) => `${role[0]}:${content};`).join("") + "a:";
    const ids = Array.from(text, (letter) => letter.codePointAt(0));
    return { text, ids, format: "plain", is_recognised: false, stop_strings: [";"],
      stop_tokens: [] };
  }
  async replay(record, { prompts, signal, onTokens }) {
    this.kit.replayed = { record, prompts };
    onTokens(1);
    await pause(this.kit.pace_ms);
    checkStopped(signal);
    if (record.bad) throw new CultivarError("the record lacks its field turns", 362, "session");
    return { same_bits: true, n_steps: 2, run_digest: HEX, first_difference: null };
  }
  async setLimits(limits) {
    this.limits = limits;
  }
  async tokenize(text) {
    return Uint32Array.from(text, (letter) => letter.codePointAt(0));
  }
  async close() {
    this.isClosed = true;
  }
}

/** The library's interface over a Map; `room` bytes and no more. */
export class FakeLibrary {
  parts = new Map();
  records = [];
  constructor(room = Infinity) {
    this.room = room;
  }
  async create() {
    const id = String(this.parts.size + 1);
    this.parts.set(id, []);
    return {
      id,
      write: async ({ data }) => {
        if (data.length > this.room) throw new CultivarError("no room", 0, "quota");
        this.parts.get(id).push(data);
      },
      close: async () => {},
      abort: () => this.remove(id),
    };
  }
  async copy(blob) {
    const { id, write } = await this.create();
    await write({ data: new Uint8Array(await blob.arrayBuffer()) });
    return id;
  }
  async commit(id, record) {
    this.records.push({ ...record, id });
    return id;
  }
  async list() {
    return [...this.records];
  }
  async blob(id) {
    return new Blob(this.parts.get(id));
  }
  async remove(id) {
    this.parts.delete(id);
    this.records = this.records.filter((record) => record.id !== id);
  }
}

/** Bytes that start with "BAD" fail as a damaged package does. */
export class Cultivar {
  info = { module: "simd128", backend: "fake", version: "0.0.0", abiVersion: 1 };
  sessions = [];
  packages = [];
  onReplaced = null;
  pace_ms = 0;
  static async open() {
    return new Cultivar();
  }
  async openPackage(blob, { signal, onProgress, onCard } = {}) {
    const { size: totalBytes } = typeof blob === "function" ? (blob = await blob()) : blob;
    onProgress?.({ phase: "read", doneBytes: 0, totalBytes });
    if ((await blob.slice(13, 16).text()) === "BAD") {
      throw new CultivarError("Section config, byte 64: the digest is wrong", 110, "package");
    }
    const card = fakeCard({ file_bytes: totalBytes });
    await onCard?.(card);
    for (let step = 1; step <= 4; step += 1) {
      await pause(this.pace_ms);
      checkStopped(signal);
      onProgress?.({ phase: "read", doneBytes: (totalBytes * step) / 4, totalBytes });
    }
    this.packages.push(new FakePackage(card, this));
    return this.packages.at(-1);
  }
  async importPackage(files, { signal, format, onPlan, onProgress, sink } = {}) {
    this.imported = { names: files.map((file) => file.name), format };
    try {
      const { memory, n_parameters, context_len } = fakeCard();
      await onPlan?.({ formats: { f32: 9, q8_0: 8 }, memory, n_parameters, context_len });
      await pause(this.pace_ms);
      checkStopped(signal);
      onProgress?.({ phase: "import", doneBytes: 1, totalBytes: 1 });
      const data = new Uint8Array(64);
      if (!sink) return new Blob([data]);
      await sink.write({ position: 0, data });
      await sink.close();
      return data.length;
    } catch (error) {
      await sink?.abort(error);
      throw error;
    }
  }
  async exportPackage(blob, format) {
    this.exported = { bytes: blob.size, format };
    return { files: [{ name: "", blob }], report: { notes: ["one tensor became q8_0"] } };
  }
}
