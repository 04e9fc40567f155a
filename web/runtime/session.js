/**
 * A session on the page's side: prompt in, an async sequence of tokens out.
 * When the consumer leaves the loop early, tokens that it has not seen are taken back, so that
 * the session stands exactly where the consumer does.
 */
import { lostError } from "./client.js";
import { stoppedError } from "./errors.js";

export class Session {
  #client;
  #handle;
  #epoch;
  #stack;

  /** Why the last generation ended: see `StopReason` in `cultivar.d.ts`; `null` before that. */
  stopReason = null;

  /** `stack(adapters)` gives adapters as the worker names them. */
  constructor(client, handle, epoch, stack) {
    this.#client = client;
    this.#handle = handle;
    this.#epoch = epoch;
    this.#stack = stack;
  }

  #call(verb, args = {}, hooks = {}) {
    if (this.#epoch !== this.#client.epoch) return Promise.reject(lostError());
    return this.#client.call(verb, { session: this.#handle, ...args }, {
      ...hooks, epoch: this.#epoch,
    });
  }

  /** Continues the session with a prompt; yields its tokens as they come. */
  async *generate(prompt, { signal, onProgress, special, bos, chunk } = {}) {
    if (signal?.aborted) throw stoppedError();
    const queue = new TokenQueue();
    const stop = new AbortController();
    const onStop = () => stop.abort();
    signal?.addEventListener("abort", onStop);
    this.stopReason = null;
    const onEvent = (event, data) => {
      if (event === "tokens") queue.push(data);
      if (event === "progress") onProgress?.(data);
    };
    const args = { prompt, options: { special, bos, chunk } };
    const run = this.#call("generate", args, { signal: stop.signal, onEvent });
    run.then(({ stopReason }) => queue.end(stopReason), (error) => queue.fail(error));
    let isComplete = false;
    try {
      yield* queue.tokens();
      this.stopReason = queue.stopReason;
      isComplete = true;
    } catch (error) {
      if (error.name === "AbortError") this.stopReason = "cancelled";
      isComplete = true;
      throw error;
    } finally {
      signal?.removeEventListener("abort", onStop);
      if (!isComplete) await this.#leave(queue, stop, run);
    }
  }

  /** The consumer has left the loop: stop, and take back what it has not seen. */
  async #leave(queue, stop, run) {
    stop.abort();
    const end = await run.catch(() => ({}));
    this.stopReason = "cancelled";
    const nUnseen = queue.unseen().filter(({ id }) => id !== null).length;
    if (nUnseen === 0) return;
    // The stop token belongs to the session but was never a token of the sequence.
    const nHidden = end.stopReason === "stop_token" ? 1 : 0;
    await this.#call("takeBack", { n: nUnseen + nHidden });
  }

  /** What was asked, what came out, its digest and its diagnostics. */
  report() {
    return this.#call("report");
  }

  /** Logits that gave the last token. */
  logits() {
    return this.#call("logits");
  }

  /** The session as a file, for `restore` of a package. */
  async snapshot() {
    return new Blob([await this.#call("snapshot")]);
  }

  /** All turns as a record that can be replayed. */
  record({ redactPrompts = false, steps = false } = {}) {
    return this.#call("record", { flags: redactPrompts + 2 * steps });
  }

  /** Takes these adapters in the place of those it has; the next token uses them. */
  async setAdapters(adapters) {
    await this.#call("setAdapters", { stack: await this.#stack(adapters) });
  }

  /** Gives adapter `idx` another weight; the next token uses it. */
  async setWeight(idx, weight) {
    await this.#call("setWeight", { idx, weight });
  }

  /** Reads all tokens again with the weights as they are now. */
  async reread() {
    await this.#call("reread");
  }

  /** Goes back to the first `n` tokens of prompts and outputs. */
  async rewind(n) {
    await this.#call("rewind", { n });
  }

  /** A session that continues from here on its own. */
  async fork() {
    return new Session(this.#client, await this.#call("fork"), this.#epoch, this.#stack);
  }

  /** Gives the session's memory back. */
  async close() {
    if (this.#epoch === this.#client.epoch) await this.#call("closeSession");
  }
}

/** Tokens between the worker's batches and the consumer's loop. */
class TokenQueue {
  #waiting = [];
  #next = 0;
  #error = null;
  #wake = () => {};

  stopReason = null;

  push(batch) {
    this.#waiting.push(...batch);
    this.#wake();
  }

  end(stopReason) {
    this.stopReason = stopReason;
    this.#wake();
  }

  fail(error) {
    this.#error = error;
    this.#wake();
  }

  /** Tokens that were received but never taken. */
  unseen() {
    return this.#waiting.slice(this.#next);
  }

  async *tokens() {
    for (;;) {
      while (this.#next < this.#waiting.length) {
        const token = this.#waiting[this.#next];
        this.#next += 1;
        yield token;
      }
      this.#waiting = [];
      this.#next = 0;
      if (this.#error) throw this.#error;
      if (this.stopReason) return;
      await new Promise((resolve) => (this.#wake = resolve));
    }
  }
}
