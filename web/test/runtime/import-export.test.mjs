/**
 * What embedders do around imports: take the package through a sink, pause, refuse by the plan,
 * and write models back out. GGUF to package to GGUF keeps the bytes of every tensor.
 */
import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Cultivar, Pauser } from "../../runtime/cultivar.js";
import { tensorsOfGguf } from "./gguf-tensors.mjs";
import { KitWorker, MODULES_URL, foreignFiles, serveFiles } from "./kit-fixtures.mjs";

const SPROUT = new URL("../../../fixtures/family/sprout.slm", import.meta.url);
const { CULTIVAR_DATA } = process.env;
const settle = (promise) => promise.then(() => null, (error) => error);

let kit;
let sprout;
before(async () => {
  serveFiles();
  kit = await Cultivar.open({ baseUrl: MODULES_URL, spawnWorker: () => new KitWorker() });
  sprout = new Blob([await readFile(SPROUT)]);
});
after(() => kit.close());

const bytesOf = async (blob) => new Uint8Array(await blob.arrayBuffer());
const named = (blob, name) => Object.assign(blob, { name });

/** A model large enough to be written in several ranges. */
function randomFiles() {
  const shape = { dim: 256, hidden: 768, nLayers: 4, nHeads: 8, vocab: 4096, contextLen: 64 };
  return foreignFiles(shape).map(({ name, blob }) => named(blob, name));
}

/** A sink that keeps what it is given; `onWrite` may wait or throw. */
function memorySink(onWrite = () => {}) {
  const sink = { writes: [], ended: null, n_open: 0 };
  sink.write = async ({ type, position, data }) => {
    assert.equal(type, "write");
    assert.equal((sink.n_open += 1), 1, "a second range came before the first was taken");
    await onWrite(sink);
    sink.writes.push({ position, data });
    sink.n_open -= 1;
  };
  sink.close = async () => (sink.ended = "closed");
  sink.abort = async () => (sink.ended = "aborted");
  return sink;
}

test("a sink gets the same package as the Blob, range by range", async () => {
  const blob = await kit.importPackage(randomFiles());
  const plans = [];
  const sink = memorySink(() => new Promise((done) => setTimeout(done, 2)));
  const onPlan = (plan) => plans.push(plan);
  const n_bytes = await kit.importPackage(randomFiles(), { sink, onPlan });
  assert.equal(n_bytes, blob.size);
  assert.equal(sink.ended, "closed");
  assert.ok(sink.writes.length > 3);
  const whole = new Uint8Array(n_bytes);
  for (const { position, data } of sink.writes) whole.set(data, position);
  assert.deepEqual(Buffer.compare(whole, await bytesOf(blob)), 0);
  assert.equal(plans.length, 1);
  assert.equal(plans[0].schema, "cultivar.import_plan.v1");
  assert.ok(plans[0].memory.total_bytes > 10e6);
});

test("a sink that refuses ends the import under its own name, and is told", async () => {
  const full = memorySink(({ writes }) => {
    if (writes.length === 2) throw new DOMException("no room", "QuotaExceededError");
  });
  const error = await settle(kit.importPackage(randomFiles(), { sink: full }));
  assert.equal(error.kind, "quota");
  assert.match(error.message, /no room/);
  assert.equal(error.code, 0);
  assert.equal(full.ended, "aborted");
});

test("a plan that is refused writes nothing", async () => {
  const sink = memorySink();
  const onPlan = () => Promise.reject(new Error("too large for me"));
  const error = await settle(kit.importPackage(randomFiles(), { sink, onPlan }));
  assert.match(error.message, /too large for me/);
  assert.deepEqual([sink.writes.length, sink.ended], [0, "aborted"]);
});

test("a paused import rests until it goes on; a stop works meanwhile", async () => {
  for (const isStopped of [false, true]) {
    const pauser = new Pauser();
    const stop = new AbortController();
    let n_reports = 0;
    let onRest;
    const rest = new Promise((done) => (onRest = done));
    const onProgress = () => {
      n_reports += 1;
      if (n_reports !== 1) return;
      pauser.pause();
      setTimeout(onRest, 150); // What was under way when the pause was asked for is done by now.
    };
    const hooks = { pauser, onProgress, signal: stop.signal };
    const importing = settle(kit.importPackage(randomFiles(), hooks));
    await rest;
    const n_before = n_reports;
    await new Promise((done) => setTimeout(done, 150));
    assert.equal(n_reports, n_before, "it went on");
    if (isStopped) stop.abort();
    else pauser.resume();
    const error = await importing;
    assert.equal(error?.name ?? null, isStopped ? "AbortError" : null);
    if (!isStopped) assert.ok(n_reports > n_before);
  }
});

test("a package opens from a function, also after its worker was replaced", async () => {
  let n_asked = 0;
  const model = await kit.openPackage(() => {
    n_asked += 1;
    return sprout;
  });
  await settle(kit.testTrap());
  assert.ok((await model.tokenize("Once")).length > 0);
  assert.equal(n_asked, 2);
  await model.close();
});

test("an open model and a Blob are written as GGUF that imports to the same weights", async () => {
  const model = await kit.openPackage(sprout);
  const phases = new Set();
  const onProgress = ({ phase, doneBytes, totalBytes }) => {
    phases.add(phase);
    assert.ok(doneBytes <= totalBytes);
  };
  const { files: [gguf], report } = await model.exportAs("gguf", { onProgress });
  assert.deepEqual([...phases], ["export"]);
  assert.deepEqual(report.notes, []);
  const back = await kit.importPackage([named(gguf.blob, "sprout.gguf")]);
  const again = await kit.exportPackage(back, "gguf");
  const [first, second] = await Promise.all([gguf.blob, again.files[0].blob].map(bytesOf));
  assert.equal(Buffer.compare(first, second), 0);
  const twin = await kit.openPackage(back);
  assert.equal(twin.card.identities.architecture, model.card.identities.architecture);
  assert.deepEqual(twin.card.tensors.map(({ digest }) => digest),
    model.card.tensors.map(({ digest }) => digest));
  await model.close();
  await twin.close();
});

test("safetensors come with what a folder needs", async () => {
  const { files } = await kit.exportPackage(sprout, "safetensors");
  const names = files.map(({ name }) => name);
  assert.deepEqual(names.slice(0, 2), ["model.safetensors", "config.json"]);
  const config = JSON.parse(await files[1].blob.text());
  assert.match(config.architectures[0], /ForCausalLM/);
  const head = await bytesOf(files[0].blob.slice(0, 8));
  const len = Number(new DataView(head.buffer).getBigUint64(0, true));
  const tensors = JSON.parse(await files[0].blob.slice(8, 8 + len).text());
  const ends = Object.values(tensors).map(({ data_offsets }) => data_offsets?.[1] ?? 0);
  assert.equal(8 + len + Math.max(...ends), files[0].blob.size);
});

test("what cannot be exported is refused by name", async () => {
  const rows = [
    [kit.exportPackage(sprout, "onnx"), /export format/],
    [kit.exportPackage(new Blob(["short"]), "gguf"), /short|magic/i],
    [kit.exportPackage(sprout.slice(0, 5000), "gguf"), /length|bytes/i],
  ];
  for (const [exporting, words] of rows) assert.match((await settle(exporting)).message, words);
  const stopped = kit.exportPackage(sprout, "gguf", { signal: AbortSignal.abort() });
  assert.equal((await settle(stopped)).name, "AbortError");
});

test("GGUF to package to GGUF keeps the bytes of every tensor",
  { skip: CULTIVAR_DATA ? false : "CULTIVAR_DATA is not set" }, async () => {
    const KEPT = /f32|f16|q8_0|q4_0/;
    for (const model of ["stories260K", "rot256"]) {
      const folder = join(CULTIVAR_DATA, "models", model, "gguf");
      for (const name of (await readdir(folder)).filter((one) => KEPT.test(one))) {
        const bytes = new Uint8Array(await readFile(join(folder, name)));
        const blob = await kit.importPackage([named(new Blob([bytes]), name)]);
        const { files } = await kit.exportPackage(blob, "gguf");
        const [was, is] = [bytes, await bytesOf(files[0].blob)].map(tensorsOfGguf);
        assert.deepEqual([...is.keys()].sort(), [...was.keys()].sort(), name);
        for (const [tensor, { type, shape, bytes: stored }] of was) {
          const made = is.get(tensor);
          assert.deepEqual([made.type, made.shape], [type, shape], `${name}: ${tensor}`);
          assert.equal(Buffer.compare(made.bytes, stored), 0, `${name}: ${tensor}`);
        }
      }
    }
  });
