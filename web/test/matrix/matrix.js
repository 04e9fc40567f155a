/**
 * The determinism matrix in one engine: every way of computing a run gives the digest that scalar
 * native code wrote into fixtures/matrix/digests.json. Runs wherever modules do, without a kit's
 * worker, so that Node and all browsers go through the same cells. docs/numerics.md has the table.
 */
import { SESSION_STEP } from "../../runtime/abi.js";
import { Engine } from "../../runtime/engine.js";
import { importFiles } from "../../runtime/import-runner.js";
import { idBytes } from "../../runtime/memory.js";
import { loadPackage } from "../../runtime/package-loader.js";

const CHUNKS = [1, 7, 64, 4096];
const STATES = ["cold", "warm", "fork", "eviction", "partial", "snapshot"];
/** Those in which another session has read the prompt before. */
const READ_BEFORE = ["warm", "eviction", "partial"];
/** Alone, and the third of five; each without drafts and with them. */
const COMPANIES = [1, 5].flatMap((company) => [0, 4].map((lookup) => ({ company, lookup })));
/** Pages of the prompt that a cell must find, at least and at most. */
const PAGES_HIT = { cold: [0, 0], warm: [2, 3], eviction: [0, 0], partial: [1, 1] };
const KEPT_BYTES = 64 << 20;
const ROWS = 80;
const LOGIT_ROWS = 10;

/** Cells of one run: rows of a prompt at once x state of the cache x company and drafts. */
export const cells = CHUNKS.flatMap((chunk) => STATES.flatMap((state) =>
  COMPANIES.map((company) => ({ chunk, state, ...company }))));

/**
 * Goes through all cells of every run with this engine module. `models` are {name, format,
 * prompt_ids, runs: [{settings, run_digest}]}, `files` gives a model's checkpoint and tokenizer.
 * Answers `{backend, nCells, wrong}`: what differs, in words.
 */
export async function goThrough({ engine: module, packer }, models, files) {
  const wrong = [];
  let nCells = 0;
  let backend = "";
  for (const model of models) {
    const blob = await importFiles(await Engine.create(packer), await files(model.name), {
      format: model.format, name: "model", license: "CC0-1.0", source: "test",
    });
    const engine = await Engine.create(module);
    backend = engine.info.backend;
    engine.call("selftest");
    const { handle } = await loadPackage(engine, blob);
    engine.call("package_limits", handle, ROWS, LOGIT_ROWS, NaN, NaN);
    for (const { settings, run_digest: expected } of model.runs) {
      for (const cell of cells) {
        const got = new Cell(engine, handle, model.prompt_ids, settings, cell).digest();
        const about = `${model.name} ${model.format} ${settings.kv ?? ""} ${JSON.stringify(cell)}`;
        if (got !== expected) wrong.push(`${about}: ${got}`);
        nCells += 1;
      }
    }
  }
  return { backend, nCells, wrong };
}

/** One way of computing one run. */
class Cell {
  constructor(engine, handle, promptIds, settings, cell) {
    Object.assign(this, { engine, handle, promptIds, settings, ...cell });
  }

  digest() {
    const place = this.company >> 1;
    this.#evict();
    if (READ_BEFORE.includes(this.state)) {
      const before = [this.#open(this.promptIds, 0)];
      this.#advance(before, 64, Infinity);
      this.#close(before);
      if (this.state === "eviction") this.#evict();
      if (this.state === "partial") this.#keep(this.#cache().kv_retained_bytes - 1);
    }
    // Others begin alike and say less, or something else.
    const sessions = Array.from({ length: this.company }, (_, i) => i === place
      ? this.#open(this.promptIds, this.lookup)
      : this.#open(this.promptIds.slice(i % 2, 6 + i), 0));
    let nDrafted = 0;
    if (["fork", "snapshot"].includes(this.state)) {
      const nPrefill = Math.min(70, Math.floor(this.promptIds.length / this.chunk));
      this.#advance(sessions, this.chunk, nPrefill + 6);
      const [before] = sessions.splice(place, 1, this.#goOn(sessions[place]));
      nDrafted += this.#report(before).diagnostics.n_drafted;
      this.#close([before]);
    }
    this.#advance(sessions, this.chunk, Infinity);
    const report = this.#report(sessions[place]);
    nDrafted += report.diagnostics.n_drafted;
    this.#close(sessions);
    return this.#faultOf(report, nDrafted) ?? report.run_digest;
  }

  /** What a cell must have done to be one, or it proves nothing. */
  #faultOf({ output_ids: ids, diagnostics }, nDrafted) {
    if (ids.length !== 16) return `${ids.length} tokens`;
    const [least, most] = PAGES_HIT[this.state] ?? [0, Infinity];
    const nHit = diagnostics.n_pages_hit;
    if (nHit < least || nHit > most) return `${nHit} pages were found`;
    return nDrafted > 0 === this.lookup > 0 ? null : `${nDrafted} tokens of drafts`;
  }

  #report(session) {
    return this.engine.json("session_report", session);
  }

  #cache() {
    return this.engine.json("package_cache", this.handle);
  }

  /** Leaves no more than these bytes of pages that nobody holds. */
  #keep(bytes) {
    for (const kept of [bytes, KEPT_BYTES]) {
      this.engine.call("package_limits", this.handle, 0, 0, NaN, kept);
    }
  }

  #evict() {
    this.#keep(0);
    if (this.#cache().kv_bytes > 0) throw new Error("not cold");
  }

  #open(ids, lookup) {
    const settings = JSON.stringify({ ...this.settings, prompt_lookup: lookup });
    const session = this.engine.call("session_new", this.handle, this.engine.putText(settings));
    const n = this.engine.put(idBytes(ids)) / 4;
    this.engine.call("session_prompt_ids", session, n);
    return session;
  }

  #close(sessions) {
    for (const session of sessions) this.engine.call("session_close", session);
  }

  /** A session that goes on where another stands. */
  #goOn(session) {
    if (this.state === "fork") return this.engine.call("session_fork", session);
    const bytes = this.engine.bytes(this.engine.call("session_snapshot", session));
    return this.engine.call("session_restore", this.handle, this.engine.put(bytes));
  }

  /** Steps all sessions together until they are done, or this often. */
  #advance(sessions, rows, nMost) {
    const { engine } = this;
    const isRunning = (session) => engine.call("session_stop_reason", session) === 0;
    for (let n = 0; n < nMost && sessions.some(isRunning); n += 1) {
      if (sessions.length === 1) {
        engine.call("session_step", sessions[0], rows);
        continue;
      }
      engine.call("batch_step", engine.put(idBytes(sessions)) / 4, rows);
      const outcomes = engine.memory.words(engine.call("buffer_ptr"), sessions.length);
      if (outcomes.some((one) => one > SESSION_STEP.waiting)) throw new Error("a batch refused");
    }
  }
}
