/** Which file is what, told by contents where they tell, and what a handful of them means. */
import assert from "node:assert/strict";
import test from "node:test";
import { packageName, sortFiles } from "../../lab/commands/sort-files.js";
import { HEAD_BYTES, fileKind } from "../../lab/files/file-kind.js";

const MAGIC = [0x89, 0x53, 0x4c, 0x4d, 0x0d, 0x0a, 0x1a, 0x0a];

function u32s(...numbers) {
  const bytes = new Uint8Array(numbers.length * 4);
  const view = new DataView(bytes.buffer);
  numbers.forEach((number, idx) => view.setInt32(idx * 4, number, true));
  return [...bytes];
}

function f32(number) {
  return [...new Uint8Array(new Float32Array([number]).buffer)];
}

const text = (string) => [...new TextEncoder().encode(string)];
const checkpoint = u32s(64, 172, 5, 8, 4, 512, 512);

/** Rows of [bytes, file length, kind]. */
const FILES = [
  [[], 0, "empty"],
  [[...MAGIC, 1, 0, 0, 0, ...u32s(1)], 5000, "package"],
  [[...MAGIC, 1, 0, 0, 0, ...u32s(2)], 5000, "adapter"],
  [MAGIC, 8, "package"],
  [checkpoint, 1056540, "checkpoint"],
  [u32s(288, 768, 6, 6, 6, -32000, 256), 999, "checkpoint"],
  [[...u32s(7), ...f32(0), ...u32s(5), ...text("<unk>")], 6227, "tokenizer"],
  [[...u32s(27), ...f32(-12.5), ...u32s(3), ...text("abc")], 900, "tokenizer"],
  [text("GGUF\x03\0\0\0"), 900, "gguf"],
  [text("{\"a\": 1}"), 8, "companion", "config.json"],
  [text("{\"a\": 1}"), 8, "companion", "model.safetensors.index.json"],
  [[10, 9, 10, 5], 8, "companion", "tokenizer.model"],
  [text("{\"a\": 1}"), 8, "text", "package.json"],
  [text("PK\x03\x04 etc"), 900, "pickle", "pytorch_model.bin"],
  [text("PK\x03\x04 etc"), 900, "zip"],
  [[0x1f, 0x8b, 8, 0], 900, "gzip"],
  [[...u32s(40, 0), ...text('{"a":{}}')], 900, "safetensors"],
  [text("Dear model,\n\tplease.\n"), 21, "text"],
  [text("{\"json\": true, \"long\": \"enough to fill the head of the file\"}"), 62, "text"],
  [u32s(64, 172, 5, 7, 4, 512, 512), 999, "unknown"],
  [text("Grüße, 🌱, and enough more for the head to end within a letter: äää"), 90, "text"],
  [[0xa7, 0xa7, 0xa7], 3, "unknown"],
  [[0, 1, 2, 3], 4, "unknown"],
];

test("each file is told by its first bytes", () => {
  for (const [bytes, len, kind, name] of FILES) {
    const head = new Uint8Array(bytes).slice(0, HEAD_BYTES);
    assert.equal(fileKind(head, len, name).kind, kind, `${bytes.slice(0, 8)} ${name}`);
    assert.match(fileKind(head, len).what, /^an? /);
  }
});

test("no head makes it fail, however short or odd", () => {
  let seed = 1;
  const next = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 16;
  for (let turn = 0; turn < 3000; turn += 1) {
    const head = Uint8Array.from({ length: turn % 65 }, () => next() % (turn % 3 ? 256 : 4));
    assert.ok(fileKind(head, head.length).kind);
  }
});

test("a checkpoint's header is described", () => {
  const note = (bytes) => fileKind(new Uint8Array(bytes), 999).note;
  assert.equal(note(checkpoint), "5 layers, width 64, vocabulary 512");
  const untied = note(u32s(64, 172, 5, 8, 4, -512, 512));
  assert.equal(untied, "5 layers, width 64, vocabulary 512, own output matrix");
});

const entry = (kind, name = kind) => ({ file: { name }, kind: { kind } });
const names = (entries) => entries.map(({ file }) => file.name);

test("both halves of a pair are imported, in any order, at once or one after the other", () => {
  for (const order of [["checkpoint", "tokenizer"], ["tokenizer", "checkpoint"]]) {
    const [first, second] = order.map((kind) => entry(kind));
    const together = sortFiles([first, second], []);
    assert.deepEqual(names(together.set).sort(), ["checkpoint", "tokenizer"]);
    assert.deepEqual([together.kept, together.missing], [[], ""]);
    const half = sortFiles([first], []);
    assert.equal(half.set, null);
    assert.deepEqual(half.kept, [first]);
    assert.match(half.missing, order[0] === "tokenizer" ? /checkpoint/ : /tokenizer/);
    assert.deepEqual(names(sortFiles([second], half.kept).set).sort(), names(together.set).sort());
  }
});

test("a package is opened alone; what else came along is named", () => {
  const files = [entry("tokenizer"), entry("package", "a"), entry("package", "b"), entry("text")];
  const kept = [entry("checkpoint")];
  const sorted = sortFiles(files, kept);
  assert.equal(sorted.open.file.name, "a");
  assert.equal(sorted.set, null);
  assert.equal(sorted.kept, kept);
  assert.deepEqual(names(sorted.ignored), ["tokenizer", "b"]);
  assert.deepEqual(names(sorted.refused), ["text"]);
});

test("a later half replaces the kept one; a second one in the same drop is left out", () => {
  const kept = [entry("checkpoint", "old")];
  assert.deepEqual(names(sortFiles([entry("checkpoint", "new")], kept).kept), ["new"]);
  const sorted = sortFiles([entry("checkpoint", "one"), entry("checkpoint", "two")], []);
  assert.deepEqual(names(sorted.kept), ["one"]);
  assert.deepEqual(names(sorted.ignored), ["two"]);
});

test("a bad file alone does not start what waits", () => {
  const kept = [entry("checkpoint")];
  const sorted = sortFiles([entry("text")], kept);
  assert.equal(sorted.set, null);
  assert.deepEqual(sorted.kept, kept);
});

test("one GGUF file is a model; parts wait for one another", () => {
  const two = sortFiles([entry("gguf", "a.gguf"), entry("gguf", "b.gguf")], []);
  assert.deepEqual([names(two.set), names(two.ignored)], [["a.gguf"], ["b.gguf"]]);
  const part = (number) => entry("gguf", `m-0000${number}-of-00003.gguf`);
  const some = sortFiles([part(3), part(1)], []);
  assert.deepEqual([some.set, some.missing, some.kept.length], [null, "part 2 of 3", 2]);
  const all = sortFiles([part(2), part(2)], some.kept);
  assert.equal(all.set.length, 3);
  const other = sortFiles([entry("gguf", "b.gguf")], some.kept);
  assert.deepEqual(names(other.set), ["b.gguf"]);
  assert.equal(packageName(all.set, "keep"), "m.slm");
});

test("a Hugging Face folder needs weights, config and a tokenizer; the rest comes along", () => {
  const weights = entry("safetensors", "model.safetensors");
  const [config, tokenizer, extra] = ["config.json", "tokenizer.json", "merges.txt"]
    .map((name) => entry("companion", name));
  const first = sortFiles([weights, entry("text", "README.md")], []);
  assert.match(first.missing, /config\.json, tokenizer\.json/);
  const second = sortFiles([config], first.kept);
  assert.equal(second.missing, "tokenizer.json");
  const third = sortFiles([tokenizer, extra], second.kept);
  assert.equal(third.set.length, 4);
  assert.match(sortFiles([config, tokenizer], []).missing, /weights/);
  const shard = (n) => entry("safetensors", `model-0000${n}-of-00002.safetensors`);
  assert.equal(sortFiles([config, tokenizer, shard(2)], []).missing, "part 1 of 2");
  assert.equal(sortFiles([config, tokenizer, shard(2), shard(1)], []).set.length, 4);
  const mixed = sortFiles([entry("gguf", "a.gguf"), weights, config, tokenizer], []);
  assert.deepEqual([names(mixed.set), names(mixed.ignored)], [["a.gguf"], ["model.safetensors"]]);
});

test("an imported package is named after its folder or its file, and the format", () => {
  const named = (name, format, folder) => packageName([{ file: { name, folder } }], format);
  assert.equal(named("stories260K.bin", "keep"), "stories260K.slm");
  assert.equal(named("a.b.bin", "q8_0"), "a.b-q8_0.slm");
  assert.equal(named(".bin", "f16"), "model-f16.slm");
  assert.equal(named("model.safetensors", "keep", "SmolLM2"), "SmolLM2.slm");
});
