/**
 * What panels read from the state, computed: rates, times left, whether a run may start.
 * Pure functions of the state; no formatting into words with units (ui/quantity.js does that).
 */

import { branchesOf, isActive, pathTo, sessionOf } from "./sessions.js";

/** The card to show: the one being opened once its header is read, else the open model's. */
export function shownCard(state) {
  const { job } = state.intake;
  if (job?.card) return { card: job.card, name: job.name, isLoading: true };
  return state.model && { ...state.model, isLoading: false };
}

/** A rate over less than this is noise. */
const RATE_AFTER_S = 0.25;

/** Progress of the running job: `{ share, bytesPerSecond, secondsLeft }`, null when unknown. */
export function jobProgress(job) {
  const share = job.totalBytes > 0 ? Math.min(1, job.doneBytes / job.totalBytes) : null;
  const seconds = (job.ms - job.phaseStartedMs) / 1000;
  const isTelling = seconds >= RATE_AFTER_S && job.doneBytes > 0;
  const bytesPerSecond = isTelling ? job.doneBytes / seconds : null;
  const left = job.totalBytes - job.doneBytes;
  const secondsLeft = bytesPerSecond && left > 0 ? left / bytesPerSecond : null;
  return { share, bytesPerSecond, secondsLeft };
}

/** Session on show, the path of its turns, and the last that the model wrote there, or null. */
export function shownTurns(state) {
  const session = sessionOf(state.sessions);
  const path = pathTo(session);
  const run = path.findLast(({ role }) => role === "model") ?? null;
  return { session, path, run };
}

/**
 * Times of a run: `{ firstTokenMs, tokensPerSecond }`, null while unknown. The engine's own rate
 * counts once it is there; until then tokens are counted as they arrive, in batches.
 */
export function runTimes(run) {
  const firstTokenMs = (run?.firstTokenMs ?? null) === null
    ? null : run.firstTokenMs - run.startedMs;
  const n_later = run?.n_tokens - run?.n_first;
  const spanMs = run?.lastTokenMs - run?.firstTokenMs;
  const tokensPerSecond = n_later > 0 && spanMs > 0 ? (n_later / spanMs) * 1000 : null;
  const measured = run?.report?.diagnostics?.decode_tokens_per_s;
  return { firstTokenMs, tokensPerSecond: measured ?? tokensPerSecond };
}

/** The turn of this session that is being written, or undefined. */
export function activeTurn(session) {
  return session.turns.find(isActive);
}

export function isRunning(state) {
  return Boolean(activeTurn(sessionOf(state.sessions)));
}

/** Why Run is not possible now, as a sentence, or null when it is. */
export function runObstacle(state) {
  if (state.engine.status === "failed") return "The engine did not start.";
  if (!state.model) return "Open a model first.";
  if (isRunning(state)) return "A run is going on.";
  const [bad] = Object.values(state.settings.invalid);
  return bad ? bad.problem : null;
}

/** The same of what is typed: an empty message is none. */
export function sendObstacle(state) {
  const { mode, prompt } = state.settings.values;
  const isEmpty = mode === "chat" && !prompt.trim();
  return runObstacle(state) ?? (isEmpty ? "Write a message first." : null);
}

/** Which of a turn's branches it is: `{ nth, turns }`, `nth` from 0. */
export function branchOf(session, turn) {
  const turns = branchesOf(session, turn);
  return { nth: turns.indexOf(turn), turns };
}

/** What a person calls a session by: how its first prompt begins. */
export function titleOf({ id, turns }, prompt) {
  const text = (turns.find(({ role }) => role === "user")?.text ?? prompt).trim();
  if (!text) return `Session ${id}`;
  return text.length > 24 ? `${text.slice(0, 23).trimEnd()}…` : text;
}

/** What a link made now says: in a chat that has begun, its first message. */
export function linkedValues(state) {
  const { values } = state.settings;
  const [first] = shownTurns(state).path;
  return values.mode === "chat" && first ? { ...values, prompt: first.text } : values;
}

/** The model a link made now names: the open one, else the one this page's link named. */
export function linkedWeights(state) {
  return state.model?.card.identities?.weights ?? state.settings.linkWeights;
}

/** True if the link was made with another model than the one open now. */
export function isOtherModel(state) {
  const { linkWeights } = state.settings;
  const weights = state.model?.card.identities?.weights;
  return Boolean(linkWeights && weights && !weights.startsWith(linkWeights));
}

/** The document the diagnostics panel shows and copies; texts only if asked for. */
export function diagnosticsDocument(state, withTexts) {
  const { engine, model } = state;
  const { run } = shownTurns(state);
  const report = run?.report ? { ...run.report } : null;
  if (report && !withTexts) {
    for (const name of ["text", "prompt", "prompt_ids", "output_ids"]) delete report[name];
  }
  const { firstTokenMs, tokensPerSecond } = runTimes(run);
  return {
    schema: "cultivar.lab-diagnostics.v1",
    engine: engine.info,
    model: model && {
      name: model.card.name, identities: model.card.identities, load_ms: model.load_ms,
      file_bytes: model.card.file_bytes, memory: model.card.memory,
    },
    page: run && {
      first_token_ms: firstTokenMs, tokens_per_s: tokensPerSecond, n_tokens: run.n_tokens,
    },
    energy_estimate: energyOf(state.settings.values.watts, tokensPerSecond),
    run: report,
  };
}

/** An estimate, and named one: the watts that a person states times the time per token. */
function energyOf(watts, tokensPerSecond) {
  if (watts === "" || !tokensPerSecond) return null;
  return { stated_watts: watts, joules_per_token: watts / tokensPerSecond };
}
