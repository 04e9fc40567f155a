/**
 * Commands that run a completion and stop it. Each run is a fresh session with exactly the
 * settings in the state, so the same link and model give the same text; the clock is read only
 * to show times. Tokens are handed to the state in small groups, one per drawn frame at most.
 */
import { SETTINGS } from "../state/setting-table.js";
import { event } from "../state/events.js";
import { runObstacle } from "../state/selectors.js";
import { messageOfError } from "./advice.js";

/** Tokens arriving within this time are shown together: a frame at 60 Hz. */
const GROUP_MS = 16;

/** What a session is created with: the rows of the settings table that belong to a run. */
function sessionSettings(values) {
  const rows = SETTINGS.filter((row) => row.scope === "run");
  return Object.fromEntries(rows.map((row) => [row.name, values[row.name]]));
}

/** `desk.opened` is the open package; `now()` gives milliseconds for display only. */
export function createRunCommands({ store, desk, now }) {
  let stopper = null;
  let going = Promise.resolve();
  const dispatch = (type, fields) => store.dispatch(event(type, fields));

  /** Reads all tokens of one prompt into the state; a stop is an ordinary end. */
  async function readTokens(session, prompt, signal) {
    let group = { text: "", count: 0 };
    let shownMs = -Infinity;
    const show = () => {
      shownMs = now();
      if (group.text || group.count > 0) dispatch("tokensArrived", { ...group, ms: shownMs });
      group = { text: "", count: 0 };
    };
    try {
      for await (const { id, text } of session.generate(prompt, { signal })) {
        // The last piece of text may complete a character without being a token: its id is null.
        group = { text: group.text + text, count: group.count + (id === null ? 0 : 1) };
        if (now() - shownMs >= GROUP_MS) show();
      }
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    } finally {
      show();
    }
  }

  async function runOnce() {
    const { values } = store.state.settings;
    const { signal } = stopper;
    dispatch("runStarted", { prompt: values.prompt, ms: now() });
    let session = null;
    try {
      session = await desk.opened.createSession(sessionSettings(values));
      await readTokens(session, values.prompt, signal);
      const ms = now();
      const report = await session.report();
      dispatch("runEnded", { stopReason: report.stop_reason, report, ms });
    } catch (error) {
      endBadly(error, signal.aborted);
    }
    // A session that is already lost with its worker has nothing left to close.
    await session?.close().catch(() => {});
  }

  /** A stop that cost the worker (it did not answer) is still a stop, only without a report. */
  function endBadly(error, isStopped) {
    if (isStopped) {
      dispatch("runEnded", { stopReason: "cancelled", report: null, ms: now() });
    } else {
      dispatch("runFailed", { ms: now() });
      dispatch("messageRaised", { message: messageOfError("The run failed", error) });
    }
  }

  return {
    run() {
      if (runObstacle(store.state)) return;
      stopper = new AbortController();
      going = runOnce();
    },
    stop() {
      if (store.state.run.status !== "running") return;
      dispatch("runStopping");
      stopper.abort();
    },
    /** Resolves when no run is using the open package. */
    async settle() {
      this.stop();
      await going;
    },
  };
}
