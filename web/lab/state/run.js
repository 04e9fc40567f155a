/**
 * The run slice: one completion from its prompt to its digest: what was observed (text, counts,
 * times handed in) and the session's own report. It stays until the next run starts.
 */

export const initialRun = Object.freeze({
  status: "idle", // idle, running, stopping, done, failed
  prompt: "", text: "", n_tokens: 0,
  startedMs: 0, firstTokenMs: null, lastTokenMs: null, endedMs: null, n_first: 0,
  stopReason: null, report: null, number: 0,
});

/** State after one event. */
export function reduceRun(run, event) {
  switch (event.type) {
    case "runStarted":
      return {
        ...initialRun, status: "running", prompt: event.prompt, startedMs: event.ms,
        number: run.number + 1,
      };
    case "tokensArrived":
      return isActive(run) ? addTokens(run, event) : run;
    case "runStopping":
      return run.status === "running" ? { ...run, status: "stopping" } : run;
    case "runEnded":
      return {
        ...run, status: "done", stopReason: event.stopReason, report: event.report,
        endedMs: event.ms,
      };
    case "runFailed":
      return { ...run, status: "failed", endedMs: event.ms };
    case "modelOpened":
      return { ...initialRun, number: run.number };
    default:
      return run;
  }
}

function isActive(run) {
  return run.status === "running" || run.status === "stopping";
}

/** Tokens may arrive several at once; the rate counts from the end of the first arrival. */
function addTokens(run, { text, count, ms }) {
  const isFirst = run.firstTokenMs === null;
  return {
    ...run,
    text: run.text + text,
    n_tokens: run.n_tokens + count,
    n_first: isFirst ? count : run.n_first,
    firstTokenMs: isFirst ? ms : run.firstTokenMs,
    lastTokenMs: ms,
  };
}
