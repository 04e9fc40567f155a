/**
 * The speed that simd128 must keep, from made-up measurements. Measures nothing.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { rowsBelowFloor } from "./floor.mjs";

test("a row below the floor is named", () => {
  const one = (model, engine, prefill, decode) => ({ model, engine, prefill, decode });
  const results = [
    one("a", "scalar", 10, 10),
    one("a", "simd128", 30, 29),
    one("b", "scalar", 10, 10),
    one("b", "simd128", 1, 40),
    one("b", "simd128", 31, 40),
    one("b", "simd128", 32, 1),
    one("c", "simd128", 1, 1),
    { model: "c", engine: "scalar", error: "no" },
  ];
  const found = rowsBelowFloor(results, ["a", "b", "c"]);
  assert.deepEqual(found, ["a decode: simd128 / scalar is 2.90, below 3"]);
});
