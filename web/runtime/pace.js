/**
 * How long work stays interruptible: budgets that follow the measured speed, and a way to let
 * waiting messages in between two steps. A step aims at 12 ms, so that a stop takes effect within
 * 50 ms even when a step takes thrice its aim.
 */
import { stoppedError } from "./errors.js";

/** Aim of one step, unless the work gains by longer ones. */
const STEP_MS = 12;
/** Time after which waiting messages are let in. */
export const TURN_MS = 16;

/** Units of work per step, adapted so that a step takes about `STEP_MS`. */
export class Budget {
  #units;
  #min;
  #max;
  #aimMs;

  /** `first`, `min` and `max` units; how long a step should take. */
  constructor(first, min, max, { aimMs = STEP_MS } = {}) {
    this.#aimMs = aimMs;
    this.#units = first;
    this.#min = min;
    this.#max = max;
  }

  /** Units for the next step. */
  get units() {
    return this.#units;
  }

  /** Learns that a step of the current size took `ms`. Grows by at most 2, shrinks at once. */
  note(ms) {
    const fit = ms > 0 ? (this.#units * this.#aimMs) / ms : this.#units * 2;
    const units = Math.floor(Math.min(fit, this.#units * 2));
    this.#units = Math.max(this.#min, Math.min(this.#max, units));
  }
}

/** Resolves once messages that were waiting have been handled. */
export function letMessagesIn() {
  if (typeof setImmediate === "function") return new Promise((resolve) => setImmediate(resolve));
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}

/** Checks the signal, lets messages in when the turn is over, and waits while it is paused. */
export class Turn {
  #signal;
  #began = performance.now();

  constructor(signal) {
    this.#signal = signal;
  }

  /** Whether the turn has lasted long enough for messages to be due. */
  get isOver() {
    return performance.now() - this.#began >= TURN_MS;
  }

  /** Throws if stopped. */
  check() {
    if (this.#signal?.aborted) throw stoppedError();
  }

  /** To be awaited between two steps. */
  async next() {
    this.check();
    if (!this.isOver) return;
    await letMessagesIn();
    await this.#signal?.paused;
    this.#began = performance.now();
    this.check();
  }
}
