/**
 * Measures one package in one module, by the kit's own parts: the same for a worker of a page and
 * for Node. Phases come in a fixed order, cold before warm; every figure has its unit in its name,
 * rates are tokens per second. Never compares anything.
 */
import { Engine } from "../../runtime/engine.js";
import { idBytes } from "../../runtime/memory.js";
import { loadPackage } from "../../runtime/package-loader.js";
import { queuePrompt, runSession } from "../../runtime/session-runner.js";
import { SESSION_STEP } from "../../runtime/abi.js";
import { adapterCosts } from "./adapters.js";
import { costs } from "./costs.js";

/** More rows than any engine takes at once: steps as long as they can be. */
export const WHOLE = 1 << 12;
const MIB = 2 ** 20;
const N_DECODE = 128;
const N_FORKS = 32;
/** Sessions that decode together, and how many tokens each. */
const BATCHES = [1, 4, 16];
const N_BATCH_TOKENS = 32;
/** Candidates of 40 instead of the largest logit. */
const SAMPLED = { temperature: 0.8, top_k: 40, top_p: 0.95 };
/** Runs with a constraint and without, in turn, and how many tokens each may have. */
const N_CONSTRAINED = 6;
const N_CONSTRAINED_TOKENS = 64;
/** Lengths of the chat that goes on: its first prompt, what it answers, its second prompt. */
export const CHAT = [500, 20, 20];

/** Every prompt has ids of its own, so that none finds the pages of another. */
const PROMPTS = [
  "first", "warm", "128", "512", "kit", "decode", "chat", "second", "empty", "anew", "forks",
  "batch", "again", "sampled", "adapters", "constraint",
];

/** Token ids of a prompt of a job: `which` is one of PROMPTS or a number of the caller's. */
export function promptIds(n, seed, which) {
  const nth = typeof which === "number" ? PROMPTS.length + which : PROMPTS.indexOf(which);
  const start = (seed * 64 + nth) * 4099;
  return Array.from({ length: n }, (_, i) => 3 + ((i * 7919 + start) % 250));
}

/** Works through the phases on one engine; `job.phases` names them, `job.seed` the prompts. */
export class Job {
  figures = {};
  #phases;
  #seed;

  constructor({ phases, seed }) {
    this.#phases = new Set(phases);
    this.#seed = seed;
  }

  /**
   * `adapter` is the Blob of an adapter for the package, `constraint` a grammar and its compiled
   * table, for the phases that need them.
   */
  async run(moduleBytes, blob, { adapter, constraint } = {}) {
    const began = performance.now();
    await this.#instantiate(moduleBytes);
    await this.#load(blob);
    const first = this.#generate("first", 8, 2);
    this.#note("first", {
      first_cold_ms: first.firstMs,
      load_to_first_ms: performance.now() - began,
    });
    this.#generate("warm", 8, 24);
    await this.#rates();
    this.#note("first", { first_warm_ms: this.#generate("again", 8, 1).firstMs });
    const { kv_peak_bytes: kvBytes } = this.engine.json("package_cache", this.handle);
    const over = this.engine.memory.byteLength - kvBytes;
    this.#note("memory", {
      memory_mib: this.engine.memory.byteLength / MIB,
      over_package_mib: (over - blob.size) / MIB,
      over_1_15_package_mib: (over - 1.15 * blob.size) / MIB,
      over_1_05_package_mib: (over - 1.05 * blob.size) / MIB,
    });
    if (this.#phases.has("chat")) this.#chat();
    if (this.#phases.has("forks")) this.#forks();
    if (this.#phases.has("constraint")) this.#constraint(constraint);
    if (this.#phases.has("batch")) for (const n of BATCHES) this.#batch(n);
    if (this.#phases.has("adapters")) await this.#adapters(adapter);
    return { figures: this.figures, digest: this.digest };
  }

  async #adapters(blob) {
    const open = (nTokens) => this.#open("adapters", 0, nTokens, 256).session;
    const ids = promptIds(8, this.#seed, "adapters");
    const given = { engine: this.engine, package: this.handle, open, ids, blob };
    Object.assign(this.figures, await adapterCosts(given));
  }

  #note(phase, figures) {
    if (this.#phases.has(phase)) Object.assign(this.figures, figures);
  }

  async #instantiate(bytes) {
    const began = performance.now();
    const module = await WebAssembly.compile(bytes);
    const compiled = performance.now();
    this.engine = await Engine.create(module);
    const done = performance.now();
    this.#note("instantiate", { compile_ms: compiled - began, instantiate_ms: done - began });
  }

  async #load(blob) {
    const began = performance.now();
    const { handle, card } = await loadPackage(this.engine, blob);
    Object.assign(this, { handle, card });
    this.#note("load", { load_ms: performance.now() - began });
  }

  /** Prompts of 128 and 512 tokens in steps as long as can be, and as the kit cuts them. */
  async #rates() {
    const { max } = Math;
    if (this.#phases.has("prefill")) {
      const rate = 128e3 / this.#generate("128", 128, 1).firstMs;
      this.figures.prefill_128 = rate;
      this.figures.prefill_products_gmacs = (rate * this.#prefillMacs()) / 1e9;
      if (this.card.config.context_len > 512) {
        this.figures.prefill_512 = 512e3 / this.#generate("512", 512, 1).firstMs;
      }
      const { session, ids } = this.#open("kit", 128, 1);
      let firstMs = 0;
      const began = performance.now();
      await runSession(this.engine, session, ids, {
        onTokens: () => (firstMs = max(firstMs, performance.now() - began)),
      });
      this.figures.prefill_128_kit = 128e3 / firstMs;
      this.engine.call("session_close", session);
    }
    if (this.#phases.has("decode")) {
      const { decodeMs, digest } = this.#generate("decode", 8, N_DECODE);
      this.figures.decode_128 = ((N_DECODE - 1) * 1e3) / decodeMs;
      const sampled = this.#generate("sampled", 8, N_DECODE, SAMPLED);
      this.figures.decode_128_sampled = ((N_DECODE - 1) * 1e3) / sampled.decodeMs;
      this.figures.decode_weights_gbs = (this.figures.decode_128 * costs(this.card).bytes) / 1e9;
      this.digest = digest;
    }
  }

  /** Products per token of a prompt of 128, whose last token alone has logits. */
  #prefillMacs() {
    const { macs, parts } = costs(this.card);
    return macs - (parts.output.macs * 127) / 128;
  }

  /** A second prompt behind a long chat, the same in an empty context, and all of it anew. */
  #chat() {
    const [nFirst, nAnswer, nSecond] = CHAT;
    if (this.card.config.context_len < nFirst + 2 * nAnswer + 2 * nSecond) return;
    const { session, ids } = this.#open("chat", nFirst, nAnswer);
    this.#steps(session, ids);
    const secondIds = promptIds(nSecond, this.#seed, "second");
    const second = [];
    const empty = [];
    for (let i = 0; i < 3; i += 1) {
      second.push(this.#steps(session, secondIds).firstMs);
      this.engine.call("session_rewind", session, nFirst + nAnswer);
      empty.push(this.#generate("empty", nSecond, 1).firstMs);
    }
    this.engine.call("session_close", session);
    this.figures.second_turn_first_ms = Math.min(...second);
    this.figures.empty_first_ms = Math.min(...empty);
    const nAll = nFirst + nAnswer + nSecond;
    this.figures.all_anew_first_ms = this.#generate("anew", nAll, 1).firstMs;
  }

  /** A prefix of 256 tokens, and what its forks take: at once, and a token later in each. */
  #forks() {
    const { engine } = this;
    const { session, ids } = this.#open("forks", 256, 4);
    queuePrompt(engine, session, ids);
    while (engine.call("session_step", session, WHOLE) === SESSION_STEP.prefilling);
    const used = () => engine.json("memory_stats").used_bytes;
    const before = used();
    this.figures.prefix_kib = engine.json("package_cache", this.handle).kv_used_bytes / 1024;
    const forks = Array.from({ length: N_FORKS }, () => engine.call("session_fork", session));
    this.figures.fork_kib = (used() - before) / N_FORKS / 1024;
    for (const fork of forks) engine.call("session_step", fork, WHOLE);
    this.figures.forks_mib = (used() - before) / MIB;
    for (const each of [...forks, session]) engine.call("session_close", each);
  }

  /** What a grammar adds to a token, and until the first session with it is open. */
  #constraint({ gbnf, table }) {
    const { engine } = this;
    const began = performance.now();
    engine.call("package_constraint", this.handle, engine.put(table));
    const open = (seed, constraint) => {
      const settings = {
        max_tokens: N_CONSTRAINED_TOKENS, ignore_stop: true, temperature: 1, seed, constraint,
      };
      const n = engine.putText(JSON.stringify(settings));
      return engine.call("session_new", this.handle, n);
    };
    engine.call("session_close", open(0, { gbnf }));
    this.figures.constraint_start_ms = performance.now() - began;
    const sums = [{ ms: 0, n: 0 }, { ms: 0, n: 0 }];
    for (let seed = 0; seed < N_CONSTRAINED; seed += 1) {
      for (const [i, sum] of sums.entries()) {
        const session = open(seed, i === 1 ? { gbnf } : null);
        const { decodeMs } = this.#steps(session, promptIds(8, this.#seed, "constraint"));
        sum.ms += decodeMs;
        sum.n += engine.json("session_report", session).output_ids.length - 1;
        engine.call("session_close", session);
      }
    }
    const [free, bound] = sums.map(({ ms, n }) => ms / n);
    this.figures.constraint_us = (bound - free) * 1e3;
    this.figures.constraint_x = bound / free;
  }

  /** Tokens per second of sessions that decode together, a row of each in every batch. */
  #batch(n) {
    const { engine } = this;
    const sessions = Array.from({ length: n }, (_, i) => {
      const { session } = this.#open("batch", 0, 2 * N_BATCH_TOKENS, { context_len: 128 });
      queuePrompt(engine, session, promptIds(8, this.#seed, 1 + n + i));
      while (engine.call("session_step", session, WHOLE) === SESSION_STEP.prefilling);
      return session;
    });
    const step = () => engine.call("batch_step", engine.put(idBytes(sessions)) / 4, WHOLE);
    for (let i = 0; i < 4; i += 1) step();
    const began = performance.now();
    for (let i = 0; i < N_BATCH_TOKENS; i += 1) step();
    const rate = (n * N_BATCH_TOKENS * 1e3) / (performance.now() - began);
    this.figures[`batch_${n}`] = rate;
    this.figures[`batch_${n}_products_gmacs`] = (rate * costs(this.card).macs) / 1e9;
    for (const session of sessions) engine.call("session_close", session);
  }

  #open(which, nPrompt, maxTokens, more = {}) {
    const settings = { max_tokens: maxTokens, ignore_stop: true, ...more };
    const n = this.engine.putText(JSON.stringify(settings));
    const session = this.engine.call("session_new", this.handle, n);
    return { session, ids: promptIds(nPrompt, this.#seed, which) };
  }

  /** One run: until the first token, and from there to the last. */
  #generate(which, nPrompt, nTokens, settings) {
    const { session, ids } = this.#open(which, nPrompt, nTokens, settings);
    const times = this.#steps(session, ids);
    const digest = this.engine.json("session_report", session).run_digest;
    this.engine.call("session_close", session);
    return { ...times, digest };
  }

  #steps(session, ids) {
    const { engine } = this;
    const began = performance.now();
    queuePrompt(engine, session, ids);
    let firstMs;
    for (;;) {
      const outcome = engine.call("session_step", session, WHOLE);
      if (outcome === SESSION_STEP.done) break;
      if (outcome === SESSION_STEP.prefilling) continue;
      engine.call("session_token", session);
      engine.text(engine.call("session_text", session));
      firstMs ??= performance.now() - began;
    }
    return { firstMs, decodeMs: performance.now() - began - firstMs };
  }
}
