/**
 * The intake slice: names and sizes of files kept while their partner is missing (commands hold
 * the files), and the one job that reads files, with the times that its events carried.
 */

/** `kept` maps a role (checkpoint, tokenizer) to `{ name, bytes, note }`; `job` is null at rest. */
export const initialIntake = Object.freeze({ kept: Object.freeze({}), job: null });

/** State after one event. */
export function reduceIntake(intake, event) {
  switch (event.type) {
    case "filesKept":
      return { ...intake, kept: event.kept };
    case "jobStarted":
      return { ...intake, job: startJob(event) };
    case "jobProgressed":
      return intake.job ? { ...intake, job: progressJob(intake.job, event) } : intake;
    case "jobCardRead":
      return intake.job ? { ...intake, job: { ...intake.job, card: event.card } } : intake;
    case "jobEnded":
    case "modelOpened":
      return { ...intake, job: null };
    default:
      return intake;
  }
}

function startJob({ kind, name, ms }) {
  return {
    kind, name, card: null, startedMs: ms,
    phase: "", phaseStartedMs: ms, doneBytes: 0, totalBytes: 0, ms,
  };
}

/**
 * A phase has its own clock, since reading and checking run at very different rates; it began
 * with no bytes when the one before was last heard of.
 */
function progressJob(job, { progress, ms }) {
  const { phase, doneBytes, totalBytes } = progress;
  if (phase === job.phase) return { ...job, doneBytes, totalBytes, ms };
  return { ...job, phase, doneBytes, totalBytes, ms, phaseStartedMs: job.ms };
}
