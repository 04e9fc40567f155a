/**
 * Loading: streamed without a second copy, one transaction, every damage noticed, stops obeyed.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { importFiles } from "../../runtime/import-runner.js";
import { closePackage, loadPackage } from "../../runtime/package-loader.js";
import { runSession } from "../../runtime/session-runner.js";
import { engineOf, foreignFiles, golden, goldenBlob, goldenBytes } from "./kit-fixtures.mjs";

const MIB = 1 << 20;
const settle = (promise) => promise.then(() => null, (error) => error);

/** A package of about 33 MiB whose weights are random. */
async function largePackage() {
  const shape = { dim: 256, hidden: 768, nLayers: 8, nHeads: 8, vocab: 4096, contextLen: 64 };
  return importFiles(await engineOf("packer"), foreignFiles(shape), { format: "f32" });
}

test("a large package takes its own size and little more; closing gives it back", async (t) => {
  const blob = await largePackage();
  // What the host hashes, it copies: that copy counts, though it is not in the module's memory.
  const { subtle } = globalThis.crypto;
  let copied_bytes = 0;
  const digest = subtle.digest.bind(subtle);
  t.mock.method(subtle, "digest", (kind, bytes) => {
    copied_bytes = Math.max(copied_bytes, bytes.byteLength);
    return digest(kind, bytes);
  });
  assert.ok(blob.size > 30 * MIB, `${blob.size} bytes`);
  const engine = await engineOf();
  const before = engine.memoryStats();
  const phases = new Set();
  let cardAt = null;
  let lastRead = 0;
  const { handle, card } = await loadPackage(engine, blob, {
    onCard: () => (cardAt = lastRead),
    onProgress: ({ phase, doneBytes, totalBytes }) => {
      phases.add(phase);
      assert.ok(doneBytes <= totalBytes);
      if (phase === "read") lastRead = doneBytes;
    },
  });
  assert.equal(cardAt, 0, "the card comes before any weight");
  assert.deepEqual([...phases], ["read", "verify"]);
  assert.equal(lastRead, blob.size);
  const after = engine.memoryStats();
  const limit = 1.15 * blob.size + card.memory.workspace_bytes;
  assert.ok(copied_bytes > 0, "the host hashes the smaller tensors");
  const peak = after.peak_bytes - before.used_bytes + copied_bytes;
  const memory = after.memory_bytes;
  assert.ok(peak <= limit, `peak ${peak} of ${limit}`);
  assert.ok(memory - before.memory_bytes + copied_bytes <= limit, `memory ${memory} of ${limit}`);
  closePackage(engine, handle);
  const closed = engine.memoryStats();
  assert.ok(closed.used_bytes <= before.used_bytes + MIB, `${closed.used_bytes} bytes are left`);
  for (let round = 0; round < 3; round += 1) {
    closePackage(engine, (await loadPackage(engine, blob)).handle);
  }
  assert.ok(engine.memoryStats().memory_bytes <= memory + MIB, "memory grows by reopening");
});

test("a stop during loading gives everything back", async () => {
  const blob = await largePackage();
  const engine = await engineOf();
  const before = engine.memoryStats().used_bytes;
  const stop = new AbortController();
  const hooks = { signal: stop.signal, onProgress: () => stop.abort() };
  const error = await settle(loadPackage(engine, blob, hooks));
  assert.equal(error.name, "AbortError");
  assert.ok(engine.memoryStats().used_bytes <= before + MIB);
});

test("without crypto.subtle the module hashes by itself, and notices damage too", async (t) => {
  t.mock.getter(globalThis.crypto, "subtle", () => undefined);
  const engine = await engineOf();
  await loadPackage(engine, goldenBlob());
  const bytes = goldenBytes();
  bytes[bytes.length - 5000] ^= 1;
  const error = await settle(loadPackage(engine, new Blob([bytes])));
  assert.ok([253, 122].includes(error.code), error.message);
});

test("damaged files are refused with their reason, and the open model goes on", async () => {
  const engine = await engineOf();
  const { handle } = await loadPackage(engine, goldenBlob());
  const good = goldenBytes();
  const changed = (at, value) => {
    const bytes = good.slice();
    bytes[at] = value;
    return bytes;
  };
  const cases = [
    ["empty", new Uint8Array(0), 100],
    ["text", new TextEncoder().encode("Once upon a time ".repeat(50)), 101],
    ["short text", new TextEncoder().encode("hello"), 101],
    ["header only", good.slice(0, 40), 100],
    ["truncated", good.slice(0, good.length - 700), 106],
    ["longer", new Uint8Array([...good, 0]), 106],
    ["later version", changed(8, 2), 102],
    ["head", changed(700, good[700] ^ 4), null],
    ["tensor", changed(good.length >> 1, good[good.length >> 1] ^ 4), 253],
  ];
  const before = engine.memoryStats().used_bytes;
  for (const [name, bytes, expected] of cases) {
    const error = await settle(loadPackage(engine, new Blob([bytes])));
    assert.ok(error, `${name} was accepted`);
    assert.notEqual(error.kind, "trap", `${name}: ${error.message}`);
    if (expected) assert.equal(error.code, expected, `${name}: ${error.message}`);
    assert.ok(engine.memoryStats().used_bytes <= before + MIB, name);
  }
  const session = engine.call("session_new", handle, engine.putText('{"max_tokens":5}'));
  const run = await runSession(engine, session, golden.prompt, { onTokens: () => {} });
  assert.equal(run.stopReason, "max_tokens");
});

test("single-bit damage anywhere is noticed", async () => {
  const engine = await engineOf();
  const good = goldenBytes("golden-q4_0.slm");
  for (let at = 0; at < good.length; at += 997) {
    const bytes = good.slice();
    bytes[at] ^= 1 << at % 8;
    const error = await settle(loadPackage(engine, new Blob([bytes])));
    assert.ok(error && error.kind !== "trap", `a flip at byte ${at}: ${error?.message}`);
  }
  await loadPackage(engine, goldenBlob("golden-q4_0.slm"));
});

test("a URL is streamed; a transfer that ends early is refused", async () => {
  const engine = await engineOf();
  const bytes = goldenBytes();
  const answer = (body, headers) => {
    globalThis.fetch = async () => new Response(body, { headers });
  };
  const whole = { "content-length": String(bytes.length) };
  const inPieces = () =>
    new ReadableStream({
      start(controller) {
        for (let at = 0; at < bytes.length; at += 1000) {
          controller.enqueue(bytes.slice(at, at + 1000));
        }
        controller.close();
      },
    });
  answer(inPieces(), whole);
  const streamed = await loadPackage(engine, "https://example.org/model.slm");
  answer(inPieces(), {});
  const unsized = await loadPackage(engine, "https://example.org/model.slm");
  assert.deepEqual(streamed.card.identities, unsized.card.identities);
  answer(bytes.slice(0, 50000), whole);
  const early = await settle(loadPackage(engine, "https://example.org/model.slm"));
  assert.equal(early.kind, "network");
  globalThis.fetch = async () => new Response("gone", { status: 404 });
  const missing = await settle(loadPackage(engine, "https://example.org/model.slm"));
  assert.match(missing.message, /404/);
});
