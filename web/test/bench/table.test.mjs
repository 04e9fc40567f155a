/**
 * The bench's tables from made-up measurements: medians, spreads, and gaps where nothing was
 * measured. Measures nothing.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { caseTable, median, short, spread, valuesOf } from "./table.mjs";

test("medians and spreads", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.equal(median([]), undefined);
  assert.equal(spread([8, 10, 12]), 0.4);
  assert.equal(spread([-8, -10, -12]), 0.4);
});

test("numbers are short", () => {
  assert.deepEqual([1234.5, 99.96, 0.125, NaN].map(short), ["1235", "100.0", "0.13", "-"]);
});

test("a case's table has a row per figure and a column per engine", () => {
  const one = (engine, figures, name = "a") => ({ case: name, engine, figures });
  const samples = [
    one("native", { decode_128: 40 }),
    one("native", { decode_128: 42 }),
    one("relaxed", { decode_128: 50, load_ms: 7 }),
    one("relaxed", { decode_128: 100 }),
    one("relaxed", { decode_128: 60 }, "b"),
    { case: "a", engine: "relaxed", error: "no" },
  ];
  const given = { name: "a", engine: "relaxed", figure: "decode_128" };
  assert.deepEqual(valuesOf(samples, given), [50, 100]);
  assert.deepEqual(caseTable(samples, "a", ["native", "relaxed"]).split("\n"), [
    "| a | native | relaxed |",
    "| --- | --: | --: |",
    "| decode_128 | 41.0 | 75.0 (67 %) |",
    "| load_ms | - | 7.00 |",
  ]);
});
