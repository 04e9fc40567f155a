/**
 * What the worker does with messages: one engine, one action per verb, an answer for every call.
 * Imports have an instance of their own each, so that their memory goes when they end.
 * Calls run side by side between their steps; a stop is a message about a running call.
 * Works on any port with postMessage and onmessage, so that tests run it without a browser.
 */
import { Engine } from "./engine.js";
import { CultivarError, KIND, packError, stoppedError } from "./errors.js";
import { importFiles } from "./import-runner.js";
import { idBytes } from "./memory.js";
import { letMessagesIn } from "./pace.js";
import { loadPackage } from "./package-loader.js";
import { encodeFlags, runSession } from "./session-runner.js";

/** Seed of the self test: any would do, but a failure must be repeatable. */
const SELFTEST_SEED = 1;

/** One function per verb: (args, {signal, emit}) to the value that is answered. */
function createActions() {
  let engine = null;
  /** Sessions that are producing tokens; a second run on one of them is refused. */
  const running = new Set();
  return {
    async init({ module }) {
      const made = await Engine.create(module);
      const nChecks = made.call("selftest", SELFTEST_SEED);
      engine = made;
      return { ...made.info, selftest_checks: nChecks };
    },
    openPackage: ({ source }, { signal, emit }) =>
      loadPackage(engine, source, {
        signal,
        onCard: (card) => emit("card", card),
        onProgress: (progress) => emit("progress", progress),
      }),
    closePackage: ({ handle }) => engine.call("package_close", handle),
    importPackage: async ({ module, files, options }, { signal, emit }) =>
      importFiles(await Engine.create(module), files, options, {
        signal,
        onProgress: (progress) => emit("progress", progress),
      }),
    tokenize({ handle, text, options }) {
      const n = engine.call("tokenize", handle, engine.putText(text), encodeFlags(options));
      return engine.memory.words(engine.call("buffer_ptr"), n);
    },
    detokenize({ handle, ids }) {
      const n = engine.put(idBytes(ids)) / 4;
      return engine.text(engine.call("detokenize", handle, n));
    },
    createSession: ({ handle, settings }) =>
      engine.call("session_new", handle, engine.putText(JSON.stringify(settings))),
    async generate({ session, prompt, options }, { signal, emit }) {
      if (running.has(session)) {
        throw new CultivarError("the session is already generating", { kind: KIND.busy });
      }
      running.add(session);
      try {
        return await runSession(engine, session, prompt, {
          ...options,
          signal,
          onTokens: (tokens) => emit("tokens", tokens),
          onProgress: (progress) => emit("progress", progress),
        });
      } finally {
        running.delete(session);
      }
    },
    report: ({ session }) => engine.json("session_report", session),
    logits({ session }) {
      const n = engine.call("session_logits", session);
      return engine.memory.floats(engine.call("buffer_ptr"), n);
    },
    rewind: ({ session, n }) => engine.call("session_rewind", session, n),
    takeBack({ session, n }) {
      engine.call("session_rewind", session, engine.call("session_len", session) - n);
      engine.call("session_cancel", session);
    },
    fork: ({ session }) => engine.call("session_fork", session),
    closeSession: ({ session }) => engine.call("session_close", session),
    memory: () => engine.json("memory_stats"),
    testTrap: async ({ module }) =>
      (module ? await Engine.create(module) : engine).call("test_trap", 7),
  };
}

/**
 * Answers the messages of a port: `{id, verb, args}` runs, `{id, stop: true}` stops.
 * @param {{postMessage: Function, onmessage: Function|null}} port
 */
export function serve(port) {
  const actions = createActions();
  const stops = new Map();
  const run = (id, verb, args) => runAction(port, actions, stops, { id, verb, args });
  port.onmessage = ({ data }) => {
    const { id, verb, args } = data;
    if (!data.stop) {
      run(id, verb, args);
      return;
    }
    // The answer to the stop is the end of the call, but that may wait for a read of a slow
    // disk; this one says that the worker is alive and has understood.
    if (stops.has(id)) port.postMessage({ id, event: "stopping" });
    stops.get(id)?.abort();
  };
  port.postMessage({ event: "serving" });
}

async function runAction(port, actions, stops, { id, verb, args }) {
  const stop = new AbortController();
  stops.set(id, stop);
  const { signal } = stop;
  const emit = (event, data) => port.postMessage({ id, event, data });
  try {
    if (!Object.hasOwn(actions, verb)) {
      throw new CultivarError(`unknown verb: ${verb}`, { kind: KIND.badArgument });
    }
    // A stop that was sent right behind the call is seen before the work begins.
    await letMessagesIn();
    if (signal.aborted) throw stoppedError();
    port.postMessage({ id, value: await actions[verb](args, { signal, emit }) });
  } catch (error) {
    // What goes wrong after a stop is part of stopping, unless the engine itself is gone.
    const isStop = signal.aborted && error.kind !== KIND.trap;
    port.postMessage({ id, error: packError(isStop ? stoppedError() : error) });
  } finally {
    stops.delete(id);
  }
}
