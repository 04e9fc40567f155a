/** Chats against a kit without an engine: what is sent, what is computed anew, what branches. */
import assert from "node:assert/strict";
import test from "node:test";
import { createLiveSessions } from "../../lab/commands/live-sessions.js";
import { createRecordCommands } from "../../lab/commands/records.js";
import { createRunCommands } from "../../lab/commands/run-prompt.js";
import { event } from "../../lab/state/events.js";
import { initialState, reduce } from "../../lab/state/reducers.js";
import { isRunning, linkedValues, sendObstacle, shownTurns } from "../../lab/state/selectors.js";
import { createStore } from "../../lab/state/store.js";
import { Cultivar, CultivarError, fakeCard } from "./fake-kit.js";

async function setUp(mode = "chat") {
  const store = createStore(reduce, initialState);
  const kit = await Cultivar.open();
  const desk = { opened: await kit.openPackage(new Blob(["model of sixteen bytes"])) };
  const live = createLiveSessions();
  let clock = 0;
  const runs = createRunCommands({ store, desk, live, now: () => (clock += 1) });
  const records = createRecordCommands({ store, desk, live });
  const dispatch = (type, fields) => store.dispatch(event(type, fields));
  const set = (name, text) => dispatch("settingChanged", { name, text });
  dispatch("modelOpened", { model: { name: "m", card: fakeCard(), load_ms: 0, imported: null } });
  set("max_tokens", "2");
  set("mode", mode);
  const isIdle = () => !isRunning(store.state);
  async function settled() {
    if (isIdle()) return;
    await new Promise((done) => {
      const end = store.subscribe(() => isIdle() && (end(), done()));
    });
  }
  async function send(text) {
    set("prompt", text);
    runs.run();
    await settled();
  }
  const path = () => shownTurns(store.state).path;
  const said = () => path().map(({ text }) => text);
  return { store, kit, desk, runs, records, dispatch, set, send, settled, path, said };
}

const textOf = (ids) => String.fromCodePoint(...ids);

test("a message is sent with the system prompt, and its field is emptied", async () => {
  const { store, kit, set, send, said } = await setUp();
  set("system", "Be brief.");
  await send("Hi");
  assert.deepEqual(said(), ["Hi", ", there"]);
  assert.equal(textOf(kit.sessions[0].prompts[0]), "s:Be brief.;u:Hi;a:");
  assert.deepEqual(kit.sessions[0].settings.stop_strings, [";"]);
  assert.equal(store.state.settings.values.prompt, "");
  assert.match(sendObstacle(store.state), /Write a message/);
  assert.equal(linkedValues(store.state).prompt, "Hi");
  assert.equal(store.state.model.chat.format, "plain");
});

test("the second turn goes on from the first one's session", async () => {
  const { kit, send, said, path } = await setUp();
  await send("Hi");
  await send("More");
  assert.deepEqual(said(), ["Hi", ", there", "More", ", there"]);
  const [, fork] = kit.sessions;
  assert.equal(fork.isFork, true);
  // What the fake wrote are ids 0 and 1, which its text does not give again: from there on.
  assert.equal(textOf(fork.prompts[0]), ", there;u:More;a:");
  assert.equal(path().at(-1).status, "done");
});

test("an edited message is a branch, and so is an answer written again", async () => {
  const { store, kit, runs, send, settled, path, said, dispatch } = await setUp();
  await send("Hi");
  await send("More");
  runs.editMessage(path()[2], "Less");
  await settled();
  assert.deepEqual(said(), ["Hi", ", there", "Less", ", there"]);
  dispatch("branchChosen", { session: 1, turn: 2 });
  assert.equal(said()[2], "More");
  runs.again(path()[3]);
  await settled();
  assert.equal(store.state.settings.values.seed, "1");
  assert.deepEqual(said(), ["Hi", ", there", "More", " there was"]);
  assert.equal(kit.sessions.at(-1).isFork, undefined, "another seed is another session");
  runs.again(path()[3], true);
  await settled();
  assert.equal(store.state.settings.values.seed, "1");
  assert.equal(said()[3], " there was");
});

test("a completion goes on from another token", async () => {
  const { kit, runs, send, settled, path, said } = await setUp("complete");
  await send("Once");
  runs.branchAt(path()[1], 1, { id: 99, text: " were" });
  await settled();
  assert.deepEqual(said(), ["Once", ", were, there"]);
  const fork = kit.sessions.at(-1);
  assert.deepEqual([fork.isFork, fork.prompts[0]], [true, [99]]);
  assert.deepEqual(fork.ids.slice(0, 6), [..."Once".split("").map((c) => c.codePointAt(0)), 0, 99]);
});

test("two sessions write side by side, and stopping one leaves the other", async () => {
  const { store, kit, runs, set, dispatch, settled } = await setUp("complete");
  kit.pace_ms = 3;
  set("max_tokens", "30");
  runs.run();
  dispatch("sessionOpened");
  set("prompt", "Other");
  runs.run();
  const isWriting = ({ turns }) => turns.at(-1).n_tokens > 0;
  await new Promise((done) => {
    const end = store.subscribe(({ sessions: { list } }) =>
      list.every(isWriting) && (end(), done()));
  });
  runs.stop();
  await settled();
  const [first, second] = store.state.sessions.list;
  assert.equal(second.turns.at(-1).stopReason, "cancelled");
  assert.equal(first.turns.at(-1).status, "running");
  await runs.closeSession(1);
  assert.deepEqual(store.state.sessions.list.map(({ id }) => id), [2]);
  await runs.settle();
  assert.ok(kit.sessions.every(({ isClosed }) => isClosed));
});

test("a chat is cleared with its sessions", async () => {
  const { kit, runs, send, said } = await setUp();
  await send("Hi");
  await runs.clearSession(1);
  assert.deepEqual(said(), []);
  assert.equal(kit.sessions[0].isClosed, true);
});

test("a lost session is read anew: the same text", async () => {
  const { kit, send, said } = await setUp();
  await send("Hi");
  kit.sessions[0].fork = async () => {
    throw Object.assign(new Error("lost"), { kind: "session_lost" });
  };
  await send("More");
  assert.equal(said()[3], ", there");
  assert.equal(textOf(kit.sessions[1].prompts[0]), "u:Hi;a:, there;u:More;a:");
});

test("what is kept for later gives way when memory is short, and is bounded", async () => {
  const { kit, desk, send, said } = await setUp("complete");
  for (const seed of [0, 1, 2]) await send(`Prompt ${seed}`);
  const create = desk.opened.createSession.bind(desk.opened);
  let n_refused = 0;
  desk.opened.createSession = async (settings) => {
    if (n_refused > 0) return create(settings);
    n_refused += 1;
    throw Object.assign(new Error("no memory"), { kind: "kv_cache", code: 404 });
  };
  await send("More");
  assert.equal(said()[1], ", there");
  assert.deepEqual(kit.sessions.map(({ isClosed }) => isClosed), [true, true, true, false]);
  desk.opened.card.memory.kv_bytes = 2 ** 30;
  for (const seed of [3, 4]) await send(`Prompt ${seed}`);
  assert.deepEqual(kit.sessions.map(({ isClosed }) => !isClosed).filter(Boolean).length, 2);
});

test("a record is replayed; one that cannot be says why", async () => {
  const { store, kit, records, set } = await setUp("complete");
  const file = (record) => new File([JSON.stringify(record)], "r.json");
  const turns = [{ output_ids: [1, 2] }];
  set("prompt", "AB");
  await records.replay(file({ turns }));
  assert.equal(store.state.replay.status, "done");
  assert.equal(store.state.replay.n_total, 2);
  assert.equal(store.state.replay.replayed.same_bits, true);
  assert.deepEqual([...kit.replayed.prompts[0]], [65, 66]);
  for (const bad of [file({ turns, bad: true }), new File(["{"], "r.json"), file({})]) {
    await records.replay(bad);
    const [message] = store.state.messages.list;
    assert.equal(message.title, "r.json was not replayed");
    assert.match(message.advice, /record/i);
    assert.equal(store.state.replay.status, "idle");
  }
});

test("without its session a run has no record, and that is said", async () => {
  const { store, records } = await setUp();
  await records.saveRecord(false);
  assert.match(store.state.messages.list[0].title, /no run/);
});

test("a session that cannot be rewound is closed, and what is kept stays", async () => {
  const kit = await Cultivar.open();
  const model = await kit.openPackage(new Blob(["model of sixteen bytes"]));
  model.card = fakeCard();
  const settings = { seed: "0" };
  for (const kind of ["kv_cache", "session_lost"]) {
    const live = createLiveSessions();
    const first = (await live.begin(model, settings, [1, 2, 3], 0)).session;
    await live.keep(model, { owner: 0, turn: 1, settings, ids: [1, 2, 3], session: first });
    let fork;
    first.fork = async () => {
      fork = await Object.getPrototypeOf(first).fork.call(first);
      fork.rewind = () => Promise.reject(new CultivarError("no", 110, kind));
      return fork;
    };
    const begun = live.begin(model, settings, [1, 2, 4], 0, 1);
    if (kind === "kv_cache") await assert.rejects(begun, { kind });
    else assert.equal((await begun).n, 0);
    assert.deepEqual([fork.isClosed, first.isClosed], [true, false]);
    assert.equal(live.of(0, 1), first);
  }
});
