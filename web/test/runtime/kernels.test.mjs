/**
 * Kernels on shapes and values that seeds draw: every vector module gives what scalar code gave
 * (`fixtures/kernels/digests.json`), bit for bit. The modules with a clock are asked, whose
 * kernels are those of the ones that ship.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { MODULES_URL, runnable } from "./kit-fixtures.mjs";

const DIGESTS = new URL("../../../fixtures/kernels/digests.json", import.meta.url);
const digests = JSON.parse(readFileSync(DIGESTS, "utf8"));
const BENCH = { simd128: "cultivar-bench.wasm", relaxed: "cultivar-bench-relaxed.wasm" };

for (const name of runnable) {
  test(`${name}: kernels on ${digests.length} seeds' shapes equal scalar code`, async () => {
    const bytes = readFileSync(new URL(BENCH[name], MODULES_URL));
    const { instance } = await WebAssembly.instantiate(bytes, { bench: { now_ms: () => 0 } });
    const found = digests.map((_, seed) => instance.exports.bench_kernels(seed));
    assert.deepEqual(found, digests);
  });
}
