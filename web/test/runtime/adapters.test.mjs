/**
 * Adapters through the kit: the golden mixes' digests on every module, weights that change while
 * text streams, reports of what does not fit, and refusals that leave everything as it was.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { loadAdapter } from "../../runtime/adapter-loader.js";
import { Cultivar } from "../../runtime/cultivar.js";
import { loadPackage } from "../../runtime/package-loader.js";
import { queuePrompt } from "../../runtime/session-runner.js";
import {
  KitWorker, MODULES_URL, engineOf, goldenBlob, runnable, serveFiles,
} from "./kit-fixtures.mjs";

const FOLDER = new URL("../../../fixtures/golden/adapters/", import.meta.url);
const golden = JSON.parse(readFileSync(new URL("mixes.json", FOLDER), "utf8"));
const blobOf = async (file) => new Blob([await readFile(new URL(file, FOLDER))]);

let kit;
let model;
const adapters = {};
before(async () => {
  serveFiles();
  kit = await Cultivar.open({
    module: "simd128", baseUrl: MODULES_URL, spawnWorker: () => new KitWorker(),
  });
  model = await kit.openPackage(goldenBlob(golden.base));
  for (const file of ["low-rank.sla", "raw.sla", "sparse.sla"]) {
    adapters[file] = await model.openAdapter(await blobOf(file));
  }
});
after(() => kit?.close());

/** A row of the golden file as the kit takes it. */
const mixOf = ({ adapters: rows }) => rows.map((row) => ({
  adapter: adapters[row.file], weight: row.weight,
  layerWeights: row.layer_weights, moduleWeights: row.module_weights,
}));

async function runToEnd(session, prompt = golden.prompt) {
  let text = "";
  for await (const token of session.generate(prompt)) text += token.text;
  return { ...await session.report(), text };
}

test("golden mixes without changes: assembly and digest through the kit", async () => {
  for (const run of golden.runs.filter(({ changes }) => changes.length === 0)) {
    const mix = mixOf(run);
    assert.equal(await model.assembly(mix), run.assembly);
    const session = await model.createSession(golden.settings, mix);
    const report = await runToEnd(session);
    assert.equal(report.run_digest, run.run_digest, JSON.stringify(run.adapters));
    assert.equal(report.diagnostics.assembly, run.assembly);
    assert.equal(report.diagnostics.n_adapters, mix.length);
    await session.close();
  }
});

for (const name of runnable) {
  test(`${name}: weights that change on the way, reading again, and forks of their own`,
    async () => {
      const engine = await engineOf(name);
      const { handle } = await loadPackage(engine, goldenBlob(golden.base));
      const opened = {};
      for (const file of Object.keys(adapters)) {
        opened[file] = (await loadAdapter(engine, handle, await blobOf(file))).handle;
      }
      for (const { adapters: rows, changes, run_digest: expected } of golden.runs) {
        const settings = engine.putText(JSON.stringify(golden.settings));
        const session = engine.call("session_new", handle, settings);
        const stack = rows.map(({ file, ...row }) => ({ adapter: opened[file], ...row }));
        const n = engine.call("session_adapters", session, engine.putText(JSON.stringify(stack)));
        assert.equal(n, rows.length);
        const nPrompt = queuePrompt(engine, session, golden.prompt, {});
        let fork = 0;
        for (let outcome = 0; outcome !== 2; ) {
          const nOutput = engine.call("session_len", session) - nPrompt;
          for (const change of changes.filter((one) => one.n_output === nOutput)) {
            if (!fork) fork = engine.call("session_fork", session);
            if (change.reread) engine.call("session_reread", session);
            else engine.call("session_weight", session, change.idx, change.weight);
          }
          outcome = engine.call("session_step", session, 5);
        }
        const report = engine.json("session_report", session);
        assert.equal(report.run_digest, expected, JSON.stringify([rows, changes]));
        if (fork) {
          // The fork kept the weights that its source had when it was made.
          while (engine.call("session_step", fork, 5) !== 2);
          const alone = engine.call("session_new", handle,
            engine.putText(JSON.stringify(golden.settings)));
          engine.call("session_adapters", alone, engine.putText(JSON.stringify(stack)));
          queuePrompt(engine, alone, golden.prompt, {});
          while (engine.call("session_step", alone, 5) !== 2);
          const digest = (s) => engine.json("session_report", s).run_digest;
          assert.equal(digest(fork), digest(alone));
          assert.notEqual(digest(fork), expected);
        }
      }
    });
}

test("records and snapshots with adapters and changes go on while those are open", async () => {
  const own = await kit.openPackage(goldenBlob(golden.base));
  const opened = [];
  for (const file of ["low-rank.sla", "sparse.sla"]) {
    opened.push({ adapter: await own.openAdapter(await blobOf(file)), weight: 0.5 });
  }
  const settings = { max_tokens: 2000, ignore_stop: true, context_shift: 4 };
  const session = await own.createSession(settings, opened);
  let n = 0;
  for await (const { id } of session.generate(golden.prompt)) {
    n += id !== null;
    if (n === 3) await session.setWeight(1, 30);
    if (n === 9) await session.reread();
  }
  const record = await session.record({ steps: true });
  assert.equal(record.adapters.length, 2);
  assert.ok(record.events.length >= 1 && record.events.length <= 2);
  const replayed = await own.replay(record);
  assert.ok(replayed.same_bits, JSON.stringify(replayed));
  // The same session elsewhere: as it is, and after another weight.
  const snapshot = await session.snapshot();
  const restored = await own.restore(snapshot);
  for (const each of [session, restored]) {
    await each.setWeight(0, 2);
    for await (const { id } of each.generate("and")) n += id !== null;
  }
  const [a, b] = await Promise.all([session.report(), restored.report()]);
  assert.equal(b.run_digest, a.run_digest);
  assert.deepEqual(b.diagnostics.adapters, a.diagnostics.adapters);
  await opened[1].adapter.close();
  await assert.rejects(own.replay(record), { code: 363, message: /adapters/ });
  await assert.rejects(own.restore(snapshot), { code: 361, message: /adapters/ });
  await own.close();
});

test("a weight set while text streams is used by the tokens that follow", async () => {
  const mix = [{ adapter: adapters["low-rank.sla"], weight: 0 }];
  const settings = { max_tokens: 3000, ignore_stop: true, context_shift: 4 };
  const plain = await model.createSession(settings, mix);
  const expected = await runToEnd(plain);
  const session = await model.createSession(settings, mix);
  const ids = [];
  for await (const { id } of session.generate(golden.prompt)) {
    ids.push(id);
    if (ids.length === 3) await session.setWeight(0, 40);
  }
  const report = await session.report();
  assert.deepEqual(ids.slice(0, 3), expected.output_ids.slice(0, 3));
  assert.notDeepEqual(report.output_ids, expected.output_ids);
  assert.notEqual(report.run_digest, expected.run_digest);
  assert.notEqual(report.diagnostics.assembly, expected.diagnostics.assembly);
  await session.reread();
  await session.close();
  await plain.close();
});

test("adapters come, go and move while text streams; record and snapshot know them", async () => {
  const [low, raw, sparse] = Object.values(adapters).map((adapter) => ({ adapter, weight: 2 }));
  const settings = { ...golden.settings, max_tokens: 3000, context_shift: 4, ignore_stop: true };
  const session = await model.createSession(settings, []);
  const stacks = [[low], [low, sparse], [sparse, low, raw], [raw]];
  const waiting = [...stacks];
  for await (const { id } of session.generate(golden.prompt)) {
    if (id !== null && waiting.length > 0) await session.setAdapters(waiting.shift());
  }
  const report = await session.report();
  assert.equal(report.diagnostics.assembly, await model.assembly([raw]));
  await assert.rejects(session.setAdapters([{ ...low, weight: NaN }]), { code: 9 });
  const record = await session.record({ steps: true });
  assert.deepEqual(record.adapters, []);
  const counts = record.events.map((one) => one.adapters.length);
  assert.equal(counts.at(-1), 1);
  assert.ok(counts.includes(3));
  const replayed = await model.replay(record);
  assert.equal(replayed.same_bits, true, JSON.stringify(replayed));
  const restored = await model.restore(await session.snapshot());
  const again = await Promise.all([session, restored].map((one) => runToEnd(one, " and")));
  assert.equal(again[0].run_digest, again[1].run_digest);
  assert.deepEqual(again[1].diagnostics.adapters, report.diagnostics.adapters);
  // Where an adapter is not at hand, it is missed by name.
  const bare = await kit.openPackage(goldenBlob(golden.base));
  await assert.rejects(bare.replay(record), { code: 363 });
  await assert.rejects(bare.restore(await session.snapshot()), { code: 361 });
  await bare.close();
  for (const one of [session, restored]) await one.close();
});

test("the card says what an adapter is", () => {
  const { card } = adapters["low-rank.sla"];
  assert.equal(card.schema, "cultivar.adapter.v1");
  assert.equal(card.name, "random 1");
  assert.equal(card.binding.weights, model.card.identities.weights);
  assert.ok(card.deltas.every(({ kind, rank }) => kind === "low_rank" && rank === 4));
  assert.equal(adapters["raw.sla"].card.deltas[0].kind, "raw");
  assert.ok(adapters["sparse.sla"].card.deltas[0].n_entries > 0);
});

test("an adapter of other weights can be opened; one of another model is refused by name",
  async () => {
    const other = await kit.openPackage(goldenBlob("golden-f16.slm"));
    const opened = await other.openAdapter(await blobOf("raw.sla"));
    assert.notEqual(opened.card.binding.weights, other.card.identities.weights);
    // An adapter belongs to the package that it was opened for.
    const mix = [{ adapter: adapters["raw.sla"] }];
    await assert.rejects(other.createSession({}, mix), { kind: "not_a_handle" });
    await other.close();

    const family = new URL("../../../fixtures/family/sprout.slm", import.meta.url);
    const sprout = await kit.openPackage(new Blob([await readFile(family)]));
    const before_bytes = (await kit.memory()).usedBytes;
    const refused = { kind: "adapter", code: 461, message: /another architecture/ };
    await assert.rejects(sprout.openAdapter(await blobOf("raw.sla")), refused);
    assert.ok((await kit.memory()).usedBytes <= before_bytes + 4096);
    await sprout.close();
  });

test("what is refused is named, and model, stack and sessions are as before", async () => {
  const whole = await readFile(new URL("low-rank.sla", FOLDER));
  const changed = (at, value) => {
    const bytes = Uint8Array.from(whole);
    bytes[at] = value;
    return bytes;
  };
  const files = [
    [new Uint8Array(0), "package"], [whole.subarray(0, 500), "package"],
    [changed(whole.length - 9, 0xff), "package"], [changed(12, 1), "package"],
    [await (goldenBlob(golden.base)).arrayBuffer(), "package"],
  ];
  for (const [bytes, kind] of files) await assert.rejects(model.openAdapter(bytes), { kind });

  const adapter = adapters["low-rank.sla"];
  const stacks = [
    [[{ adapter, weight: NaN }], 9], [[{ adapter, weight: 1e300 }], 474],
    [[{ adapter, weight: 3e38 }], 475], [[{ adapter, layerWeights: [1] }], 476],
    [[{ adapter, moduleWeights: { w_x: 1 } }], 9], [Array(65).fill({ adapter }), 472],
  ];
  const before_bytes = (await kit.memory()).usedBytes;
  for (const [mix, code] of stacks) {
    await assert.rejects(model.createSession({}, mix), { code });
    await assert.rejects(model.assembly(mix), { code });
  }
  assert.ok((await kit.memory()).usedBytes <= before_bytes, "a refusal keeps no memory");

  const [run] = golden.runs.slice(2);
  const session = await model.createSession(golden.settings, mixOf(run));
  for (const [idx, weight, code] of [[3, 1, 473], [0, Infinity, 474], [0, 3e38, 475]]) {
    await assert.rejects(session.setWeight(idx, weight), { code });
  }
  assert.equal((await runToEnd(session)).run_digest, run.run_digest);
  const bare = await model.createSession();
  await assert.rejects(bare.setWeight(0, 1), { kind: "out_of_order" });
  await bare.close();
});

test("a closed adapter stays with its sessions; closing the package ends all", async () => {
  const own = await kit.openPackage(goldenBlob(golden.base));
  const adapter = await own.openAdapter(await blobOf("sparse.sla"));
  const session = await own.createSession(golden.settings, [{ adapter, weight: 2 }]);
  await adapter.close();
  await assert.rejects(own.createSession({}, [{ adapter }]), { kind: "stale_handle" });
  const again = await own.openAdapter(await blobOf("sparse.sla"));
  const second = await own.createSession(golden.settings, [{ adapter: again, weight: 2 }]);
  const digests = [await runToEnd(session), await runToEnd(second)].map((r) => r.run_digest);
  assert.equal(digests[0], digests[1]);
  await own.close();
  await adapter.close();
});

test("after the worker was replaced, package and adapters open themselves again", async () => {
  const [run] = golden.runs.slice(2);
  await assert.rejects(kit.testTrap(), { kind: "trap" });
  const session = await model.createSession(golden.settings, mixOf(run));
  assert.equal((await runToEnd(session)).run_digest, run.run_digest);
});
