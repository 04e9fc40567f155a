/**
 * The kit as a page uses it, with a worker thread of Node in place of a browser's worker: calls,
 * stops, traps, replacement, and what survives them.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client } from "../../runtime/client.js";
import { Cultivar } from "../../runtime/cultivar.js";
import {
  KitWorker, MODULES_URL, foreignFiles, golden, goldenBlob, goldenBytes, runnable, serveFiles,
} from "./kit-fixtures.mjs";

const spawnWorker = () => new KitWorker();
const settle = (promise) => promise.then(() => null, (error) => error);
const openKit = (options) => Cultivar.open({ baseUrl: MODULES_URL, spawnWorker, ...options });

let asked;
let kit;
before(async () => {
  asked = serveFiles();
  kit = await openKit();
});
after(() => kit.close());

/** All tokens of a generation. */
async function collect(session, prompt = golden.prompt, options) {
  const tokens = [];
  for await (const token of session.generate(prompt, options)) tokens.push(token);
  return tokens;
}

test("the best module that passes its self test is taken, and info says which", async () => {
  assert.equal(kit.info.module, runnable.at(-1));
  assert.equal(kit.info.backend, kit.info.module);
  assert.equal(kit.info.abiVersion, 2);
  assert.ok(kit.info.selftestChecks > 200);
  const files = asked.map((url) => url.split("/").at(-1));
  const others = ["text", "packer", "exporter", "breeder"].map((part) => `cultivar-${part}.wasm`);
  assert.deepEqual(files.slice(1), others, "only the modules are fetched");
  assert.equal((await settle(openKit({ module: "avx" }))).kind, "bad_argument");
});

test("when no module can be had, opening says why", async () => {
  const folder = new URL("./nowhere/", import.meta.url);
  const error = await settle(openKit({ baseUrl: folder }));
  assert.equal(error.kind, "network");
});

test("a worker that cannot start again is tried once per call, not for ever", async () => {
  let n_spawned = 0;
  const workers = [];
  const spawn = () => {
    n_spawned += 1;
    const worker = { postMessage() {}, terminate() {} };
    workers.push(worker);
    // Every worker but the first dies as one does whose script cannot be loaded.
    if (n_spawned > 1) setTimeout(() => worker.onerror?.({}));
    return worker;
  };
  const begin = (client) => (n_spawned === 1 ? Promise.resolve({}) : client.send("init", {}));
  const replaced = [];
  const client = new Client(spawn, begin, (reason) => replaced.push(reason));
  const pending = settle(client.call("work", {}));
  await client.ready();
  await new Promise((done) => setTimeout(done));
  assert.equal(n_spawned, 1);
  workers[0].onerror({ message: "it died" });
  assert.match((await pending).message, /it died/);
  await new Promise((done) => setTimeout(done, 30));
  assert.equal(n_spawned, 2);
  assert.equal(replaced.length, 1);
  for (const n of [3, 4]) {
    assert.equal((await settle(client.call("work", {}))).kind, "replaced");
    await new Promise((done) => setTimeout(done, 10));
    assert.equal(n_spawned, n);
  }
  assert.equal(replaced.length, 1);
  client.close();
});

test("open, generate, report", async () => {
  const progress = [];
  let early = null;
  const model = await kit.openPackage(goldenBlob(), {
    onCard: (card) => (early = card),
    onProgress: (step) => progress.push(step),
  });
  assert.equal(early.identities.content, null);
  assert.match(model.card.identities.content, /^[0-9a-f]{64}$/);
  assert.equal(progress.at(-1).phase, "verify");
  const row = golden.runs.find(({ file }) => file === "golden-q8_0.slm");
  const session = await model.createSession(row.settings);
  const tokens = await collect(session);
  const report = await session.report();
  assert.equal(report.run_digest, row.run_digest);
  assert.equal(tokens.map(({ text }) => text).join(""), report.text);
  assert.deepEqual(tokens.map(({ index }) => index), [...tokens.keys()]);
  assert.equal(session.stopReason, "max_tokens");
  assert.equal((await session.logits()).length, model.card.tokenizer.vocab_size);
  const ids = await model.tokenize(golden.prompt);
  assert.deepEqual([...ids], report.prompt_ids);
  assert.equal(await model.detokenize(ids), golden.prompt);
  const byIds = await model.createSession(row.settings);
  await collect(byIds, ids);
  assert.equal((await byIds.report()).run_digest, row.run_digest);
  await model.close();
  assert.equal((await settle(model.tokenize("x"))).kind, "closed");
});

test("packages open from an ArrayBuffer and from a URL", async () => {
  const a = await kit.openPackage(goldenBytes().buffer);
  const b = await kit.openPackage(goldenBytes());
  assert.deepEqual(a.card.identities, b.card.identities);
  assert.equal((await settle(kit.openPackage(42))).kind, "bad_argument");
  await a.close();
  await b.close();
});

test("leaving the loop early takes back what was not seen", async () => {
  const model = await kit.openPackage(goldenBlob());
  const session = await model.createSession({ max_tokens: 40, ignore_stop: true });
  const whole = await collect(await model.createSession({ max_tokens: 40, ignore_stop: true }));
  const seen = [];
  for await (const token of session.generate(golden.prompt)) {
    seen.push(token.id);
    if (seen.length === 5) break;
  }
  assert.deepEqual(seen, whole.slice(0, 5).map(({ id }) => id));
  const report = await session.report();
  assert.deepEqual(report.output_ids, seen);
  assert.equal(report.stop_reason, "cancelled");
  await model.close();
});

/** A random model that needs some milliseconds for a token. */
async function slowPackage() {
  const shape = { dim: 256, hidden: 768, nLayers: 4, nHeads: 8, vocab: 4096, contextLen: 2048 };
  return kit.importPackage(
    foreignFiles(shape).map(({ name, blob }) => Object.assign(blob, { name })),
  );
}

test("a stop ends a generation within 200 ms, and the session goes on", async () => {
  const blob = await slowPackage();
  const model = await kit.openPackage(blob);
  const session = await model.createSession({ max_tokens: 1000, ignore_stop: true });
  const long = new Uint32Array(1000).fill(300);
  for (const nBefore of [0, 3]) {
    const stop = new AbortController();
    let n = 0;
    let stoppedAt = 0;
    const abortNow = () => {
      if (stoppedAt === 0) stoppedAt = performance.now();
      stop.abort();
    };
    const run = (async () => {
      const prompt = nBefore === 0 ? long : "word";
      const onProgress = nBefore === 0 ? abortNow : undefined;
      for await (const token of session.generate(prompt, { signal: stop.signal, onProgress })) {
        n += token ? 1 : 0;
        if (n === nBefore) abortNow();
      }
    })();
    const error = await settle(run);
    const ms = performance.now() - stoppedAt;
    assert.equal(error?.name, "AbortError");
    assert.equal(session.stopReason, "cancelled");
    assert.ok(ms < 200, `the stop took ${ms} ms`);
    assert.equal((await session.report()).stop_reason, "cancelled");
  }
  const stopped = AbortSignal.abort();
  assert.equal((await settle(collect(session, "x", { signal: stopped }))).name, "AbortError");
  const opening = kit.openPackage(blob, { signal: AbortSignal.timeout(1) });
  assert.equal((await settle(opening))?.name, "AbortError");
  await model.close();
});

test("one session runs once at a time; refusals leave it usable", async () => {
  const model = await kit.openPackage(await slowPackage());
  const session = await model.createSession({ max_tokens: 3 });
  const long = new Uint32Array(1000).fill(300);
  const both = [collect(session, long), settle(collect(session, long))];
  const [first, second] = await Promise.all(both);
  assert.equal(first.length > 0, true);
  assert.equal(second.kind, "busy");
  assert.equal(await settle(collect(session, "")), null, "a begin token is a prompt");
  assert.equal((await settle(collect(session, []))).code, 352);
  assert.equal((await settle(model.createSession({ top_p: 2 }))).code, 350);
  const fork = await session.fork();
  await session.close();
  assert.equal((await settle(session.report())).kind, "stale_handle");
  assert.ok(await fork.report());
  await model.close();
});

test("a trap replaces the worker; packages come back, sessions are lost", async () => {
  const model = await kit.openPackage(goldenBlob());
  const session = await model.createSession({ max_tokens: 5 });
  const nAsked = asked.length;
  let reason = null;
  kit.onReplaced = (why) => (reason = why);
  const error = await settle(kit.testTrap());
  assert.equal(error.kind, "trap");
  assert.match(error.message, /failed in test_trap/);
  assert.equal(reason.kind, "trap");
  assert.equal((await settle(session.report())).kind, "session_lost");
  assert.equal((await settle(collect(session))).kind, "session_lost");
  const fresh = await model.createSession({ max_tokens: 5 });
  const tokens = await collect(fresh);
  assert.equal(tokens.filter(({ id }) => id !== null).length, 5);
  assert.equal(asked.length, nAsked, "the module is not fetched again");
  await session.close();
  await model.close();
});

test("a trap in the packer ends its import and touches nothing else", async () => {
  const model = await kit.openPackage(goldenBlob());
  const session = await model.createSession({ max_tokens: 5 });
  const nAsked = asked.length;
  let reason = null;
  kit.onReplaced = (why) => (reason = why);
  const files = foreignFiles({
    dim: 64, hidden: 64, nLayers: 2, nHeads: 4, vocab: 300, contextLen: 32,
  }).map(({ name, blob }) => Object.assign(blob, { name }));
  const importing = settle(kit.importPackage(files));
  const [error, tokens] = await Promise.all([settle(kit.testTrap("packer")), collect(session)]);
  assert.equal(error.kind, "trap");
  assert.match(error.message, /failed in test_trap/);
  assert.equal(tokens.filter(({ id }) => id !== null).length, 5);
  assert.ok([null, "trap"].includes((await importing)?.kind ?? null));
  assert.equal(reason, null, "no session was lost");
  assert.ok((await kit.importPackage(files)).size > 0);
  assert.equal(asked.length, nAsked, "no module is fetched again");
  await model.close();
});

test("a worker that does not answer a stop for a second is replaced", async () => {
  const reasons = [];
  const client = new Client(spawnWorker, async () => {}, (reason) => reasons.push(reason));
  await client.ready();
  const stop = new AbortController();
  const hanging = settle(client.send("testHang", {}, { signal: stop.signal }));
  const other = settle(client.send("memory", {}));
  const began = performance.now();
  stop.abort();
  assert.equal((await hanging).name, "AbortError");
  assert.equal((await other).kind, "replaced");
  const ms = performance.now() - began;
  assert.ok(ms >= 900 && ms < 3000, `${ms} ms`);
  assert.equal(client.epoch, 2);
  assert.equal(reasons.length, 1);
  client.close();
  assert.equal((await settle(client.send("memory", {}))).kind, "closed");
});

test("arguments that cannot be sent, and verbs that do not exist, are refused", async () => {
  const client = new Client(spawnWorker, async () => {}, () => {});
  await client.ready();
  assert.equal((await settle(client.send("memory", { f: () => {} }))).kind, "bad_argument");
  assert.equal((await settle(client.send("toString", {}))).kind, "bad_argument");
  assert.equal((await settle(client.send("fly", {}))).kind, "bad_argument");
  client.close();
});
