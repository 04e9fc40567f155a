/**
 * The bench's table from made-up measurements: medians, ratios, and gaps where nothing was
 * measured. Measures nothing.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { median, table } from "./table.mjs";

test("medians", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.equal(median([]), undefined);
});

test("the table holds medians and ratios", () => {
  const one = (engine, prefill, decode) => ({ model: "m", engine, prefill, decode });
  const results = [
    one("scalar", 10, 4),
    one("simd128", 90, 8),
    one("simd128", 30, 8),
    one("simd128", 60, 1000),
    { model: "m", engine: "relaxed", error: "no" },
  ];
  const lines = table(results, ["m"], ["scalar", "simd128", "relaxed"]).split("\n");
  assert.equal(lines.length, 4);
  assert.match(lines[0], /simd128 \/ scalar \| relaxed \/ simd128/);
  assert.equal(lines[2], "| m | prefill | 10.0 | 60.0 | - | 6.00 | - |");
  assert.equal(lines[3], "| m | decode | 4.0 | 8.0 | - | 2.00 | - |");
});
