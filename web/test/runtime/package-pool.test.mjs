/**
 * One package in several engines: items go to whoever is free, answers come in their order with
 * the bits that one engine gives, and a refusal ends the work but not the pool.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cultivar } from "../../runtime/cultivar.js";
import { KitWorker, MODULES_URL, golden, goldenBlob, serveFiles } from "./kit-fixtures.mjs";

let workers = [];
const spawnWorker = () => {
  workers.push(new KitWorker());
  return workers.at(-1);
};
const options = { baseUrl: MODULES_URL, spawnWorker };
const openPool = (blob, n) => Cultivar.openPool(blob, { ...options, workers: n });

async function digest(pkg, seed) {
  const session = await pkg.createSession({ max_tokens: 12, temperature: 1, seed });
  for await (const _ of session.generate(golden.prompt));
  const { run_digest: found } = await session.report();
  await session.close();
  return found;
}

test("answers are those of one engine, in the order of the items", async () => {
  serveFiles();
  const seeds = [1, 2, 3, 4, 5, 6, 7];
  const one = await openPool(goldenBlob(), 1);
  const expected = await one.map(seeds, digest);
  one.close();
  const pool = await openPool(goldenBlob(), 3);
  assert.equal(pool.packages.length, 3);
  const busy = new Map();
  const found = await pool.map(seeds, async (pkg, seed, i) => {
    assert.equal(seeds[i], seed);
    assert.ok(!busy.get(pkg), "one item at a time in each engine");
    busy.set(pkg, true);
    const answer = await digest(pkg, seed);
    busy.set(pkg, false);
    return answer;
  });
  assert.deepEqual(found, expected);
  assert.equal(new Set(found).size, seeds.length);
  assert.equal(busy.size, 3, "every engine had work");
  assert.deepEqual(await pool.map([], digest), []);

  const begun = [];
  const failing = pool.map(seeds, async (pkg, seed) => {
    begun.push(seed);
    if (seed === 2) throw new Error("no");
    return digest(pkg, seed);
  });
  await assert.rejects(failing, /no/);
  assert.deepEqual(begun, [1, 2, 3], "nothing is begun after a refusal");
  assert.deepEqual(await pool.map([4], digest), [expected[3]], "the pool goes on");
  pool.close();
  await assert.rejects(pool.map([1], digest), ({ kind }) => kind === "closed");
});

test("a package that cannot be opened leaves no worker behind", async () => {
  workers = [];
  const ended = [];
  for (const source of [new Blob(["no package at all"]), () => Promise.reject(new Error("gone"))]) {
    await assert.rejects(openPool(source, 2));
    ended.push(...workers);
  }
  assert.ok(ended.length > 0 && ended.every((worker) => worker.isTerminated));
});
