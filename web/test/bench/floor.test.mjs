/**
 * The speed that simd128 must keep, from made-up measurements. Measures nothing.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { casesBelowFloor } from "./floor.mjs";

test("a case below the floor is named", () => {
  const one = (name, module, prefill, decode) => ({
    case: name,
    engine: `chromium ${module}`,
    figures: { prefill_128: prefill, decode_128: decode },
  });
  const samples = [
    one("a", "scalar", 10, 10),
    one("a", "simd128", 30, 29),
    one("b", "scalar", 10, 10),
    one("b", "simd128", 1, 40),
    one("b", "simd128", 31, 40),
    one("b", "simd128", 32, 1),
    one("c", "simd128", 1, 1),
    { case: "c", engine: "chromium scalar", error: "no" },
  ];
  const expected = ["a decode_128: chromium simd128 / scalar is 2.90, not 3"];
  assert.deepEqual(casesBelowFloor(samples), expected);
});
