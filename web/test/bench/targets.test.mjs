/**
 * The table of targets from made-up measurements: the better of two peers counts, shares are of
 * the same session's loops, and what was not measured has no row. Measures nothing.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { figuresOf, figuresOfTable } from "./peers.mjs";
import { targetRows, targetTable } from "./targets.mjs";

const one = (name, engine, figures) => ({ case: name, engine, figures });

test("ratios are of medians, against the better peer", () => {
  const samples = [
    one("135m q8_0", "kit relaxed", { decode_128: 40, load_to_first_ms: 90 }),
    one("135m q8_0", "kit relaxed", { decode_128: 44, load_to_first_ms: 110 }),
    one("135m q8_0", "wllama2", { decode_128: 10, load_to_first_ms: 400 }),
    one("135m q8_0", "wllama3", { decode_128: 14, load_to_first_ms: 300 }),
    one("135m q8_0", "llama.cpp", { decode_128: 40 }),
    { case: "135m q8_0", engine: "ort", error: "no" },
  ];
  const rows = targetRows(samples).map(({ row, value, verdict }) => [row, value, verdict]);
  assert.deepEqual(rows, [
    ["135m q8_0 decode_128, kit relaxed / wllama", 3, "MISSED"],
    ["135m q8_0 decode_128, kit relaxed / llama.cpp", 1.05, "goal"],
    ["135m q8_0 load to first token / wllama", 100 / 300, "goal"],
  ]);
});

test("shares and limits", () => {
  const samples = [
    one("roofline", "chromium", { "q8 relaxed, 256 MiB, GB/s": 10 }),
    one("135m q8_0", "chromium relaxed", { decode_weights_gbs: 7.5, instantiate_ms: 60 }),
    one("600m q4_k", "chromium relaxed", { decode_128: 9 }),
    one("600m q4_0", "chromium relaxed", { decode_128: 10 }),
    one("module", "simd128", { gzip_kib: 150 }),
    one("135m q4_0", "chromium relaxed", { two_workers_x: 1.62 }),
  ];
  assert.deepEqual(targetTable(samples).split("\n").slice(2), [
    "| 600m q4_k decode relaxed / q4_0 | 0.90 | 0.8 | 1 | bar |",
    "| 135m q8_0 decode relaxed / loop | 0.75 | 0.7 | 0.9 | bar |",
    "| 135m q4_0, 2 workers / 1 | 1.62 | 1.7 | 1.9 | MISSED |",
    "| module gzip simd128, KiB | 150 | 160 | 120 | bar |",
    "| instantiate relaxed, ms | 60.0 | 50 | 15 | MISSED |",
  ]);
});

test("the peers' own forms are read", () => {
  const run = { load: 100, cold1st: 20, warm1st: 5, pp128: 30, tg: 12, peakMB: 400 };
  assert.equal(figuresOf(run).load_to_first_ms, 120);
  const text = "| model | …\n| x.gguf | 1 | ~245.1 | - | 72.9 | 0.01 |\n";
  assert.deepEqual(figuresOfTable(text), { prefill_128: 245.1, decode_128: 72.9 });
});
