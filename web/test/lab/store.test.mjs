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
  const stopping = event("runStopping", { session: 1, turn: 4 });
  for (const gone of [event("jobEnded"), event("sessionChosen", { id: 9 })]) {
    const once = reduce(initialState, gone);
    assert.equal(reduce(once, stopping), once);
  }
  assert.equal(reduce(initialState, event("themeChosen", { theme: "pink" })), initialState);
});

test("no reducer changes the state it was given", () => {
  const frozen = deepFreeze(play(["messageRaised", { message: { title: "a", detail: "b" } }]));
  const fields = {
    info: {}, message: { title: "t", detail: "d" }, reason: "r", theme: "dark", name: "seed",
    text: "7", fragment: "v=1&seed=4", kept: {}, role: "tokenizer", kind: "open", ms: 1,
    list: [], room: null, isPaused: true, question: "q", missing: "",
    progress: { phase: "read", doneBytes: 1, totalBytes: 2 }, card: {}, model: { card: {} },
    stopReason: "max_tokens", report: {}, id: 1, session: 1, turn: 0, parent: null, tokens: [],
    seed: "0", values: {}, presets: {}, to: 0, change: {}, assembly: "", comparison: {},
    adapter: { card: { weights: "" } },
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
