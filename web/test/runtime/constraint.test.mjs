/**
 * Constrained output through the kit: the packer compiles, the engine obeys, and the digests are
 * those of the command line (`fixtures/golden/constrained.json`).
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { Cultivar } from "../../runtime/cultivar.js";
import { KitWorker, MODULES_URL, goldenBlob, runnable, serveFiles } from "./kit-fixtures.mjs";

const URL_OF_RUNS = new URL("../../../fixtures/golden/constrained.json", import.meta.url);
const { file, prompt, runs } = JSON.parse(readFileSync(URL_OF_RUNS, "utf8"));
const settle = (promise) => promise.then(() => null, (error) => error);

let kit;
let model;
const open = async (module) => {
  kit = await Cultivar.open({
    module, baseUrl: MODULES_URL, spawnWorker: () => new KitWorker(),
  });
  model = await kit.openPackage(goldenBlob(file));
};
before(async () => {
  serveFiles();
  await open("simd128");
});
after(() => kit.close());

function constraintOf({ schema, grammar }) {
  if (schema) return { schema: JSON.parse(schema) };
  return grammar ? { grammar } : { json: true };
}

async function write(settings) {
  const session = await model.createSession(settings);
  for await (const token of session.generate(prompt)) void token;
  const report = await session.report();
  await session.close();
  return report;
}

for (const module of runnable) {
  test(`${module}: constrained runs have the command line's digests`, async () => {
    if (module !== "simd128") {
      kit.close();
      await open(module);
    }
    for (const { seed, text, stop_reason, run_digest, ...row } of runs) {
      const settings = { temperature: 1, max_tokens: 60, seed, constraint: constraintOf(row) };
      const report = await write(settings);
      assert.equal(report.text, text);
      assert.equal(report.stop_reason, stop_reason);
      assert.equal(report.run_digest, run_digest);
      // The words of a report work as well.
      const { constraint } = report.settings;
      assert.equal((await write({ ...settings, constraint })).run_digest, run_digest);
    }
  });
}

test("what is wrong with a constraint is refused by name, and the next session works", async () => {
  const { usedBytes } = await kit.memory();
  const cases = [
    [{ grammar: "root ::= other" }, 631, /other/],
    [{ schema: { not: {} } }, 637, /keyword that is not supported: not/],
    [{ schema: { $ref: "#/a" } }, 639, /leads nowhere/],
    [{ xml: true }, 9, /json, json_schema or gbnf/],
    [{ json: false }, 9, /json, json_schema or gbnf/],
  ];
  for (const [constraint, code, message] of cases) {
    const error = await settle(model.createSession({ constraint }));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
  }
  assert.equal((await settle(model.createSession({ constraint: { grammar: "root ::= (" } }))).kind,
    "grammar");
  assert.equal((await kit.memory()).usedBytes, usedBytes);
  assert.equal((await write({ constraint: null, max_tokens: 3 })).output_ids.length, 3);
});

test("a fork and a rewind of a constrained session obey it too", async () => {
  const constraint = { grammar: 'root ::= "one" | "two" | "three"' };
  const session = await model.createSession({ constraint, temperature: 2, seed: 5 });
  for await (const token of session.generate(prompt)) void token;
  const first = await session.report();
  const fork = await session.fork();
  await fork.rewind(first.prompt_ids.length);
  for await (const token of fork.generate(" And")) void token;
  assert.match((await fork.report()).text, /^(one|two|three)$/);
});
