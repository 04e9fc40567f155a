/**
 * Runs a session: prompt in, tokens out, in steps short enough to be stopped between any two.
 * Tokens are handed over in batches of one turn (16 ms), so that a fast model does not flood the
 * page, but each keeps its own id and text. Never knows who listens.
 */
import { REPLAY_STEP, SESSION_STEP, STATUS, STOP_REASONS } from "./abi.js";
import { CultivarError, KIND } from "./errors.js";
import { idBytes } from "./memory.js";
import { Budget, Turn } from "./pace.js";

/**
 * Work per step on a prompt, rows times layers: little at first, since a layer of a large model can
 * take 15 ms; then what fits 24 ms, because a stop may take 50 ms and every other step can double.
 */
const prefillBudget = () => new Budget(8, 1, 1 << 20, { aimMs: 24 });
/** Rows of a batch, where a layer of them fits a step: more are hardly faster. */
const BATCH_ROWS = 32;

/** Queues a prompt, unless it is `null`; answers how many tokens it has. */
export function queuePrompt(engine, session, prompt, options) {
  if (prompt === null) return 0;
  const ids = typeof prompt !== "string" ? prompt
    : engine.encoder.ids(engine.call("session_package", session), prompt, options);
  const bytes = idBytes(ids);
  engine.put(bytes);
  return engine.call("session_prompt_ids", session, bytes.length / 4);
}

/**
 * Runs one prompt (text or ids) to its end: `{ stopReason, nTokens }`. Options: `signal`,
 * `onTokens`, `onProgress`, `chunk` (rows of the prompt per step, instead of as many as a stop
 * allows), and the flags of tokenizing.
 */
export async function runSession(engine, session, prompt, options) {
  const totalTokens = queuePrompt(engine, session, prompt, options);
  const run = new Run(engine, session, totalTokens, options);
  try {
    while (!run.stopReason) {
      run.step();
      if (run.turn.isOver) run.flush();
      await run.turn.next();
    }
  } catch (error) {
    if (error.kind === KIND.stopped) engine.call("session_cancel", session);
    run.flush();
    throw error;
  }
  run.flush();
  return { stopReason: run.stopReason, nTokens: engine.call("session_len", session) };
}

class Run {
  #engine;
  #session;
  #options;
  #totalTokens;
  #budget = prefillBudget();
  #batch = [];
  #nTokens = 0;
  #hasLogprobs = true;

  constructor(engine, session, totalTokens, options) {
    this.#engine = engine;
    this.#session = session;
    this.#options = options;
    this.#totalTokens = totalTokens;
    this.turn = new Turn(options.signal);
    this.stopReason = null;
  }

  step() {
    const engine = this.#engine;
    const began = performance.now();
    const { chunk } = this.#options;
    const { units } = this.#budget;
    const work = chunk ? [chunk, 0] : [Math.min(units, BATCH_ROWS), units];
    const outcome = engine.call("session_step", this.#session, ...work);
    const ms = performance.now() - began;
    engine.call("session_note_ms", this.#session, ms);
    if (outcome === SESSION_STEP.prefilling) {
      this.#budget.note(ms);
      const doneTokens = engine.call("session_prefilled", this.#session);
      this.#options.onProgress?.({ phase: "prefill", doneTokens, totalTokens: this.#totalTokens });
      return;
    }
    const text = engine.text(engine.call("session_text", this.#session));
    if (outcome === SESSION_STEP.token) {
      this.#push(engine.call("session_token", this.#session), text, this.#logprobs());
      return;
    }
    // What is left is the end of a character that the last token began.
    if (text) this.#push(null, text);
    this.stopReason = nameOf(STOP_REASONS, engine.call("session_stop_reason", this.#session));
  }

  flush() {
    if (this.#batch.length > 0) this.#options.onTokens(this.#batch);
    this.#batch = [];
  }

  /** `{logprob, top}` of the last token, if the session's settings ask for them. */
  #logprobs() {
    if (!this.#hasLogprobs) return {};
    const engine = this.#engine;
    let n;
    try {
      n = engine.call("session_logprobs", this.#session);
    } catch (error) {
      if (error.code !== STATUS.out_of_order) throw error;
      this.#hasLogprobs = false;
      return {};
    }
    const ids = engine.memory.words(engine.call("buffer_ptr"), 2 * n);
    const values = new Float32Array(ids.buffer);
    const top = Array.from({ length: n - 1 }, (_, i) => {
      const id = ids[2 * i + 2];
      const text = engine.text(engine.call("token_text", this.#session, id));
      return { id, logprob: values[2 * i + 3], text };
    });
    return { logprob: values[1], top };
  }

  #push(id, text, more) {
    this.#batch.push({ id, text, index: this.#nTokens, ...more });
    this.#nTokens += 1;
  }
}

/** `cultivar.replayed.v1` of a record; `onTokens` hears how many tokens were compared. */
export async function runReplay(engine, handle, record, { signal, onTokens }) {
  const replay = engine.call("replay_new", handle, engine.putText(JSON.stringify(record)));
  const turn = new Turn(signal);
  const report = () => engine.json("replay_report", replay);
  try {
    // Few rows of a prompt: the steps of a replay do not say how long to aim for.
    while (engine.call("replay_step", replay, 8) === REPLAY_STEP.going) {
      if (turn.isOver) onTokens(report().n_steps);
      await turn.next();
    }
    return report();
  } finally {
    if (!engine.isDead) engine.call("replay_close", replay);
  }
}

function nameOf(table, code) {
  const name = Object.keys(table).find((key) => table[key] === code);
  if (name) return name;
  throw new CultivarError(`the module answered the unknown code ${code}`);
}
