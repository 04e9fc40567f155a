/**
 * Foreign models through the kit: what people have (a GGUF file, a Hugging Face folder) becomes a
 * package in the packer module and writes the reference's tokens in the engine.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Cultivar } from "../../runtime/cultivar.js";
import { KitWorker, MODULES_URL, serveFiles } from "./kit-fixtures.mjs";

const { CULTIVAR_DATA } = process.env;
const skip = CULTIVAR_DATA ? false : "CULTIVAR_DATA is not set";
const MODEL = "models/stories260K";
const SETS = {
  "a GGUF file": ["gguf/stories260K-f32.gguf"],
  "a Hugging Face folder": ["hf/config.json", "hf/model.safetensors", "hf/tokenizer.json"],
};

async function fileOf(path) {
  const bytes = await readFile(join(CULTIVAR_DATA, MODEL, path));
  return Object.assign(new Blob([bytes]), { name: path.split("/").at(-1) });
}

for (const [words, paths] of Object.entries(SETS)) {
  test(`${words} becomes a package that writes the reference's tokens`, { skip }, async () => {
    serveFiles();
    const kit = await Cultivar.open({ baseUrl: MODULES_URL, spawnWorker: () => new KitWorker() });
    const model = await kit.openPackage(
      await kit.importPackage(await Promise.all(paths.map(fileOf))));
    const path = join(CULTIVAR_DATA, "reference/stories260K.json");
    const { prompts } = JSON.parse(await readFile(path, "utf8"));
    assert.ok(prompts.length > 0);
    for (const { prompt, token_ids, greedy_ids } of prompts) {
      const session = await model.createSession({
        temperature: 0, max_tokens: greedy_ids.length, ignore_stop: true,
      });
      const written = [];
      for await (const { id } of session.generate(new Uint32Array(token_ids))) {
        if (id !== null) written.push(id);
      }
      assert.deepEqual(written, greedy_ids, prompt);
      await session.close();
    }
    kit.close();
  });
}
