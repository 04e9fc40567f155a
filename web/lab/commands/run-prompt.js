/**
 * Commands that let the model write, and stop it: run, send, write again, go on from another
 * token or an edited message. An answer depends on its prompt's tokens and the settings in the
 * state alone, so the same link and model give the same text; the clock is read only to show
 * times. Tokens reach the state in small groups, one per drawn frame at most.
 */
import { sessionSettings } from "../state/setting-table.js";
import { event } from "../state/events.js";
import { activeTurn, runObstacle, sendObstacle, shownTurns } from "../state/selectors.js";
import { pathTo, sessionOf } from "../state/sessions.js";
import { messageOfError } from "./advice.js";
import { createLiveSessions } from "./live-sessions.js";

/** Tokens arriving within this time are shown together: a frame at 60 Hz. */
const GROUP_MS = 16;

/** `desk.opened` is the open package; `now()` gives milliseconds for display only. */
export function createRunCommands({ store, desk, now, live = createLiveSessions(desk.mix) }) {
  /** Runs by the page's session: `{ stopper, going }`. */
  const runs = new Map();
  const dispatch = (type, fields) => store.dispatch(event(type, fields));
  const change = (name, text) => dispatch("settingChanged", { name, text });
  const shown = () => shownTurns(store.state);

  /** Reads all tokens of one prompt into the state; a stop is an ordinary end. */
  async function readTokens(session, at, ids, signal) {
    let tokens = [];
    let shownMs = -Infinity;
    const show = () => {
      shownMs = now();
      if (tokens.length > 0) dispatch("tokensArrived", { ...at, tokens, ms: shownMs });
      tokens = [];
    };
    try {
      for await (const { index, ...token } of session.generate(ids, { signal })) {
        tokens.push(token);
        if (now() - shownMs >= GROUP_MS) show();
      }
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    } finally {
      show();
    }
  }

  /** Ids of the prompt that the path ends in, and the settings of a run over it. */
  async function promptOf(path, values) {
    const settings = sessionSettings(values);
    if (values.mode !== "chat") {
      return { ids: [...await desk.opened.tokenize(path.at(-1).text)], settings };
    }
    const chat = await desk.opened.renderChat(messagesOf(path, values.system));
    for (const name of ["stop_strings", "stop_tokens"]) {
      const all = [...settings[name] ?? [], ...chat[name]];
      if (all.length > 0) settings[name] = [...new Set(all)];
    }
    return { ids: chat.ids, settings };
  }

  async function answer(at, given, values, from, signal) {
    let session = null;
    try {
      const path = pathTo(sessionOf(store.state.sessions, at.session), at.turn).slice(0, -1);
      const { ids, settings } = await promptOf(path, values);
      signal.throwIfAborted();
      const prompt = [...ids, ...given.map(({ id }) => id)];
      await desk.opened.setLimits({ kvBytes: values.cache_mib * 2 ** 20 || Infinity });
      const begin = async () => {
        const begun = await live.begin(desk.opened, settings, prompt, at.session, from);
        session = begun.session;
        await readTokens(session, at, prompt.slice(begun.n), signal);
      };
      // Where memory lacks, what is kept for later gives way, once.
      await begin().catch(async (error) => {
        await live.makeRoom(error);
        desk.mix?.leave(session);
        await session?.close();
        await begin();
      });
      const report = await session.report();
      const all = [...prompt, ...report.output_ids];
      const entry = { owner: at.session, turn: at.turn, settings, ids: all, session };
      await live.keep(desk.opened, entry);
      dispatch("runEnded", { ...at, stopReason: report.stop_reason, report });
    } catch (error) {
      desk.mix?.leave(session);
      await session?.close().catch(() => {});
      endBadly(at, error, signal.aborted);
    }
  }

  /** A stop that cost the worker (it did not answer) is still a stop, only without a report. */
  function endBadly(at, error, isStopped) {
    if (isStopped) {
      dispatch("runEnded", { ...at, stopReason: "cancelled", report: null });
    } else {
      dispatch("runFailed", at);
      dispatch("messageRaised", { message: messageOfError("The run failed", error) });
    }
  }

  /**
   * Begins a turn of the model after the turn `parent`, with tokens that it is given; it goes on
   * from the turn `from`, by default the answer before.
   */
  function start(parent, given = [], from = shown().session.turns[parent].parent) {
    const { values } = store.state.settings;
    const session = store.state.sessions.current;
    dispatch("runStarted", { session, parent, tokens: given, seed: values.seed, ms: now() });
    const at = { session, turn: shown().session.tip };
    const stopper = new AbortController();
    const going = answer(at, given, values, from, stopper.signal)
      .finally(() => runs.delete(session));
    runs.set(session, { stopper, going });
  }

  function addPrompt(parent, text) {
    dispatch("promptAdded", { session: store.state.sessions.current, parent, text });
    return shown().session.tip;
  }

  /** The first prompt on the path, if it has this text, else a new one beside it. */
  function firstPrompt(text) {
    const [first] = shown().path;
    return first?.text === text ? first.id : addPrompt(null, text);
  }

  async function end(id, type) {
    const run = runs.get(id);
    run?.stopper.abort();
    await run?.going;
    dispatch(type, { id });
    await live.closeOf(id);
  }

  /** Sends a message after the turn `parent`. */
  function send(parent, text) {
    if (runObstacle(store.state)) return;
    start(addPrompt(parent, text));
  }

  /** What the package's chat format is called, asked once per model when a chat is on show. */
  let asked = null;
  store.subscribe(async ({ model, settings }) => {
    if (settings.values.mode !== "chat" || !model || model.card === asked) return;
    asked = model.card;
    try {
      const chat = await desk.opened.renderChat([]);
      if (store.state.model.card === model.card) dispatch("chatFormatRead", { chat });
    } catch {
      // Sending says what is wrong with it.
    }
  });

  return {
    /** Runs the prompt that is typed; in a chat, sends it. */
    run() {
      const { mode, prompt } = store.state.settings.values;
      if (sendObstacle(store.state)) return;
      if (mode !== "chat") {
        start(firstPrompt(prompt));
        return;
      }
      const { session: { tip, turns }, run } = shown();
      // A message that had no answer gives way to this one.
      const isLost = run?.id === tip && run?.status === "failed" && !run.text;
      send(isLost ? turns[run.parent].parent : tip, prompt);
      change("prompt", "");
    },
    /** Sends another text in the place of a message, as a branch. */
    editMessage: ({ parent }, text) => send(parent, text),
    /** Writes a turn anew beside the old one, with the same seed or the next. */
    again(turn, isSameSeed = false) {
      if (runObstacle(store.state)) return;
      const { values } = store.state.settings;
      if (!isSameSeed) change("seed", String(BigInt.asUintN(64, BigInt(values.seed) + 1n)));
      start(turn.parent);
    },
    /** Writes a turn anew from its `nth` token on, which is to be `token`. */
    branchAt({ parent, tokens, id }, nth, token) {
      if (runObstacle(store.state)) return;
      // With the alternatives of its place.
      start(parent, tokens.slice(0, nth).concat({ ...tokens[nth], ...token }), id);
    },
    /** Stops what the session on show writes. */
    stop() {
      const { session } = shown();
      const turn = activeTurn(session);
      if (turn?.status !== "running") return;
      dispatch("runStopping", { session: session.id, turn: turn.id });
      runs.get(session.id)?.stopper.abort();
    },
    closeSession: (id) => end(id, "sessionClosed"),
    clearSession: (id) => end(id, "sessionCleared"),
    /** Resolves when no run is using the open package. */
    async settle() {
      for (const [session, { stopper }] of runs) {
        const turn = activeTurn(sessionOf(store.state.sessions, session));
        dispatch("runStopping", { session, turn: turn?.id });
        stopper.abort();
      }
      await Promise.all([...runs.values()].map(({ going }) => going));
      await live.closeAll();
    },
  };
}

/** The messages of a path; white space around an answer is the format's. */
function messagesOf(path, system) {
  const messages = path.map(({ role, text }) => (role === "user"
    ? { role, content: text } : { role: "assistant", content: text.trim() }));
  return system.trim() ? [{ role: "system", content: system }, ...messages] : messages;
}
