/**
 * A worker's side of calls: answers the messages of a port with an object of actions. Calls run
 * side by side between their steps. A message about a running call stops it, pauses it, or answers
 * what it asked. Works on any port with postMessage and onmessage, so tests need no browser.
 */
import { CultivarError, KIND, packError, stoppedError, unpackError } from "./errors.js";
import { letMessagesIn } from "./pace.js";

/** One call while it runs: what its action gets as its second argument. */
class RunningCall {
  #port;
  #id;
  #stop = new AbortController();
  #asks = new Map();
  #nAsks = 0;
  #resume = null;

  constructor(port, id) {
    this.#port = port;
    this.#id = id;
    /** Aborted by a stop; its `paused` is a promise while the call is to wait (see pace.js). */
    this.signal = this.#stop.signal;
  }

  /** Tells the caller of something. */
  emit = (event, data) => this.#port.postMessage({ id: this.#id, event, data });

  /** Tells the caller and resolves when it has dealt with it; rejects with its error. */
  ask = (event, data, transfer = []) => new Promise((resolve, reject) => {
    const ask = (this.#nAsks += 1);
    this.#asks.set(ask, (error) => {
      this.#asks.delete(ask);
      if (error) reject(error);
      else resolve();
    });
    this.#port.postMessage({ id: this.#id, event, data, ask }, transfer);
  });

  /** Handles a message about this call. */
  hear({ ask, error, pause }) {
    if (ask) {
      this.#asks.get(ask)?.(error && unpackError(error));
    } else if (pause) {
      this.signal.paused ??= new Promise((resolve) => (this.#resume = resolve));
    } else if (pause === false) {
      this.#go();
    } else {
      // The answer to the stop is the end of the call, but that may wait for a read of a slow
      // disk; this one says that the worker is alive and has understood.
      this.emit("stopping");
      this.#stop.abort();
      this.#go();
      for (const settle of [...this.#asks.values()]) settle(stoppedError());
    }
  }

  #go() {
    this.signal.paused = null;
    this.#resume?.();
  }
}

/**
 * Answers `{id, verb, args}` with what the verb's action gives; `{id, stop: true}`,
 * `{id, pause: true or false}` and `{id, ask, error}` are about the call of that id.
 * @param {{postMessage: Function, onmessage: Function|null}} port
 * @param {Record<string, Function>} actions one per verb: (args, call) to the answer
 */
export function servePort(port, actions) {
  const calls = new Map();
  port.onmessage = ({ data }) => {
    if (data.verb === undefined) {
      calls.get(data.id)?.hear(data);
      return;
    }
    const call = new RunningCall(port, data.id);
    calls.set(data.id, call);
    runAction(port, actions, call, data).finally(() => calls.delete(data.id));
  };
  port.postMessage({ event: "serving" });
}

async function runAction(port, actions, call, { id, verb, args }) {
  const { signal } = call;
  try {
    if (!Object.hasOwn(actions, verb)) {
      throw new CultivarError(`unknown verb: ${verb}`, { kind: KIND.badArgument });
    }
    // A stop that was sent right behind the call is seen before the work begins.
    await letMessagesIn();
    if (signal.aborted) throw stoppedError();
    port.postMessage({ id, value: await actions[verb](args, call) });
  } catch (error) {
    // What goes wrong after a stop is part of stopping, unless the engine itself is gone.
    const isStop = signal.aborted && error.kind !== KIND.trap;
    port.postMessage({ id, error: packError(isStop ? stoppedError() : error) });
  }
}
