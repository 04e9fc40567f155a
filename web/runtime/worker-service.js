/**
 * What the kit's worker does: one engine, one action per verb. Imports, exports and jobs have an
 * instance of their own each, so that their memory goes when they end.
 */
import { loadAdapter } from "./adapter-loader.js";
import { Engine } from "./engine.js";
import { runBatch } from "./batch-runner.js";
import { CultivarError, KIND } from "./errors.js";
import { exportFiles, importFiles, runJob } from "./import-runner.js";
import { idBytes } from "./memory.js";
import { closePackage, loadPackage } from "./package-loader.js";
import { servePort } from "./service.js";
import { runReplay, runSession } from "./session-runner.js";

/** What a file that is being made tells the caller, and where it goes. */
const makingHooks = ({ signal, emit, ask }, toSink) => ({
  signal,
  onPlan: (plan) => ask("plan", plan),
  onProgress: (progress) => emit("progress", progress),
  write: toSink && ((position, data) => ask("write", { position, data }, [data.buffer])),
});

/** One function per verb: (args, {signal, emit, ask}) to the value that is answered. */
function createActions() {
  let engine = null;
  /** Sessions that are producing tokens; a second run on one of them is refused. */
  const running = new Set();
  /** Gives a package the tables of constraints that its next sessions have. */
  const keep = (handle, tables = []) => {
    for (const table of tables) engine.call("package_constraint", handle, engine.put(table));
  };
  return {
    async init({ module, textModule }) {
      const made = await Engine.create(module, textModule);
      const nChecks = made.call("selftest");
      engine = made;
      return { ...made.info, selftest_checks: nChecks };
    },
    openPackage: ({ source }, { signal, emit, ask }) =>
      loadPackage(engine, source, {
        signal,
        onCard: (card) => ask("card", card),
        onProgress: (progress) => emit("progress", progress),
      }),
    closePackage: ({ handle }) => closePackage(engine, handle),
    importPackage: async ({ module, files, options, toSink }, call) =>
      importFiles(await Engine.create(module), files, options, makingHooks(call, toSink)),
    exportPackage: async ({ module, blob, format }, call) =>
      exportFiles(await Engine.create(module), blob, format, makingHooks(call)),
    runJob: async ({ module, job, files, options, toSink }, call) =>
      runJob(await Engine.create(module), job, files, options, makingHooks(call, toSink)),
    tokenize: ({ handle, text, options }) => engine.encoder.ids(handle, text, options),
    detokenize({ handle, ids }) {
      const n = engine.put(idBytes(ids)) / 4;
      return engine.text(engine.call("detokenize", handle, n));
    },
    compileConstraint: async ({ module, constraint }) => {
      const compiler = await Engine.create(module);
      const n = compiler.putText(JSON.stringify(constraint));
      return compiler.bytes(compiler.call("grammar_compile", n));
    },
    openAdapter: ({ handle, source }, { signal }) => loadAdapter(engine, handle, source, signal),
    closeAdapter: ({ adapter }) => engine.call("adapter_close", adapter),
    assembly({ handle, stack }) {
      const json = engine.putText(JSON.stringify(stack));
      return engine.text(engine.call("adapter_assembly", handle, json));
    },
    createSession({ handle, settings, tables, stack }) {
      keep(handle, tables);
      const session = engine.call("session_new", handle, engine.putText(JSON.stringify(settings)));
      try {
        if (stack.length > 0) this.setAdapters({ session, stack });
        return session;
      } catch (error) {
        engine.call("session_close", session);
        throw error;
      }
    },
    setAdapters: ({ session, stack }) =>
      engine.call("session_adapters", session, engine.putText(JSON.stringify(stack))),
    setWeight: ({ session, idx, weight }) =>
      engine.call("session_weight", session, idx, weight),
    reread: ({ session }) => engine.call("session_reread", session),
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
    snapshot: ({ session }) => engine.bytes(engine.call("session_snapshot", session)),
    restore({ handle, bytes, tables }) {
      keep(handle, tables);
      return engine.call("session_restore", handle, engine.put(bytes));
    },
    record: ({ session, flags }) => engine.json("session_record", session, flags),
    replay({ handle, record, tables }, { signal, emit }) {
      keep(handle, tables);
      return runReplay(engine, handle, record, { signal, onTokens: (n) => emit("tokens", n) });
    },
    generateBatch({ handle, prompts, options, tables }, { signal }) {
      keep(handle, tables);
      return runBatch(engine, handle, prompts, { ...options, signal });
    },
    chatPrompt: ({ handle, order }) => engine.encoder.chatPrompt(handle, order),
    setLimits({ handle, limits }) {
      const { rows = 0, logitRows = 0, kvBytes = NaN, kvRetainedBytes = NaN } = limits;
      engine.call("package_limits", handle, rows, logitRows, kvBytes, kvRetainedBytes);
    },
    cache: ({ handle }) => engine.json("package_cache", handle),
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
    memory: () => engine.memoryStats(),
    testTrap: async ({ module }) =>
      (module ? await Engine.create(module) : engine).call("test_trap", 7),
  };
}

/** Answers the messages of a port. */
export function serve(port) {
  servePort(port, createActions());
}
