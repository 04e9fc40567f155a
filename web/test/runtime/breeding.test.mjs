/**
 * Adapters through the kit: the breeder module makes the same bytes as the native build, says what
 * fits, refuses by name, and stops when it is told to.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import { Cultivar } from "../../runtime/cultivar.js";
import { runJob } from "../../runtime/import-runner.js";
import { KitWorker, MODULES_URL, engineOf, goldenBlob, serveFiles } from "./kit-fixtures.mjs";

const FIXTURES = new URL("../../../fixtures/", import.meta.url);
const { jobs } = JSON.parse(readFileSync(new URL("breeding/jobs.json", FIXTURES), "utf8"));

serveFiles();
const kit = await Cultivar.open({ baseUrl: MODULES_URL, spawnWorker: () => new KitWorker() });
after(() => kit.close());

const blobOf = (path) => Object.assign(
  new Blob([readFileSync(new URL(path, FIXTURES))]), { name: path.split("/").at(-1) });
const base = blobOf("family/sprout.slm");
const refusal = (promise) => promise.then(() => assert.fail("not refused"), (error) => error);

async function sha256(blob) {
  return createHash("sha256").update(new Uint8Array(await blob.arrayBuffer())).digest("hex");
}

/** What `jobs.json` asks for, by the kit's own calls. */
function make(row, files) {
  const [first, ...rest] = files;
  const { weights = [], ...options } = row.options;
  const weighted = rest.map((adapter, i) => {
    const weight = weights[i] ?? 1;
    if (typeof weight === "number") return { adapter, weight };
    return { adapter, weight: weight.weight, moduleWeights: weight.module_weights };
  });
  switch (row.job) {
    case "import_adapter": return kit.importAdapter(rest, { base: first, ...options });
    case "merge_adapters": return kit.mergeAdapters(weighted, { base: first, ...options });
    case "extract_adapter": return kit.extractAdapter(rest[0], { base: first, ...options });
    default: return kit.bake(first, weighted, options);
  }
}

const made = new Map();

test("adapters and models come out with the bytes of the native build", async () => {
  for (const row of jobs) {
    const files = row.files.map((file) => made.get(file) ?? blobOf(file));
    const { blob, report } = await make(row, files);
    assert.equal(await sha256(blob), row.sha256, row.make);
    assert.equal(report.file_bytes, blob.size);
    made.set(row.make, blob);
  }
  const { report } = await kit.bake(base, [made.get("add")], { format: "q4_0" });
  assert.ok(report.worst_relative_error > 0 && report.worst_relative_error < 0.2);
  assert.ok(report.tensors.length > 10);
});

test("a file goes to a sink range by range; a stop or a failing sink ends the job", async () => {
  const bytes = new Uint8Array(made.get("kept").size);
  const calls = [];
  const sink = {
    write: async ({ position, data }) => bytes.set(data, position),
    close: () => calls.push("close"),
    abort: ({ message }) => calls.push(message),
  };
  const row = jobs.find((one) => one.make === "kept");
  const { report, blob } = await make({ ...row, options: { ...row.options, sink } },
    row.files.map((file) => made.get(file) ?? blobOf(file)));
  assert.equal(blob, undefined);
  assert.equal(report.file_bytes, bytes.length);
  assert.equal(await sha256(new Blob([bytes])), row.sha256);
  const full = { ...sink, write: () => Promise.reject(new Error("no room")) };
  const refused = await refusal(kit.bake(base, [made.get("add")], { sink: full }));
  assert.match(refused.message, /no room/);
  assert.deepEqual(calls, ["close", refused.message]);
});

test("a baked model opens and speaks; the base is what it was", async () => {
  const before = await sha256(base);
  const model = await kit.openPackage(made.get("kept"));
  const session = await model.createSession({ max_tokens: 4 });
  const ids = [];
  for await (const { id } of session.generate("Once")) ids.push(id);
  assert.equal(ids.filter((id) => id !== null).length, 4);
  await model.close();
  assert.equal(await sha256(base), before);
});

test("a validation says field by field what fits", async () => {
  const [add, plural] = [made.get("add"), made.get("plural")];
  const good = await kit.validateAdapter(add, { base, stack: [plural] });
  assert.equal(good.verdict, "matches");
  assert.deepEqual(good.fields.map(({ status }) => status), Array(7).fill("matches"));
  const strong = await kit.validateAdapter({ adapter: add, weight: 1e30 }, { base });
  assert.equal(strong.verdict, "refused");
  assert.match(strong.fields.at(-1).message, /^Row 0 of layers\.0\./);
  const other = await kit.validateAdapter(add, { base: goldenBlob() });
  assert.equal(other.verdict, "refused");
  assert.match(other.fields[0].advice, /distil.*route.*ensemble/s);
  assert.equal(other.fields.at(-1).status, "not_checked");
});

test("an adapter bound exactly is refused on other weights, by report and when it is opened",
  async () => {
    const [add, child] = [made.get("add"), made.get("kept")];
    const { blob: bound } = await kit.mergeAdapters([add], { base, exact_base: true });
    const { blob: taken } = await kit.extractAdapter(child, { base, rank: 2, exact_base: true });
    const good = await kit.validateAdapter(bound, { base });
    assert.equal(good.verdict, "matches");
    const report = await kit.validateAdapter(bound, { base: child });
    const [, , , weights] = report.fields;
    assert.deepEqual([report.verdict, weights.status], ["refused", "refused"]);
    assert.match(weights.advice, /exactly/);
    const model = await kit.openPackage(child);
    for (const blob of [bound, taken]) await assert.rejects(model.openAdapter(blob), { code: 464 });
    const { card } = await model.openAdapter(add);
    assert.equal(card.binding.exact_base, false);
    await model.close();
  });

test("what cannot be made is refused by name, and the next job works", async () => {
  const add = made.get("add");
  for (const [make, code, says] of [
    [() => kit.mergeAdapters([add], { base, method: "blend" }), 702, /blend/],
    [() => kit.mergeAdapters([], { base }), 9, /sources/],
    [() => kit.bake(base, [add], { format: "q9" }), 710, /q9/],
    [() => kit.extractAdapter(base, { base, rank: 2 }), 707, /same weights/],
    [() => kit.importAdapter([blobOf("family/README.md")], { base }), 588, /README\.md/],
    [() => kit.bake(goldenBlob(), [add]), 461, /architecture/],
  ]) {
    const error = await refusal(make());
    assert.equal(error.code, code, error.message);
    assert.match(error.message, says);
  }
  const rankless = kit.mergeAdapters([add], { base, method: "svd", rank: 0 });
  assert.equal((await refusal(rankless)).kind, "breed");
  assert.equal(await sha256((await kit.mergeAdapters([add], { base })).blob),
    await sha256((await kit.mergeAdapters([{ adapter: add, weight: 1 }], { base })).blob));
});

test("progress is told, and a stop ends the job and leaves nothing", async () => {
  const seen = [];
  const stop = new AbortController();
  const onProgress = (progress) => {
    seen.push(progress);
    if (seen.length === 3) stop.abort();
  };
  const stopped = await refusal(
    kit.bake(base, [made.get("add")], { onProgress, signal: stop.signal }));
  assert.equal(stopped.name, "AbortError");
  assert.ok(seen.every(({ phase, done, total }) => phase === "bake" && done <= total));
  const engine = await engineOf("breeder");
  const before = engine.json("memory_stats").used_bytes;
  const files = [base, made.get("add")].map((blob, i) => ({ name: `${i}`, blob }));
  await runJob(engine, "bake", files, {});
  await refusal(runJob(engine, "bake", files, { format: "q9" }));
  assert.ok(engine.json("memory_stats").used_bytes - before < 1 << 21);
});
