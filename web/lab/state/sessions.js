/**
 * The sessions slice: several sessions over the open model, each a tree of turns. A turn is a
 * prompt (`user`) or what the model wrote after one (`model`); turns with the same parent are
 * branches, and `tip` is the end of the path on show. A session that is not current keeps its
 * settings here. Engine sessions live with the commands, never in the state.
 */

const newSession = (id, settings = null) => ({ id, settings, turns: [], tip: null });

export const initialSessions = Object.freeze({
  list: Object.freeze([Object.freeze(newSession(1))]), current: 1, nextId: 2,
});

/** The session of that id, by default the one on show. */
export function sessionOf(sessions, id = sessions.current) {
  return sessions.list.find((session) => session.id === id);
}

/** The turns from the first to `tip`. */
export function pathTo(session, tip = session.tip) {
  const path = [];
  for (let id = tip; id !== null; id = session.turns[id].parent) path.unshift(session.turns[id]);
  return path;
}

/** The branches of which this turn is one, itself included, oldest first. */
export function branchesOf(session, { parent, role }) {
  return session.turns.filter((turn) => turn.parent === parent && turn.role === role);
}

export function isActive(turn) {
  return turn?.status === "running" || turn?.status === "stopping";
}

/** State after one event; `settings` are those of the current session. */
export function reduceSessions(sessions, event, settings) {
  switch (event.type) {
    case "sessionOpened": {
      const values = { ...settings.values, prompt: "" };
      const opened = newSession(sessions.nextId, { ...settings, values, invalid: {} });
      const list = [...park(sessions, settings), opened];
      return { list, current: opened.id, nextId: opened.id + 1 };
    }
    case "sessionChosen":
      if (event.id === sessions.current || !sessionOf(sessions, event.id)) return sessions;
      return { ...sessions, list: park(sessions, settings), current: event.id };
    case "sessionClosed":
      return close(sessions, event.id, settings);
    case "sessionCleared":
      return {
        ...sessions, list: sessions.list.map((one) => (one.id === event.id ? clear(one) : one)),
      };
    case "modelOpened":
      return { ...sessions, list: park(sessions, settings).map(forget) };
    default:
      return changeOne(sessions, event);
  }
}

function park(sessions, settings) {
  return sessions.list.map((one) =>
    (one.id === sessions.current ? { ...one, settings } : one));
}

/** The last session cannot be closed: an empty one takes its place. */
function close(sessions, id, settings) {
  const idx = sessions.list.findIndex((one) => one.id === id);
  const list = sessions.list.filter((one) => one.id !== id);
  if (idx < 0) return sessions;
  if (list.length === 0) {
    return reduceSessions({ ...sessions, list }, { type: "sessionOpened" }, settings);
  }
  if (id !== sessions.current) return { ...sessions, list };
  return { ...sessions, list, current: list[Math.min(idx, list.length - 1)].id };
}

const clear = (session) => ({ ...session, turns: [], tip: null });

/** Tokens and reports were another model's; of a chat the words stay, of a completion nothing. */
function forget(session) {
  if (session.settings.values.mode !== "chat") return clear(session);
  const turns = session.turns.map((turn) =>
    (turn.role === "model" ? { ...turn, tokens: [], report: null } : turn));
  return { ...session, turns };
}

function changeOne(sessions, event) {
  const session = sessionOf(sessions, event.session);
  const next = session && reduceTurns(session, event);
  if (!next || next === session) return sessions;
  return { ...sessions, list: sessions.list.map((one) => (one === session ? next : one)) };
}

function reduceTurns(session, event) {
  switch (event.type) {
    case "promptAdded":
      return add(session, { role: "user", parent: event.parent, text: event.text });
    case "runStarted":
      return add(session, {
        role: "model", parent: event.parent, tokens: event.tokens, text: textOf(event.tokens),
        n_given: event.tokens.length, seed: event.seed, status: "running", startedMs: event.ms,
        firstTokenMs: null, lastTokenMs: null, n_first: 0, n_tokens: 0, stopReason: null,
        report: null,
      });
    case "branchChosen":
      return { ...session, tip: lastBelow(session, event.turn) };
    default:
      return changeTurn(session, event);
  }
}

function add(session, turn) {
  const id = session.turns.length;
  return { ...session, turns: [...session.turns, { id, ...turn }], tip: id };
}

/** From a turn down the newest branches to their end. */
function lastBelow(session, id) {
  const child = session.turns.findLast((turn) => turn.parent === id);
  return child ? lastBelow(session, child.id) : id;
}

function changeTurn(session, event) {
  const turn = session.turns[event.turn];
  const next = turn && reduceTurn(turn, event);
  if (!next || next === turn) return session;
  return { ...session, turns: session.turns.with(event.turn, next) };
}

function reduceTurn(turn, event) {
  switch (event.type) {
    case "tokensArrived":
      return isActive(turn) ? addTokens(turn, event) : turn;
    case "runStopping":
      return turn.status === "running" ? { ...turn, status: "stopping" } : turn;
    case "runEnded":
      return { ...turn, status: "done", stopReason: event.stopReason, report: event.report };
    case "runFailed":
      return { ...turn, status: "failed" };
    default:
      return turn;
  }
}

const textOf = (tokens) => tokens.map(({ text }) => text).join("");

/**
 * Tokens may arrive several at once; the rate counts from the end of the first arrival. The last
 * piece of text may complete a character without being a token: its id is null.
 */
function addTokens(turn, { tokens, ms }) {
  const isFirst = turn.firstTokenMs === null;
  const count = tokens.filter(({ id }) => id !== null).length;
  return {
    ...turn,
    tokens: [...turn.tokens, ...tokens],
    text: turn.text + textOf(tokens),
    n_tokens: turn.n_tokens + count,
    n_first: isFirst ? count : turn.n_first,
    firstTokenMs: isFirst ? ms : turn.firstTokenMs,
    lastTokenMs: ms,
  };
}
