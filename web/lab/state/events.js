/**
 * The closed list of what can happen to the page's state, in the past tense, with the fields that
 * each event carries; what it does is said by the reducers. Another event is refused, so that a
 * misspelt name cannot pass silently. Times (`ms`) are handed in: no reducer reads a clock.
 */

export const EVENTS = Object.freeze({
  // Engine.
  engineStarted: ["info"],
  engineFailed: ["message"],
  engineReplaced: ["reason"],
  // Appearance.
  themeChosen: ["theme"],
  // Settings of the current session; `text` is what was typed, unparsed.
  settingChanged: ["name", "text"],
  linkRead: ["fragment"],
  presetChosen: ["values"],
  presetsRead: ["presets"],
  presetSaved: ["name"],
  presetRemoved: ["name"],
  // Files and the one job that reads them.
  filesKept: ["kept", "missing"],
  jobStarted: ["kind", "name", "ms"],
  jobProgressed: ["progress", "ms"],
  jobCardRead: ["card"],
  jobPaused: ["isPaused", "ms"],
  jobAsked: ["question"],
  jobEnded: [],
  modelOpened: ["model"],
  chatFormatRead: ["chat"],
  modelKept: ["id"],
  libraryRead: ["list", "room"],
  // Sessions and their turns; `parent` is a turn or null, `tokens` are `{ id, text }`.
  sessionOpened: [],
  sessionChosen: ["id"],
  sessionClosed: ["id"],
  sessionCleared: ["id"],
  branchChosen: ["session", "turn"],
  promptAdded: ["session", "parent", "text"],
  runStarted: ["session", "parent", "tokens", "seed", "ms"],
  tokensArrived: ["session", "turn", "tokens", "ms"],
  runStopping: ["session", "turn"],
  runEnded: ["session", "turn", "stopReason", "report"],
  runFailed: ["session", "turn"],
  // A record computed again.
  replayStarted: ["name", "n_total"],
  replayStepped: ["n_steps"],
  replayEnded: ["replayed"],
  replayFailed: [],
  // The mix: `adapter` as the list has it, `change` some of its fields, `comparison` too, or null.
  adapterOpened: ["adapter"],
  adapterRefused: ["refused"],
  adapterRemoved: ["id"],
  adapterMoved: ["id", "to"],
  adapterChanged: ["id", "change"],
  assemblyKnown: ["assembly"],
  comparisonChanged: ["comparison"],
  // Messages to the person.
  messageRaised: ["message"],
  messageDismissed: ["id"],
});

/** Builds one event, refusing an unknown name or a missing field. */
export function event(type, fields = {}) {
  const expected = EVENTS[type];
  if (!expected) throw new TypeError(`unknown event ${type}`);
  for (const name of expected) {
    if (!(name in fields)) throw new TypeError(`event ${type} lacks its field ${name}`);
  }
  return { type, ...fields };
}
