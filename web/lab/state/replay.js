/**
 * The replay slice: one record being computed again, and what came of it. `replayed` is the kit's
 * answer: the same bits, or the first step that differs.
 */

export const initialReplay = Object.freeze({
  status: "idle", name: "", n_steps: 0, n_total: 0, replayed: null, // idle, running, done
});

/** State after one event. */
export function reduceReplay(replay, event) {
  switch (event.type) {
    case "replayStarted":
      return { ...initialReplay, status: "running", name: event.name, n_total: event.n_total };
    case "replayStepped":
      return { ...replay, n_steps: event.n_steps };
    case "replayEnded":
      return { ...replay, status: "done", replayed: event.replayed };
    case "replayFailed":
    case "modelOpened":
      return initialReplay;
    default:
      return replay;
  }
}
