/**
 * Budgets, turns, probes and errors: the small parts that need no module.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ERROR_RANGES, STATUS } from "../../runtime/abi.js";
import { CultivarError, kindOfCode, packError, unpackError } from "../../runtime/errors.js";
import { detectFeatures, moduleCandidates } from "../../runtime/features.js";
import { Budget, Turn } from "../../runtime/pace.js";

test("a budget follows the speed: doubles at most, shrinks at once, stays in range", () => {
  const budget = new Budget(1, 1, 100, { aimMs: 10 });
  budget.note(0);
  assert.equal(budget.units, 2);
  budget.note(1);
  assert.equal(budget.units, 4);
  budget.note(40);
  assert.equal(budget.units, 1);
  for (let i = 0; i < 20; i += 1) budget.note(0.001);
  assert.equal(budget.units, 100);
  budget.note(5000);
  assert.equal(budget.units, 1);
});

test("a turn throws when stopped and lets messages in when it is over", async (t) => {
  let now = 100;
  t.mock.method(performance, "now", () => now);
  const stop = new AbortController();
  const turn = new Turn(stop.signal);
  let letIn = false;
  setImmediate(() => (letIn = true));
  await turn.next();
  assert.equal(letIn, false);
  now += 20;
  assert.ok(turn.isOver);
  await turn.next();
  assert.ok(letIn);
  assert.ok(!turn.isOver);
  stop.abort();
  await assert.rejects(turn.next(), { name: "AbortError", kind: "stopped" });
});

test("candidates follow the wish and what the engine validates", () => {
  const both = { simd128: true, relaxed: true };
  assert.deepEqual(moduleCandidates("auto", both), ["relaxed", "simd128"]);
  assert.deepEqual(moduleCandidates("auto", { ...both, relaxed: false }), ["simd128"]);
  assert.deepEqual(moduleCandidates("simd128", both), ["simd128"]);
  const none = { simd128: false, relaxed: false };
  assert.throws(() => moduleCandidates("auto", none), { kind: "unsupported" });
  assert.throws(() => moduleCandidates("relaxed", none), { kind: "unsupported" });
  assert.throws(() => moduleCandidates("fast", both), { kind: "bad_argument" });
  assert.equal(detectFeatures().simd128, true);
});

test("every code has a kind, and errors survive the way to the page", () => {
  assert.equal(kindOfCode(STATUS.stale_handle), "stale_handle");
  for (const { first, last, kind } of ERROR_RANGES) {
    assert.equal(kindOfCode(first), kind);
    assert.equal(kindOfCode(last), kind);
  }
  assert.equal(kindOfCode(9999), "internal");
  const error = new CultivarError("no", { code: 101, kind: "package" });
  assert.deepEqual(unpackError(packError(error)), error);
  assert.equal(packError(new TypeError("x")).kind, "internal");
});
