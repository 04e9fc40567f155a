/**
 * Adapters of others, imported and applied by the built modules: PEFT's greedy ids for every
 * adapter of the reference data, and the accuracies of the demo family as a native run has them.
 */
import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Cultivar } from "../../runtime/cultivar.js";
import { goThrough } from "../family/skills.js";
import { KitWorker, MODULES_URL, familyBytes, serveFiles } from "./kit-fixtures.mjs";

const { CULTIVAR_DATA, CULTIVAR_FULL } = process.env;
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

test("the demo family's mixes answer as natively, with the same run digests", async () => {
  const kit = await openKit();
  const read = async (path) => new Blob([await familyBytes(path)]);
  const { wrong } = await goThrough(kit, read, Boolean(CULTIVAR_FULL));
  assert.deepEqual(wrong, []);
  kit.close();
});
