/**
 * Every kind of bad file: the page names what is wrong and what to do, as an alert, and the model
 * that was open goes on giving the same bits.
 */
import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { dataFile, goldenFile, launch, noBrowser, noData, openLab } from "./lab-browser.mjs";

const GOOD = "golden-q8_0.slm";

let chrome;
let lab;
let good;
let digest;

before(async () => {
  if (noBrowser) return;
  chrome = await launch();
  good = await goldenFile(GOOD);
  lab = await openLab(chrome.browser);
  await lab.drop(good);
  await lab.opened(GOOD);
  digest = (await lab.run({ max_tokens: 12 })).run_digest;
});
after(() => chrome?.close());

/** The good package with one byte changed; a negative position counts from the end. */
function flipped(at) {
  const bytes = Buffer.from(good.bytes);
  bytes[(at + bytes.length) % bytes.length] ^= 0x10;
  return bytes;
}

/** A file length that does not fit its header's sizes: the first `share` of the package. */
function cut(share) {
  return good.bytes.subarray(0, Math.floor(good.bytes.length * share));
}

function withU32(at, value) {
  const bytes = Buffer.from(good.bytes);
  bytes.writeUInt32LE(value, at);
  return bytes;
}

/** Rows of [name, bytes, what the message must say]; bytes are made when the test runs. */
const BAD = [
  ["truncated-tensors.slm", () => cut(0.9), /length|bytes|short|truncat/i],
  ["truncated-head.slm", () => cut(0.05), /length|bytes|short|truncat/i],
  ["truncated-header.slm", () => good.bytes.subarray(0, 40), /length|bytes|short|truncat/i],
  ["magic.slm", () => flipped(0), /unknown kind/],
  ["version.slm", () => withU32(8, 2), /version|digest/i],
  ["adapter.sla", () => withU32(12, 2), /adapter/],
  ["table-digest.slm", () => flipped(45), /digest/],
  ["config-digest.slm", () => flipped(-good.bytes.length + 1100), /digest/],
  ["weights-digest.slm", () => flipped(Math.floor(good.bytes.length * 0.6)), /digest/],
  ["last-byte.slm", () => flipped(-1), /digest|padding|conversion|zero/i],
  ["longer.slm", () => Buffer.concat([good.bytes, Buffer.from("more")]), /length|bytes|trailing/i],
  ["notes.txt", () => Buffer.from("Dear model,\nplease write.\n"), /text file/],
  ["empty.slm", () => Buffer.alloc(0), /empty/],
  ["noise.bin", () => Buffer.alloc(5000, 0xa7), /unknown kind/],
];

/** The open model still answers, with the same bits as before. */
async function assertStillWorks() {
  await lab.opened(GOOD);
  assert.equal((await lab.run()).run_digest, digest);
}

for (const [name, make, words] of BAD) {
  test(`${name} is refused by name and the open model goes on`, { skip: noBrowser }, async () => {
    await lab.drop({ name, bytes: make() });
    const { text, role, advice } = await lab.message(name);
    assert.match(text, words);
    assert.equal(role, "alert");
    assert.ok(advice.length > 10, "no advice");
    await lab.dismissAll();
    await assertStillWorks();
  });
}

test("a model too large for a page is refused before it is read", { skip: noBrowser }, async () => {
  await lab.page.evaluate((base64) => {
    const head = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const file_bytes = 5 * 2 ** 30;
    new DataView(head.buffer).setBigUint64(24, BigInt(file_bytes), true);
    // One block many times over: the Blob is five gigabytes long, the memory is not.
    const block = new Blob([new Uint8Array(1 << 26)]);
    const body = new Blob(Array.from({ length: file_bytes / block.size }, () => block));
    const dataTransfer = new DataTransfer();
    const parts = [head.subarray(0, 64), body.slice(64)];
    dataTransfer.items.add(new File(parts, "huge.slm"));
    const about = { dataTransfer, bubbles: true, cancelable: true };
    document.body.dispatchEvent(new DragEvent("drop", about));
  }, good.bytes.subarray(0, 64).toString("base64"));
  const { text, advice } = await lab.message("huge.slm");
  assert.match(text, /GiB/);
  assert.match(advice, /memory/);
  await lab.dismissAll();
  await assertStillWorks();
});

test("a damaged half of a pair is named, and the pair can be dropped again", { skip: noData },
  async () => {
    const checkpoint = await dataFile("models/stories260K/stories260K.bin");
    const tokenizer = await dataFile("models/stories260K/tok512.bin");
    const half = ({ name, bytes }) => ({ name, bytes: bytes.subarray(0, bytes.length / 2) });
    for (const pair of [[half(checkpoint), tokenizer], [checkpoint, half(tokenizer)]]) {
      await lab.drop(...pair);
      const { text, advice } = await lab.message("stories260K.slm could not be imported");
      assert.match(text, /stories260K\.bin|tok512\.bin/);
      assert.match(advice, /belong together/);
      await lab.dismissAll();
      await assertStillWorks();
    }
    await lab.drop(checkpoint, tokenizer);
    await lab.opened("stories260K.slm");
    assert.match((await lab.run({ max_tokens: 8 })).text, /^, there was/);
  });
