/** Which file is what, and what a handful of them means: no names looked at, contents only. */
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
  for (const [bytes, len, kind] of FILES) {
    const head = new Uint8Array(bytes).slice(0, HEAD_BYTES);
    assert.equal(fileKind(head, len).kind, kind, `${bytes.slice(0, 8)}`);
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

test("both halves of a pair are imported, in any order, at once or one after the other", () => {
  for (const order of [["checkpoint", "tokenizer"], ["tokenizer", "checkpoint"]]) {
    const [first, second] = order.map((kind) => entry(kind));
    const together = sortFiles([first, second], {});
    assert.deepEqual(together.pair, { [order[0]]: first, [order[1]]: second });
    assert.deepEqual(together.kept, {});
    const half = sortFiles([first], {});
    assert.equal(half.pair, null);
    assert.deepEqual(half.kept, { [order[0]]: first });
    assert.deepEqual(sortFiles([second], half.kept).pair, together.pair);
  }
});

test("a package is opened alone; what else came along is named", () => {
  const files = [entry("tokenizer"), entry("package", "a"), entry("package", "b"), entry("text")];
  const kept = { checkpoint: entry("checkpoint") };
  const sorted = sortFiles(files, kept);
  assert.equal(sorted.open.file.name, "a");
  assert.equal(sorted.pair, null);
  assert.equal(sorted.kept, kept);
  assert.deepEqual(sorted.ignored.map(({ file }) => file.name), ["b", "tokenizer"]);
  assert.deepEqual(sorted.refused.map(({ file }) => file.name), ["text"]);
});

test("a later half replaces the kept one; a second one in the same drop is left out", () => {
  const kept = { checkpoint: entry("checkpoint", "old") };
  assert.equal(sortFiles([entry("checkpoint", "new")], kept).kept.checkpoint.file.name, "new");
  const sorted = sortFiles([entry("checkpoint", "one"), entry("checkpoint", "two")], {});
  assert.equal(sorted.kept.checkpoint.file.name, "one");
  assert.equal(sorted.ignored[0].file.name, "two");
});

test("a bad file alone does not start the pair that waits", () => {
  const kept = { checkpoint: entry("checkpoint") };
  const sorted = sortFiles([entry("text")], kept);
  assert.equal(sorted.pair, null);
  assert.deepEqual(sorted.kept, kept);
});

test("an imported package is named after its checkpoint and format", () => {
  assert.equal(packageName("stories260K.bin", "keep"), "stories260K.slm");
  assert.equal(packageName("a.b.bin", "q8_0"), "a.b-q8_0.slm");
  assert.equal(packageName(".bin", "f16"), "model-f16.slm");
});
