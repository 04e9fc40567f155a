/**
 * Every family of tokenizer.json through the packer into the engine: the ids of the Hugging Face
 * library, as natively. NFKC's table is the packer's own, so the same in every browser.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { Cultivar } from "../../runtime/cultivar.js";
import { KitWorker, MODULES_URL, serveFiles } from "./kit-fixtures.mjs";

const FOLDER = new URL("../../../fixtures/tokenizers/", import.meta.url);
const { texts, families } = JSON.parse(await readFile(new URL("expected.json", FOLDER), "utf8"));

const VOCAB = 4096;
const CONFIG = {
  architectures: ["LlamaForCausalLM"], hidden_size: 32, intermediate_size: 32,
  num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1, vocab_size: VOCAB,
  max_position_embeddings: 64, rms_norm_eps: 1e-5, tie_word_embeddings: true,
};
const LAYER = [
  ["input_layernorm", 32], ["post_attention_layernorm", 32], ["self_attn.q_proj", 32, 32],
  ["self_attn.k_proj", 16, 32], ["self_attn.v_proj", 16, 32], ["self_attn.o_proj", 32, 32],
  ["mlp.gate_proj", 32, 32], ["mlp.up_proj", 32, 32], ["mlp.down_proj", 32, 32],
].map(([name, ...shape]) => [`layers.0.${name}`, ...shape]);

/** A model of zeros that only has a tokenizer worth asking. */
function weights() {
  let end = 0;
  const rows = [["embed_tokens", VOCAB, 32], ...LAYER, ["norm", 32]].map(([name, ...shape]) => {
    const begin = end;
    end += shape.reduce((product, n) => product * n, 2);
    return [`model.${name}.weight`, { dtype: "F16", shape, data_offsets: [begin, end] }];
  });
  const header = Buffer.from(JSON.stringify(Object.fromEntries(rows)));
  const length = Buffer.alloc(8);
  length.writeUInt32LE(header.length);
  return Buffer.concat([length, header, Buffer.alloc(end)]);
}

let kit;
before(async () => {
  serveFiles();
  kit = await Cultivar.open({ baseUrl: MODULES_URL, spawnWorker: () => new KitWorker() });
});
after(() => kit.close());

for (const [family, { ids }] of Object.entries(families)) {
  test(`${family}: the library's ids`, async () => {
    const tokenizer = await readFile(new URL(`${family}.json`, FOLDER));
    const files = [["config.json", JSON.stringify(CONFIG)], ["model.safetensors", weights()],
      ["tokenizer.json", tokenizer]]
      .map(([name, bytes]) => Object.assign(new Blob([bytes]), { name }));
    const model = await kit.openPackage(await kit.importPackage(files));
    for (const [idx, text] of texts.entries()) {
      // The library finds markers among a Unigram's pieces; here text never makes one.
      if (family === "unigram" && text.includes("<s>")) continue;
      const given = await model.tokenize(text, { bos: false });
      assert.deepEqual([...given], ids[idx], `text ${idx}: ${JSON.stringify(text)}`);
    }
    await model.close();
  });
}
