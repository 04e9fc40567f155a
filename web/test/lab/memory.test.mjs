/** Whether a model fits, judged before its weights are read, and what would fit instead. */
import assert from "node:assert/strict";
import test from "node:test";
import { errorOfDoubt, isMemoryError, questionOfDoubt } from "../../lab/commands/advice.js";
import { memoryDoubt, memoryOf } from "../../lab/state/memory.js";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** A model of half a billion weights in 16 bits, 32,768 positions of 24 KiB each in f32. */
const CARD = {
  n_parameters: 500e6, context_len: 32768,
  memory: { weights_bytes: 1000 * MIB, kv_bytes: 768 * MIB, workspace_bytes: 100 * MIB },
};
const WHOLE = { context_len: 0, kv: "f32" };

test("keys and values follow the context and the format", () => {
  const kv = (settings) => memoryOf(CARD, { ...WHOLE, ...settings }).kv_bytes / MIB;
  assert.deepEqual([kv({}), kv({ kv: "f16" }), kv({ context_len: 4096 })], [768, 384, 96]);
  assert.equal(kv({ context_len: 99999 }), 768);
  assert.ok(kv({ kv: "q8" }) < 240);
  assert.equal(memoryOf(CARD, WHOLE).total_bytes, 1868 * MIB);
});

test("what fits is not asked about; what the device may lack is, with what would fit", () => {
  assert.equal(memoryDoubt(CARD, WHOLE), null);
  assert.equal(memoryDoubt(CARD, WHOLE, 4 * GIB), null);
  const doubt = memoryDoubt(CARD, WHOLE, 2 * GIB);
  assert.equal(doubt.isSure, false);
  assert.equal(doubt.limit_bytes, 1.5 * GIB);
  assert.deepEqual(doubt.fits, { context_len: 18602, kv: "f16", format: "q8_0" });
  const words = questionOfDoubt(doubt);
  assert.match(words, /1\.82 GiB.*1000 MiB of weights, 768 MiB of keys and values/);
  assert.match(words, /1\.5 GiB.*context of 18,602 tokens, or KV format f16, or weights as q8_0/);
  const chosen = { context_len: doubt.fits.context_len, kv: "f32" };
  assert.equal(memoryDoubt(CARD, chosen, 2 * GIB), null);
  const small = memoryDoubt(CARD, WHOLE, GIB);
  assert.deepEqual(small.fits, { context_len: null, kv: null, format: null });
  assert.match(questionOfDoubt(small), /A smaller model would fit/);
});

test("weights beyond what a module addresses are refused, not asked about", () => {
  const memory = { ...CARD.memory, weights_bytes: 4.2 * GIB };
  const doubt = memoryDoubt({ ...CARD, n_parameters: 2.2e9, memory }, WHOLE);
  assert.equal(doubt.isSure, true);
  assert.equal(doubt.fits.format, "q8_0");
  assert.ok(isMemoryError(errorOfDoubt(doubt)));
  assert.ok(isMemoryError({ code: 251 }) && !isMemoryError({ code: 110 }));
});
