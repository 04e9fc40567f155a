/**
 * What a token costs, and the profile's table, from a made-up card and profile.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { costs } from "./costs.js";
import { profileTable } from "./profile.mjs";

const tensor = (name, shape, bytes) => ({ name, shape, bytes });
const card = {
  config: { tied_output: true },
  tensors: [
    tensor("token_embedding", [100, 10], 1000),
    tensor("layers.0.attention_norm", [10], 40),
    tensor("layers.0.w_q", [10, 10], 110),
    tensor("layers.0.w_k", [5, 10], 55),
    tensor("layers.0.w_down", [10, 30], 330),
  ],
};

test("costs are of the matrices that a token is multiplied by", () => {
  const { bytes, macs, parts } = costs(card);
  assert.deepEqual([bytes, macs], [1495, 1450]);
  assert.deepEqual(parts.qkv, { bytes: 165, macs: 150 });
  const untied = costs({ ...card, config: { tied_output: false } });
  assert.equal(untied.parts.output, undefined);
});

test("rates are shares of the session's loops", () => {
  const part = (qkv, output) => ({ qkv_ms: qkv, norm_ms: 1, output_ms: output });
  const profile = {
    card,
    prefill: { n_rows: 10, n_batches: 1, ...part(1, 1) },
    decode: { n_rows: 10, n_batches: 10, ...part(1, 2) },
  };
  const figures = {
    "q8 relaxed, 256 MiB, GB/s": 0.01,
    "q8 4 tokens relaxed, 256 MiB, GMAC/s": 0.003,
  };
  const samples = [{ case: "roofline", engine: "chromium", figures }];
  const one = { case: "a q8_0", engine: "chromium relaxed", profile };
  const lines = profileTable(one, samples).split("\n").map((line) => line.split(" | "));
  assert.deepEqual(lines[2].slice(1), ["qkv", "100.0", "33.3", "0.00 GMAC/s", "50.0 |"]);
  assert.deepEqual(lines[4].slice(1, 4), ["output", "100.0", "33.3"]);
  assert.deepEqual(lines[8].slice(1), ["output", "200.0", "50.0", "0.01 GB/s", "50.0 |"]);
});
