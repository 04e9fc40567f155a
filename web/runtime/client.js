/**
 * The page's side of the worker: calls with promises, events, stops, and a new worker in place of
 * one that failed or does not answer. `epoch` counts the workers, so that whoever holds handles
 * can tell that they belong to one that is gone. Nothing starts before the first call; a worker
 * that fails before it is ready is not replaced until somebody calls again.
 */
import { CultivarError, KIND, packError, stoppedError, unpackError } from "./errors.js";

/** A worker that has not answered a stop for this long is replaced. */
const STOP_ANSWER_MS = 1000;

/** The error of a call whose handles died with their worker. */
export function lostError() {
  const message = "the session was lost when the worker was replaced: create it again";
  return new CultivarError(message, { kind: KIND.sessionLost });
}

/** Pauses and resumes the call that it was given to; a stop works meanwhile. */
export class Pauser {
  isPaused = false;
  /** The call's own. */
  onChange = null;

  pause() {
    this.#set(true);
  }

  resume() {
    this.#set(false);
  }

  #set(isPaused) {
    this.isPaused = isPaused;
    this.onChange?.(isPaused);
  }
}

export class Client {
  #spawn;
  #begin;
  #onReplaced;
  #worker = null;
  #isReady = false;
  #isDown = true;
  #calls = new Map();
  #nCalls = 0;
  #closed = false;
  #ready = null;

  /**
   * @param {() => Worker} spawn starts a worker
   * @param {(client: Client) => Promise<unknown>} begin first calls to every worker
   * @param {(reason: CultivarError) => void} onReplaced
   */
  constructor(spawn, begin, onReplaced) {
    this.#spawn = spawn;
    this.#begin = begin;
    this.#onReplaced = onReplaced;
    this.epoch = 0;
  }

  /** Starts a worker if there is none; resolves when it can take calls. */
  ready() {
    if (this.#isDown && !this.#closed) this.#start();
    return this.#ready;
  }

  #start() {
    const worker = this.#spawn();
    this.#isReady = this.#isDown = false;
    this.epoch += 1;
    this.#worker = worker;
    worker.onmessage = ({ data }) => this.#onMessage(data);
    worker.onerror = (event) => {
      event.preventDefault?.();
      const said = event.message ? `: ${event.message}` : " or could not be loaded";
      this.#fail(worker, new CultivarError(`the worker failed${said}`, { kind: KIND.replaced }));
    };
    const isFirst = this.epoch === 1;
    this.#ready = this.#begin(this).then((answer) => {
      this.#isReady = true;
      return answer;
    }, (error) => {
      this.#fail(worker, error);
      if (isFirst) throw error;
      const message = `the engine could not be started again: ${error.message}`;
      throw new CultivarError(message, { kind: KIND.replaced });
    });
    this.#ready.catch(() => {});
  }

  /**
   * Calls a verb of the worker, once it is ready. Hooks are `signal`, `pauser`, `onEvent` (the
   * worker waits for what it answers, where it asked), `transfer`, and `epoch`: the worker whose
   * handles the arguments hold; refused if it is gone.
   */
  async call(verb, args, hooks = {}) {
    if (hooks.signal?.aborted) throw stoppedError();
    await this.ready();
    return this.send(verb, args, hooks);
  }

  /** The same without waiting: for the first calls to a new worker. */
  send(verb, args, { signal, pauser, epoch, onEvent, transfer } = {}) {
    if (this.#closed) {
      return Promise.reject(new CultivarError("the kit was closed", { kind: KIND.closed }));
    }
    if (epoch !== undefined && epoch !== this.epoch) return Promise.reject(lostError());
    if (signal?.aborted) return Promise.reject(stoppedError());
    const id = (this.#nCalls += 1);
    return new Promise((resolve, reject) => {
      const onStop = () => this.#stop(id);
      const end = () => {
        clearTimeout(call.timer);
        signal?.removeEventListener("abort", onStop);
        this.#calls.delete(id);
      };
      const call = { resolve, reject, onEvent, end, timer: undefined };
      this.#calls.set(id, call);
      signal?.addEventListener("abort", onStop);
      try {
        this.#worker.postMessage({ id, verb, args }, transfer);
        this.#obey(id, pauser);
      } catch (cause) {
        end();
        reject(new CultivarError(cause.message, { kind: KIND.badArgument }));
      }
    });
  }

  /** Ends the worker; every pending and later call is refused. */
  close() {
    this.#closed = true;
    this.#worker?.terminate();
    this.#rejectAll(() => new CultivarError("the kit was closed", { kind: KIND.closed }));
  }

  #obey(id, pauser) {
    if (!pauser) return;
    const worker = this.#worker;
    pauser.onChange = (pause) => this.#calls.has(id) && worker.postMessage({ id, pause });
    if (pauser.isPaused) pauser.onChange(true);
  }

  #stop(id) {
    const call = this.#calls.get(id);
    const worker = this.#worker;
    worker.postMessage({ id, stop: true });
    call.timer = setTimeout(() => {
      call.end();
      call.reject(stoppedError());
      const message = "the worker did not answer a stop for a second and was replaced";
      this.#fail(worker, new CultivarError(message, { kind: KIND.replaced }));
    }, STOP_ANSWER_MS);
  }

  #onMessage({ id, event, data, ask, value, error }) {
    const call = this.#calls.get(id);
    if (!call) return;
    if (event === "stopping") {
      clearTimeout(call.timer);
    } else if (ask) {
      this.#answer({ id, ask }, () => call.onEvent?.(event, data));
    } else if (event) {
      call.onEvent?.(event, data);
    } else if (error) {
      call.end();
      call.reject(unpackError(error));
      if (error.kind === KIND.trap) this.#fail(this.#worker, unpackError(error));
    } else {
      call.end();
      call.resolve(value);
    }
  }

  async #answer(reply, work) {
    const worker = this.#worker;
    try {
      await work();
    } catch (error) {
      reply.error = packError(error);
    }
    worker.postMessage(reply);
  }

  /** Throws a worker away, rejects what it was doing, and starts another if this one ever ran. */
  #fail(worker, reason) {
    if (worker !== this.#worker || this.#closed) return;
    worker.onmessage = null;
    worker.onerror = null;
    worker.terminate();
    this.#rejectAll(() => new CultivarError(reason.message, reason));
    this.#isDown = !this.#isReady;
    if (this.#isDown) return;
    this.#start();
    this.#onReplaced(reason);
  }

  #rejectAll(makeError) {
    for (const call of [...this.#calls.values()]) {
      call.end();
      call.reject(makeError());
    }
  }
}
