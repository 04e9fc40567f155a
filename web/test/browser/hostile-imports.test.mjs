/**
 * Files of other programs that were damaged on purpose, and models that come in parts or as a
 * folder: each is refused by its file and the reason, or joined; nothing is left behind, and the
 * model that was open goes on giving the same bits.
 */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { splitGguf, tensorsOfGguf } from "../runtime/gguf-tensors.mjs";
import { keptNames, sproutAs, sproutPackage, storedFiles } from "./foreign-files.mjs";
import { launch, noBrowser, openLab } from "./lab-browser.mjs";

const skip = noBrowser;
const SETTINGS = { prompt: "Once there was", max_tokens: 16, temperature: 0 };

let chrome;
let lab;
let gguf;
let folder;
let digest;
before(async () => {
  if (noBrowser) return;
  chrome = await launch();
  [gguf] = await sproutAs("gguf");
  folder = await sproutAs("safetensors");
  lab = await openLab(chrome.browser);
  const good = await sproutPackage();
  await lab.drop({ ...good, name: "open.slm" });
  await lab.opened("open.slm");
  digest = (await lab.run(SETTINGS)).run_digest;
});
after(() => chrome?.close());

/** The GGUF file with `change(bytes, tensors)` done to a copy of it. */
function changed(change) {
  const bytes = Buffer.from(gguf.bytes);
  change(bytes, tensorsOfGguf(bytes));
  return [{ name: "m.gguf", bytes }];
}

/** The offset of a tensor, written anew. */
const moved = (name, offset) => changed((bytes, tensors) =>
  bytes.writeBigUInt64LE(offset, tensors.get(name).offsetAt));

/** The folder with one of its files changed; `change` takes a text or bytes. */
const withFile = (wanted, change) => folder.map((file) =>
  (file.name === wanted ? { name: wanted, bytes: Buffer.from(change(file.bytes)) } : file));

const replaced = (from, to) => (bytes) => {
  const text = bytes.toString("latin1");
  assert.ok(text.includes(from), from);
  return Buffer.from(text.replace(from, to), "latin1");
};

const Q = "blk.1.attn_q.weight";

/** Rows of [what is wrong, files, what the message must say]; made when the test runs. */
const BAD = [
  ["a tensor that overlaps another", () => moved(Q, 0n), /m\.gguf.*before the end of another/],
  ["a tensor beyond the file", () => moved(Q, 1n << 40n), /m\.gguf.*attn_q/],
  ["a tensor beyond 2^64", () => moved(Q, (1n << 64n) - 32n), /m\.gguf.*attn_q/],
  ["a weight that is no number", () => changed((bytes, tensors) => {
    tensors.get(Q).bytes.writeUInt16LE(0x7e00, 400);
  }), /m\.gguf.*layers\.1\.w_q.*not a number/],
  ["a tensor under another name", () => changed((bytes, tensors) => {
    bytes[bytes.indexOf(Q) + 4] = 0x39;
  }), /m\.gguf.*blk\.\d\.attn_q/],
  ["an unknown element type", () => changed((bytes, tensors) => {
    bytes.writeUInt32LE(99, tensors.get(Q).offsetAt - 4);
  }), /m\.gguf.*attn_q.*99/],
  ["an architecture of another kind", () => changed((bytes) => {
    const at = bytes.indexOf("llama", bytes.indexOf("general.architecture"));
    bytes.write("mamba", at);
  }), /m\.gguf.*mamba.*supported/],
  ["a width that is not the tensors'", () =>
    withFile("config.json", replaced('"hidden_size":128', '"hidden_size":64')),
  /model\.safetensors.*embed_tokens/],
  ["a safetensors header that lies", () =>
    withFile("model.safetensors", replaced('"data_offsets":[0,', '"data_offsets":[8,')),
  /model\.safetensors/],
  ["a tokenizer cut off", () =>
    withFile("tokenizer.model", (bytes) => bytes.subarray(0, bytes.length / 2)),
  /tokenizer\.model/],
];

for (const [what, files, words] of BAD) {
  test(`${what} is refused by file and reason, and the open model goes on`, { skip }, async () => {
    await lab.drop(...files());
    const { text, role, advice } = await lab.message("could not be imported");
    assert.match(text, words);
    assert.equal(role, "alert");
    assert.ok(advice.length > 10, "no advice");
    await lab.dismissAll();
    assert.deepEqual([await keptNames(lab), await storedFiles(lab)], [[], []]);
    await lab.opened("open.slm");
    assert.equal((await lab.run(SETTINGS)).run_digest, digest);
  });
}

/** An adapter of the demo with `change(files)` done to `{ config, weights }`, as a drop of both. */
async function adapter(change) {
  const read = (name) =>
    readFile(new URL(`../../../fixtures/family/adapters/fact/${name}`, import.meta.url));
  const names = ["adapter_config.json", "adapter_model.safetensors"];
  const [config, weights] = await Promise.all(names.map(read));
  const files = { config: String(config), weights };
  change(files);
  return [{ name: names[0], bytes: files.config }, { name: names[1], bytes: files.weights }];
}

const BAD_ADAPTERS = [
  ["a variant that cannot be applied", (files) => {
    files.config = JSON.stringify({ ...JSON.parse(files.config), use_dora: true });
  }, /adapter_config\.json.*DoRA/],
  ["a factor cut off", (files) => {
    files.weights = files.weights.subarray(0, files.weights.length - 8);
  }, /adapter_model\.safetensors.*lora_/],
  ["a value that is no number", (files) => {
    files.weights.fill(0xff, files.weights.length - 8);
  }, /adapter_model\.safetensors.*lora_.*not a number/],
  ["a module that the base lacks", (files) => {
    const [from, to] = ["layers.0.", "layers.9."];
    files.weights = Buffer.from(files.weights.toString("latin1").replaceAll(from, to), "latin1");
  }, /adapter_model\.safetensors.*layers\.9\./],
];

for (const [what, change, words] of BAD_ADAPTERS) {
  test(`an adapter with ${what} is refused by file and reason`, { skip }, async () => {
    await lab.drop(...await adapter(change));
    const { text, role } = await lab.message("was not added");
    assert.match(text, words);
    assert.equal(role, "alert");
    await lab.dismissAll();
    assert.equal((await lab.run(SETTINGS)).run_digest, digest);
  });
}

test("a model in parts waits for all of them and is joined", { skip }, async () => {
  const [first, second] = splitGguf(gguf.bytes);
  const part = (n, bytes) => ({ name: `parts-0000${n}-of-00002.gguf`, bytes });
  await lab.drop(part(2, second));
  await lab.page.waitForSelector(".kept-missing:not([hidden])");
  const missing = await lab.page.$eval(".kept-missing", (node) => node.textContent);
  assert.match(missing, /part 1 of 2/);
  await lab.drop(part(1, first));
  await lab.opened("parts.slm");
  assert.equal((await lab.run(SETTINGS)).text, (await lab.run(SETTINGS)).text);
  const card = await lab.page.$eval("#card-place", (node) => node.textContent);
  assert.match(card, /Imported from parts-00001-of-00002\.gguf, parts-00002-of-00002\.gguf/);
  assert.deepEqual(await keptNames(lab), ["parts.slm"]);
});

test("a folder that is dropped is read as one, and the same files are kept once", { skip },
  async () => {
    const path = await mkdtemp(join(tmpdir(), "cultivar-folder-"));
    const readme = "---\nlicense: apache-2.0\n---\n# A model\n";
    const files = [...folder, { name: "README.md", bytes: readme },
      { name: "notes.txt", bytes: "Beside the model." }];
    for (const { name, bytes } of files) await writeFile(join(path, name), bytes);
    const name = `${path.split("/").pop()}.slm`;
    const devtools = await lab.page.createCDPSession();
    for (const n of [1, 2]) {
      const data = { items: [], files: [path], dragOperationsMask: 1 };
      for (const type of ["dragEnter", "dragOver", "drop"]) {
        await devtools.send("Input.dispatchDragEvent", { type, x: 200, y: 200, data });
      }
      if (n === 2) await lab.page.waitForSelector(".job:not([hidden])");
      await lab.opened(name);
      assert.equal((await lab.page.$$(".message")).length, 0);
    }
    assert.deepEqual(await keptNames(lab), [name, "parts.slm"]);
    assert.equal((await storedFiles(lab)).length, 2);
    const card = await lab.page.$eval("#card-place", (node) => node.textContent);
    assert.match(card, /Licenceapache-2\.0/);
    assert.equal((await lab.run(SETTINGS)).text.length > 0, true);
    assert.deepEqual(lab.problems, []);
    await rm(path, { recursive: true });
  });
