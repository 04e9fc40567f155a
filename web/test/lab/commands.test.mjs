/** Commands against a kit without an engine: what reaches the state, and in which order. */
import assert from "node:assert/strict";
import test from "node:test";
import { messageOfError } from "../../lab/commands/advice.js";
import { isRunning, shownTurns } from "../../lab/state/selectors.js";
import { CultivarError } from "./fake-kit.js";
import { checkpointFile, packageFile, setUp, tokenizerFile, until } from "./lab-desk.js";

const runOf = (store) => shownTurns(store.state).run;
const isDone = (state) => shownTurns(state).run?.status === "done" && !isRunning(state);

test("a package is opened, its card shown before its weights are there", async () => {
  const { store, files } = await setUp();
  const seen = [];
  store.subscribe((state) => seen.push(Boolean(state.intake.job?.card), state.model !== null));
  await files.openFiles([packageFile("a.slm")]);
  assert.equal(store.state.model.name, "a.slm");
  assert.equal(store.state.intake.job, null);
  assert.ok(seen.findIndex((one, idx) => idx % 2 === 0 && one) < seen.lastIndexOf(true));
});

test("a bad file raises a message and leaves the open model working", async () => {
  const { store, files, runs, desk, set } = await setUp();
  await files.openFiles([packageFile("good.slm")]);
  const good = desk.opened;
  const bad = [packageFile("bad.slm", "BAD"), new File([], "empty.bin"), new File(["hi"], "t.txt")];
  for (const file of bad) await files.openFiles([file]);
  const messages = store.state.messages.list;
  assert.deepEqual(messages.map(({ tone }) => tone), ["error", "error", "error"]);
  assert.match(messages[2].title, /bad\.slm could not be opened/);
  assert.match(messages[2].detail, /digest is wrong/);
  assert.ok(messages.every(({ advice }) => advice.length > 10));
  assert.equal(desk.opened, good);
  assert.equal(good.isClosed, false);
  set("max_tokens", "3");
  runs.run();
  await until(store, isDone);
  assert.equal(runOf(store).text, ", there was");
});

test("the first half of a pair is kept, the second starts the import", async () => {
  const { store, files, kit, set } = await setUp();
  set("format", "q8_0");
  await files.openFiles([tokenizerFile()]);
  assert.deepEqual(store.state.intake.kept.map(({ name }) => name), ["tokenizer.bin"]);
  assert.match(store.state.intake.missing, /checkpoint/);
  assert.equal(store.state.model, null);
  await files.openFiles([checkpointFile()]);
  assert.deepEqual(kit.imported, { names: ["stories.bin", "tokenizer.bin"], format: "q8_0" });
  assert.equal(store.state.model.name, "stories-q8_0.slm");
  assert.deepEqual(store.state.model.imported.from, ["stories.bin", "tokenizer.bin"]);
  assert.deepEqual(store.state.intake.kept, []);
  set("format", "f16");
  await files.importAgain();
  assert.equal(kit.imported.format, "f16");
  assert.equal(kit.packages[0].isClosed, true);
});

test("a kept half can be forgotten", async () => {
  const { store, files } = await setUp();
  await files.openFiles([tokenizerFile()]);
  files.dropKept();
  assert.deepEqual(store.state.intake.kept, []);
  await files.openFiles([checkpointFile()]);
  assert.equal(store.state.model, null);
});

test("a stopped job says so and changes nothing else", async () => {
  const { store, files, jobs, kit } = await setUp();
  await files.openFiles([packageFile("first.slm")]);
  kit.pace_ms = 5;
  const opening = files.openFiles([packageFile("second.slm")]);
  await until(store, (state) => state.intake.job?.card);
  jobs.stopJob();
  await opening;
  assert.equal(store.state.model.name, "first.slm");
  assert.equal(store.state.intake.job, null);
  assert.equal(store.state.messages.list[0].tone, "note");
});

test("a file dropped during a job takes its place", async () => {
  const { store, files, kit } = await setUp();
  kit.pace_ms = 5;
  const first = files.openFiles([packageFile("first.slm")]);
  await until(store, (state) => state.intake.job);
  await Promise.all([first, files.openFiles([packageFile("second.slm")])]);
  assert.equal(store.state.model.name, "second.slm");
  assert.equal(store.state.intake.job, null);
  assert.equal(store.state.messages.list.length, 0);
});

test("a file dropped while the last run winds down leaves desk and state as one", async () => {
  const { store, files, desk, kit } = await setUp();
  await files.openFiles([packageFile("open.slm")]);
  let letGo;
  let onWait;
  const isWaiting = new Promise((done) => (onWait = done));
  desk.settle = () => {
    onWait();
    return new Promise((done) => (letGo = done));
  };
  const first = files.openFiles([packageFile("first.slm")]);
  await isWaiting;
  const second = files.openFiles([packageFile("bad.slm", "BAD")]);
  await until(store, (state) => state.intake.job?.name === "bad.slm");
  letGo();
  await Promise.all([first, second]);
  assert.equal(store.state.model.name, "open.slm");
  assert.equal(desk.source.name, "open.slm");
  assert.equal(desk.opened.isClosed, false);
  assert.deepEqual(kit.packages.map(({ isClosed }) => isClosed), [false, true]);
  assert.equal(store.state.intake.job, null);
});

test("a session gets exactly the settings of the table", async () => {
  const { store, files, runs, kit, set } = await setUp();
  await files.openFiles([packageFile("a.slm")]);
  set("seed", "18446744073709551615");
  set("max_tokens", "2");
  runs.run();
  await until(store, isDone);
  assert.deepEqual(kit.sessions[0].settings, {
    temperature: 0, top_k: 40, top_p: 0.95, seed: "18446744073709551615", max_tokens: 2,
  });
  assert.equal(runOf(store).report.run_digest.length, 64);
  await runs.closeSession(1);
  assert.equal(kit.sessions[0].isClosed, true);
});

test("a run can be stopped, keeps its text and gives its report", async () => {
  const { store, files, runs, kit } = await setUp();
  await files.openFiles([packageFile("a.slm")]);
  kit.pace_ms = 2;
  runs.run();
  runs.run(); // A second one at the same time is refused.
  await until(store, (state) => shownTurns(state).run?.n_tokens > 1);
  runs.stop();
  await runs.settle();
  assert.equal(runOf(store).stopReason, "cancelled");
  assert.ok(runOf(store).text.startsWith(", there"));
  assert.equal(kit.sessions.length, 1);
});

test("opening another model first stops the run that uses the old one", async () => {
  const { store, files, runs, kit } = await setUp();
  await files.openFiles([packageFile("a.slm")]);
  kit.pace_ms = 2;
  runs.run();
  await until(store, (state) => shownTurns(state).run?.n_tokens > 0);
  await files.openFiles([packageFile("b.slm")]);
  assert.equal(kit.sessions[0].isClosed, true);
  assert.equal(kit.packages[0].isClosed, true);
  assert.equal(runOf(store), null);
});

test("every range of status codes has advice of its own", () => {
  const advice = (code, kind) =>
    messageOfError("x", new CultivarError("why", code, kind)).advice;
  const codes = [5, 107, 110, 205, 251, 255, 310, 355, 404, 405, 455, 510];
  for (const code of codes) assert.doesNotMatch(advice(code, "k"), /Try again; if/, `${code}`);
  assert.equal(advice(107), advice(251));
  assert.match(advice(0, "trap"), /restarted/);
  assert.match(advice(0, "no such kind"), /reload/);
});
