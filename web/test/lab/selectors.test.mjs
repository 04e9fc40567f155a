/** What panels read from the state: rates, obstacles, the shown card, the diagnostics. */
import assert from "node:assert/strict";
import test from "node:test";
import { event } from "../../lab/state/events.js";
import { initialState, reduce } from "../../lab/state/reducers.js";
import {
  diagnosticsDocument, isOtherModel, jobProgress, linkedWeights, runObstacle,
  runTimes, shownCard, shownTurns, titleOf,
} from "../../lab/state/selectors.js";
import { fakeCard } from "./fake-kit.js";

const MODEL = { name: "m.slm", card: fakeCard(), load_ms: 5, imported: null };

function play(...events) {
  return events.reduce((state, [type, fields]) => reduce(state, event(type, fields)), initialState);
}

/** A turn of the first session, the first there. */
const AT = { session: 1, turn: 0 };
const run = (ms) => ["runStarted", { session: 1, parent: null, tokens: [], seed: "0", ms }];
const tokens = (count) => Array.from({ length: count }, (_, id) => ({ id, text: "a" }));

function progress(phase, doneBytes, ms) {
  return ["jobProgressed", { progress: { phase, doneBytes, totalBytes: 1000 }, ms }];
}

test("rate and time left count from the start of the phase", () => {
  const start = ["jobStarted", { kind: "open", name: "m.slm", ms: 0 }];
  const fresh = jobProgress(play(start).intake.job);
  assert.deepEqual(fresh, { share: null, bytesPerSecond: null, secondsLeft: null });
  const early = play(start, progress("read", 100, 200));
  assert.deepEqual(jobProgress(early.intake.job), {
    share: 0.1, bytesPerSecond: null, secondsLeft: null,
  });
  const half = reduce(early, event(...progress("read", 500, 2000)));
  assert.deepEqual(jobProgress(half.intake.job), {
    share: 0.5, bytesPerSecond: 250, secondsLeft: 2,
  });
  const next = reduce(half, event(...progress("verify", 0, 3000)));
  assert.equal(jobProgress(next.intake.job).bytesPerSecond, null);
  const done = reduce(next, event(...progress("verify", 1000, 4000)));
  assert.deepEqual(jobProgress(done.intake.job), {
    share: 1, bytesPerSecond: 500, secondsLeft: null,
  });
});

test("a pause does not count", () => {
  const state = play(["jobStarted", { kind: "import", name: "m.slm", ms: 0 }],
    progress("import", 100, 1000), ["jobPaused", { isPaused: true, ms: 2000 }],
    ["jobPaused", { isPaused: false, ms: 9000 }], progress("import", 500, 10_000));
  assert.equal(jobProgress(state.intake.job).bytesPerSecond, 500 / 3);
  assert.equal(state.intake.job.isPaused, false);
});

test("tokens per second count what came after the first arrival", () => {
  const state = play(
    run(1000), ["tokensArrived", { ...AT, tokens: tokens(3), ms: 1050 }],
    ["tokensArrived", { ...AT, tokens: tokens(10), ms: 1150 }],
  );
  assert.deepEqual(runTimes(shownTurns(state).run), { firstTokenMs: 50, tokensPerSecond: 100 });
  const report = { diagnostics: { decode_tokens_per_s: 123 } };
  const ended = reduce(state, event("runEnded", { ...AT, stopReason: "max_tokens", report }));
  assert.equal(runTimes(shownTurns(ended).run).tokensPerSecond, 123);
  assert.deepEqual(runTimes(null), { firstTokenMs: null, tokensPerSecond: null });
});

test("a run is possible only with a model, valid settings and no other run", () => {
  assert.match(runObstacle(initialState), /Open a model/);
  const open = ["modelOpened", { model: MODEL }];
  assert.equal(runObstacle(play(open)), null);
  assert.match(runObstacle(play(open, ["settingChanged", { name: "seed", text: "x" }])), /Seed/);
  assert.match(runObstacle(play(open, run(0))), /going on/);
  assert.match(runObstacle(play(["engineFailed", { message: "no wasm" }])), /did not start/);
});

test("the card of a file being opened is shown before, and instead of, the open model's", () => {
  assert.equal(shownCard(initialState), null);
  const opening = play(
    ["modelOpened", { model: MODEL }],
    ["jobStarted", { kind: "open", name: "n.slm", ms: 0 }],
  );
  assert.equal(shownCard(opening).name, "m.slm");
  const read = reduce(opening, event("jobCardRead", { card: fakeCard({ name: "new" }) }));
  assert.equal(shownCard(read).card.name, "new");
  assert.equal(shownCard(read).isLoading, true);
  const ended = reduce(read, event("jobEnded"));
  assert.equal(shownCard(ended).name, "m.slm");
});

test("a link made with another model is told apart", () => {
  const open = ["modelOpened", { model: MODEL }];
  const link = (weights) => ["linkRead", { fragment: `v=1&weights=${weights}` }];
  assert.equal(isOtherModel(play(open)), false);
  assert.equal(isOtherModel(play(link("0123456789abcdef"), open)), false);
  const other = play(link("ffffffffffffffff"), open);
  assert.equal(isOtherModel(other), true);
  assert.equal(linkedWeights(other), MODEL.card.identities.weights);
  assert.equal(linkedWeights(play(link("ffffffffffffffff"))), "ffffffffffffffff");
});

test("diagnostics leave prompt and text out unless asked for", () => {
  const report = { schema: "cultivar.run.v1", text: "secret", prompt_ids: [1], output_ids: [2] };
  const state = play(
    ["modelOpened", { model: MODEL }],
    run(0), ["runEnded", { ...AT, stopReason: "max_tokens", report }],
  );
  const without = diagnosticsDocument(state, false);
  assert.equal(without.schema, "cultivar.lab-diagnostics.v1");
  assert.doesNotMatch(JSON.stringify(without), /secret|_ids/);
  assert.match(JSON.stringify(diagnosticsDocument(state, true)), /secret/);
});

test("a session is called by its first prompt", () => {
  const session = (text) => ({ id: 3, turns: text === null ? [] : [{ role: "user", text }] });
  assert.equal(titleOf(session(null), ""), "Session 3");
  assert.equal(titleOf(session(null), " Hello "), "Hello");
  assert.equal(titleOf(session("Once upon a time there was"), ""), "Once upon a time there…");
});
