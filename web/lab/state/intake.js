/**
 * The intake slice: names and sizes of files kept while others of theirs are missing (commands
 * hold the files), and the one job that reads files, with the times that its events carried.
 */

/** `kept` are `{ name, bytes, note }`, `missing` says what they wait for; `job` is null at rest. */
export const initialIntake = Object.freeze({ kept: Object.freeze([]), missing: "", job: null });

/** State after one event. */
export function reduceIntake(intake, event) {
  switch (event.type) {
    case "filesKept":
      return { ...intake, kept: event.kept, missing: event.missing };
    case "jobStarted":
      return { ...intake, job: startJob(event) };
    case "jobProgressed":
      return intake.job ? { ...intake, job: progressJob(intake.job, event) } : intake;
    case "jobCardRead":
      return changeJob(intake, { card: event.card });
    case "jobAsked":
      return changeJob(intake, { question: event.question });
    case "jobPaused":
      return intake.job ? changeJob(intake, pauseJob(intake.job, event)) : intake;
    case "jobEnded":
    case "modelOpened":
      return { ...intake, job: null };
    default:
      return intake;
  }
}

function changeJob(intake, fields) {
  return intake.job ? { ...intake, job: { ...intake.job, ...fields } } : intake;
}

/** Time spent in a pause does not count: the phase began that much later. */
function pauseJob({ isPaused, pausedMs, phaseStartedMs }, event) {
  if (event.isPaused) return { isPaused: true, pausedMs: event.ms };
  const restMs = isPaused ? event.ms - pausedMs : 0;
  return { isPaused: false, phaseStartedMs: phaseStartedMs + restMs };
}

function startJob({ kind, name, ms }) {
  return {
    kind, name, card: null, startedMs: ms,
    question: "", isPaused: false, pausedMs: 0,
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
