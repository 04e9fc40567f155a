/** Sessions and their trees of turns: branches, paths, settings that stay with their session. */
import assert from "node:assert/strict";
import test from "node:test";
import { event } from "../../lab/state/events.js";
import { initialState, reduce } from "../../lab/state/reducers.js";
import { branchOf, isRunning, runObstacle, shownTurns } from "../../lab/state/selectors.js";

const say = (parent, text, session = 1) => ["promptAdded", { session, parent, text }];
const start = (parent, tokens = [], session = 1) =>
  ["runStarted", { session, parent, tokens, seed: "0", ms: 100 }];
const arrive = (turn, words, ms = 110) => ["tokensArrived", {
  session: 1, turn, ms, tokens: words.map((text, id) => ({ id, text })),
}];
const end = (turn, session = 1) =>
  ["runEnded", { session, turn, stopReason: "max_tokens", report: { run_digest: "00" } }];
const type = (name, text) => ["settingChanged", { name, text }];
const open = (mode) => [type("mode", mode), ["modelOpened", { model: { card: {} } }]];

function play(...events) {
  return events.reduce((state, [name, fields]) => reduce(state, event(name, fields)), initialState);
}
const texts = (state) => shownTurns(state).path.map(({ text }) => text);

test("a run goes from its prompt to its end, and what comes later is not heard", () => {
  const state = play(say(null, "Once"), start(0), arrive(1, [" upon"]), arrive(1, [" a", " time"]),
    ["runStopping", { session: 1, turn: 1 }], end(1));
  const { run } = shownTurns(state);
  assert.deepEqual(texts(state), ["Once", " upon a time"]);
  assert.equal(run.n_tokens, 3);
  assert.equal(run.n_first, 1);
  assert.equal(run.status, "done");
  assert.equal(reduce(state, event(...arrive(1, ["!"]))), state);
});

test("the last piece of text may be no token", () => {
  const tokens = [{ id: 1, text: "a" }, { id: null, text: "b" }];
  const state = play(say(null, "p"), start(0),
    ["tokensArrived", { session: 1, turn: 1, tokens, ms: 5 }]);
  assert.equal(shownTurns(state).run.text, "ab");
  assert.equal(shownTurns(state).run.n_tokens, 1);
});

test("turns with one parent are branches, and each leads to its newest end", () => {
  const chat = [say(null, "Hi"), start(0), end(1), say(1, "How?"), start(2), end(3)];
  const edited = play(...chat, say(1, "Why?"), start(4), end(5));
  assert.deepEqual(shownTurns(edited).path.map(({ id }) => id), [0, 1, 4, 5]);
  const { session, path } = shownTurns(edited);
  assert.deepEqual(branchOf(session, path[2]).turns.map(({ id }) => id), [2, 4]);
  assert.equal(branchOf(session, path[2]).nth, 1);
  const back = reduce(edited, event("branchChosen", { session: 1, turn: 2 }));
  assert.deepEqual(shownTurns(back).path.map(({ id }) => id), [0, 1, 2, 3]);
  const again = reduce(back, event(...start(2)));
  assert.deepEqual(shownTurns(again).path.map(({ id }) => id), [0, 1, 2, 6]);
});

test("a turn begins with the tokens it is given, which count as nobody's speed", () => {
  const state = play(say(null, "p"), start(0, [{ id: 7, text: "A" }]), arrive(1, ["b"]));
  const { run } = shownTurns(state);
  assert.equal(run.text, "Ab");
  assert.equal(run.n_tokens, 1);
  assert.equal(run.tokens.length, 2);
});

test("each session keeps its settings and its turns", () => {
  const first = play(type("seed", "5"), type("top_k", "x"), say(null, "one"));
  const second = reduce(first, event("sessionOpened"));
  assert.equal(second.settings.values.seed, "5");
  assert.equal(second.settings.values.prompt, "");
  assert.deepEqual(second.settings.invalid, {});
  assert.deepEqual(texts(second), []);
  const changed = reduce(second, event("settingChanged", { name: "seed", text: "6" }));
  const back = reduce(changed, event("sessionChosen", { id: 1 }));
  assert.equal(back.settings, first.settings);
  assert.deepEqual(texts(back), ["one"]);
  const again = reduce(back, event("sessionChosen", { id: 2 }));
  assert.equal(again.settings.values.seed, "6");
});

test("one session writes while another is on show", () => {
  const state = play(say(null, "one"), start(0), ["sessionOpened", {}], arrive(1, ["x"]));
  assert.equal(isRunning(state), false);
  const back = reduce(state, event("sessionChosen", { id: 1 }));
  assert.equal(isRunning(back), true);
  assert.deepEqual(texts(back), ["one", "x"]);
  const opened = reduce(back, event("modelOpened", { model: { card: {} } }));
  assert.match(runObstacle(reduce(opened, event(...start(null)))), /going on/);
});

test("a closed session gives way to its neighbour, the last to an empty one", () => {
  const state = play(["sessionOpened", {}], ["sessionOpened", {}], ["sessionClosed", { id: 3 }]);
  assert.equal(state.sessions.current, 2);
  const one = reduce(state, event("sessionClosed", { id: 1 }));
  assert.deepEqual(one.sessions.list.map(({ id }) => id), [2]);
  const none = reduce(one, event("sessionClosed", { id: 2 }));
  assert.deepEqual(none.sessions.list.map(({ id }) => id), [4]);
  assert.equal(none.sessions.current, 4);
  assert.equal(reduce(none, event("sessionClosed", { id: 2 })).sessions, none.sessions);
});

test("a new model forgets completions; of a chat the words stay, not their tokens", () => {
  const run = [say(null, "Once"), start(0), arrive(1, [" upon"]), end(1)];
  assert.deepEqual(texts(play(...run, ...open("complete"))), []);
  const chat = play(...run, ...open("chat"));
  assert.deepEqual(texts(chat), ["Once", " upon"]);
  assert.equal(shownTurns(chat).run.report, null);
  assert.deepEqual(shownTurns(chat).run.tokens, []);
});
