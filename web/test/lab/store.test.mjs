/** The store and its reducers: pure, closed list of events, one slice changed at a time. */
import assert from "node:assert/strict";
import test from "node:test";
import { EVENTS, event } from "../../lab/state/events.js";
import { initialState, reduce } from "../../lab/state/reducers.js";
import { createStore } from "../../lab/state/store.js";

function play(...events) {
  return events.reduce((state, [type, fields]) => reduce(state, event(type, fields)), initialState);
}

test("an unknown event or a missing field is refused", () => {
  assert.throws(() => event("tokenArived"), /unknown event/);
  assert.throws(() => event("engineStarted"), /lacks its field info/);
  assert.deepEqual(event("jobEnded"), { type: "jobEnded" });
});

test("an event that changes nothing keeps the same state object", () => {
  for (const type of ["jobEnded", "runStopping"]) {
    const once = reduce(initialState, event(type));
    assert.equal(reduce(once, event("runStopping")), once);
  }
  assert.equal(reduce(initialState, event("themeChosen", { theme: "pink" })), initialState);
});

test("no reducer changes the state it was given", () => {
  const frozen = deepFreeze(play(["messageRaised", { message: { title: "a", detail: "b" } }]));
  const fields = {
    info: {}, message: { title: "t", detail: "d" }, reason: "r", theme: "dark", name: "seed",
    text: "7", fragment: "v=1&seed=4", kept: {}, role: "tokenizer", kind: "open", ms: 1,
    progress: { phase: "read", doneBytes: 1, totalBytes: 2 }, card: {}, model: { card: {} },
    prompt: "p", count: 1, stopReason: "max_tokens", report: {}, id: 1,
  };
  for (const [type, names] of Object.entries(EVENTS)) {
    const given = Object.fromEntries(names.map((name) => [name, fields[name]]));
    assert.doesNotThrow(() => reduce(frozen, event(type, given)), type);
  }
});

test("a listener that dispatches is served after the event it heard", () => {
  const seen = [];
  const store = createStore((state, { type }) => [...state, type], []);
  const end = store.subscribe((state) => {
    seen.push(state.length);
    if (state.length === 1) store.dispatch({ type: "second" });
  });
  store.dispatch({ type: "first" });
  assert.deepEqual(store.state, ["first", "second"]);
  assert.deepEqual(seen, [1, 2]);
  end();
  store.dispatch({ type: "third" });
  assert.deepEqual(seen, [1, 2]);
});

test("a run goes from its prompt to its digest", () => {
  const state = play(
    ["runStarted", { prompt: "Once", ms: 100 }],
    ["tokensArrived", { text: " upon", count: 1, ms: 110 }],
    ["tokensArrived", { text: " a time", count: 2, ms: 120 }],
    ["runStopping", {}],
    ["runEnded", { stopReason: "cancelled", report: { run_digest: "00" }, ms: 130 }],
  );
  assert.equal(state.run.text, " upon a time");
  assert.equal(state.run.n_tokens, 3);
  assert.equal(state.run.status, "done");
  assert.equal(state.run.stopReason, "cancelled");
  const late = reduce(state, event("tokensArrived", { text: "!", count: 1, ms: 140 }));
  assert.equal(late, state);
});

test("a new model forgets the old one's run", () => {
  const state = play(
    ["runStarted", { prompt: "Once", ms: 0 }],
    ["runEnded", { stopReason: "max_tokens", report: {}, ms: 1 }],
    ["modelOpened", { model: { card: {} } }],
  );
  assert.equal(state.run.status, "idle");
  assert.equal(state.run.number, 1);
});

test("the same failure twice is counted, other ones are stacked up to a limit", () => {
  const message = (title) => ["messageRaised", { message: { title, detail: "d" } }];
  const twice = play(message("a"), message("a"));
  assert.equal(twice.messages.list.length, 1);
  assert.equal(twice.messages.list[0].count, 2);
  const many = play(..."abcdefgh".split("").map(message));
  assert.deepEqual(many.messages.list.map(({ title }) => title), ["h", "g", "f", "e", "d"]);
  const { id } = many.messages.list[0];
  const fewer = reduce(many, event("messageDismissed", { id }));
  assert.equal(fewer.messages.list.length, 4);
});

function deepFreeze(value) {
  if (value && typeof value === "object") Object.values(Object.freeze(value)).forEach(deepFreeze);
  return value;
}
