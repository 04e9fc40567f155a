/**
 * The roofline's loops as text: each is there once, with its bytes and products. Times nothing.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { LOOPS } from "./roofline.mjs";

test("loops say what a step of theirs costs", () => {
  const costs = Object.fromEntries(LOOPS.map(({ name, step, macs }) => [name, [step, macs]]));
  assert.deepEqual(costs.load_add, [128, 0]);
  assert.deepEqual(costs["q8 relaxed"], [288, 256]);
  assert.deepEqual(costs["q4 4 tokens plain"], [160, 1024]);
  assert.equal(LOOPS.length, Object.keys(costs).length);
});

test("plain loops have no relaxed instruction", () => {
  for (const { name, code } of LOOPS) {
    assert.equal(/relaxed/.test(code), name.endsWith("relaxed"), name);
    assert.equal(code.split("(").length, code.split(")").length, name);
  }
});
