/**
 * Adapters of others, imported and applied by the built modules: PEFT's greedy ids for every
 * adapter of the reference data, and the accuracies of the demo family that PyTorch gave.
 */
import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Cultivar } from "../../runtime/cultivar.js";
import { KitWorker, MODULES_URL, familyBytes, serveFiles } from "./kit-fixtures.mjs";

const { CULTIVAR_DATA, CULTIVAR_FULL } = process.env;
/** Cases per suite and mix, unless all are asked for. */
const N_CASES = CULTIVAR_FULL ? Infinity : 6;
const PARTS = ["adapter_config.json", "adapter_model.safetensors"];

const openKit = () => {
  serveFiles();
  return Cultivar.open({ baseUrl: MODULES_URL, spawnWorker: () => new KitWorker() });
};
const named = (bytes, name) => Object.assign(new Blob([bytes]), { name });

/** Ids that follow a prompt greedily, a stop token included. */
async function greedy(model, ids, n, adapters) {
  const session = await model.createSession({ max_tokens: n }, adapters);
  for await (const token of session.generate(new Uint32Array(ids))) void token;
  const { output_ids } = await session.report();
  await session.close();
  return output_ids;
}

test("PEFT adapters of stories260K write PEFT's greedy ids, at their scale and at half of it",
  { skip: CULTIVAR_DATA ? false : "CULTIVAR_DATA is not set" }, async () => {
    const read = (path) => readFile(join(CULTIVAR_DATA, path));
    const kit = await openKit();
    const folder = "models/stories260K/hf";
    const files = await Promise.all(["config.json", "model.safetensors", "tokenizer.json"]
      .map(async (name) => named(await read(`${folder}/${name}`), name)));
    const base = await kit.importPackage(files);
    const model = await kit.openPackage(base);
    const reference = JSON.parse(await read("reference/stories260K-adapters.json"));
    let n_compared = 0;
    // The reference names some that the data does not have, and one of magnitudes (DoRA).
    const there = await readdir(join(CULTIVAR_DATA, "adapters/stories260K"));
    for (const [name, { prompts }] of Object.entries(reference)) {
      if (!there.includes(name) || name.includes("dora")) continue;
      const parts = await Promise.all(PARTS.map(async (part) =>
        named(await read(`adapters/stories260K/${name}/${part}`), part)));
      const { blob } = await kit.importAdapter(parts, { base, name });
      const adapter = await model.openAdapter(blob);
      for (const { prompt_ids: ids, greedy_ids: whole, ...row } of prompts) {
        const half = row["llama_cpp_lora_scale0.5"]?.greedy_ids;
        for (const [weight, expected] of [[1, whole], [0.5, half]]) {
          if (!expected) continue;
          const written = await greedy(model, ids, expected.length, [{ adapter, weight }]);
          assert.deepEqual(written.slice(0, expected.length), expected, `${name} ${weight}`);
          n_compared += 1;
        }
      }
    }
    assert.ok(n_compared >= 12, `${n_compared} comparisons`);
    kit.close();
  });

test("the demo family's mixes are right where PyTorch is", async () => {
  const kit = await openKit();
  const base = new Blob([await familyBytes("sprout.slm")]);
  const model = await kit.openPackage(base);
  const { adapters: alone, pairs, all_five: all } =
    JSON.parse(await familyBytes("reference.json"));
  const opened = {};
  const suites = {};
  for (const name of Object.keys(alone)) {
    const parts = await Promise.all(PARTS.map(async (part) =>
      named(await familyBytes(`adapters/${name}/${part}`), part)));
    opened[name] = await model.openAdapter((await kit.importAdapter(parts, { base, name })).blob);
    const lines = String(await familyBytes(`suites/${name}.holdout.jsonl`)).trim().split("\n");
    suites[name] = lines.map((line) => JSON.parse(line));
  }
  const check = async (members, right) => {
    const mix = members.map((name) => ({ adapter: opened[name] }));
    for (const [suite, indices] of Object.entries(right)) {
      const cases = suites[suite].slice(0, N_CASES);
      for (const [idx, { prompt_ids: ids, expected_ids: expected, end_id }] of cases.entries()) {
        const wanted = [...expected, end_id];
        const written = await greedy(model, ids, wanted.length, mix);
        const isRight = String(written) === String(wanted);
        assert.equal(isRight, indices.includes(idx), `${members} on ${suite} ${idx}: ${written}`);
      }
    }
  };
  for (const [name, { right_holdout: right }] of Object.entries(alone)) {
    await check([name], Array.isArray(right) ? { [name]: right } : right);
  }
  for (const { members, right_holdout: right } of pairs) await check(members, right);
  await check(all.members ?? Object.keys(alone), all.right_holdout);
  kit.close();
});
