/**
 * A model of 400 MB, made at random in a folder of memory, imported in Chromium: with progress,
 * time left and bounded memory, and then it runs. Linux, since it reads /proc.
 */
import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, open, readFile, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { keptNames } from "../browser/foreign-files.mjs";
import { launch, noBrowser, openLab } from "../browser/lab-browser.mjs";
import { ggufText, number } from "../runtime/gguf-tensors.mjs";

const MEMORY = "/dev/shm";
const skip = noBrowser || (existsSync(MEMORY) ? false : `there is no ${MEMORY}`);

const [VOCAB, D, D_FF, LAYERS] = [65_536, 1024, 4096, 8];
/** The import may hold twice the largest tensor and 64 MiB, beside what an idle page takes. */
const BYTES_MAX = 2 * VOCAB * D * 2 + (64 << 20);
const RANGE_BYTES = 16 << 20;

let folder;
let chrome;
before(async () => {
  if (skip) return;
  folder = await mkdtemp(join(MEMORY, "cultivar-large-"));
  process.env.TMPDIR = folder; // The browser's profile, and so its storage, lie there too.
  chrome = await launch();
});
after(async () => {
  await chrome?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

/** Every tensor of a Llama of 201 million weights: name, shape (outermost first), ggml's type. */
function tensors() {
  const layer = [["attn_q", D, D], ["attn_k", D, D], ["attn_v", D, D], ["attn_output", D, D],
    ["ffn_gate", D_FF, D], ["ffn_up", D_FF, D], ["ffn_down", D, D_FF], ["attn_norm", D],
    ["ffn_norm", D]];
  const layers = Array.from({ length: LAYERS }, (_, idx) =>
    layer.map(([name, ...shape]) => [`blk.${idx}.${name}.weight`, shape])).flat();
  return [["token_embd.weight", [VOCAB, D]], ["output_norm.weight", [D]], ...layers];
}

/** The head of the file and how many bytes of weights follow. */
function head() {
  const bytes = Array.from({ length: 256 }, (_, byte) =>
    `<0x${byte.toString(16).padStart(2, "0").toUpperCase()}>`);
  const pieces = ["<unk>", "<s>", "</s>", ...bytes];
  const float = (value) => Buffer.from(new Float32Array([value]).buffer);
  const array = (type, values) =>
    [number(4, 9), number(4, type), number(8, values.length), ...values];
  const values = {
    "general.architecture": [number(4, 8), ggufText("llama")],
    ...Object.fromEntries(Object.entries({
      context_length: 512, embedding_length: D, block_count: LAYERS, feed_forward_length: D_FF,
      "attention.head_count": 16,
    }).map(([key, value]) => [`llama.${key}`, [number(4, 4), number(4, value)]])),
    "llama.attention.layer_norm_rms_epsilon": [number(4, 6), float(1e-5)],
    "tokenizer.ggml.model": [number(4, 8), ggufText("llama")],
    "tokenizer.ggml.tokens": array(8, pieces.map(ggufText)),
    "tokenizer.ggml.scores": array(6, pieces.map(() => float(0))),
    "tokenizer.ggml.token_type": array(5, pieces.map((_, id) => number(4, [2, 3, 3][id] ?? 6))),
  };
  let end = 0;
  const infos = tensors().flatMap(([name, shape]) => {
    const isVector = shape.length === 1;
    const dims = shape.toReversed().map((dim) => number(8, dim));
    const info = [ggufText(name), number(4, shape.length), ...dims, number(4, isVector ? 0 : 1),
      number(8, end)];
    end += shape.reduce((product, n) => product * n, isVector ? 4 : 2);
    return info;
  });
  const entries = Object.entries(values).flatMap(([key, value]) => [ggufText(key), ...value]);
  const bare = Buffer.concat([Buffer.from("GGUF"), number(4, 3), number(8, tensors().length),
    number(8, Object.keys(values).length), ...entries, ...infos]);
  return [Buffer.concat([bare, Buffer.alloc(-bare.length & 31)]), end];
}

/** Writes the file: every 16-bit word is a small half float, and two of them a small float. */
async function makeModel(path) {
  const [start, n_bytes] = head();
  const file = await open(path, "w");
  await file.write(start);
  const words = new Uint16Array(RANGE_BYTES / 2);
  for (let at = 0; at < n_bytes; at += RANGE_BYTES) {
    randomFillSync(words);
    for (let idx = 0; idx < words.length; idx += 1) words[idx] = (words[idx] & 0x83ff) | 0x2000;
    await file.write(Buffer.from(words.buffer, 0, Math.min(RANGE_BYTES, n_bytes - at)));
  }
  await file.close();
  return start.length + n_bytes;
}

/** Bytes of memory of their own that the pages of the browser take. */
async function pageBytes(browser) {
  const own = browser.process().pid;
  const statuses = await Promise.all((await readdir("/proc")).filter((name) => /^\d+$/.test(name))
    .map(async (pid) => {
      const read = (name) => readFile(`/proc/${pid}/${name}`, "latin1").catch(() => "");
      const [line, status] = await Promise.all([read("cmdline"), read("status")]);
      return { pid: Number(pid), line, status };
    }));
  const parents = new Map(statuses.map(({ pid, status }) =>
    [pid, Number(/PPid:\s+(\d+)/.exec(status)?.[1])]));
  const isOurs = (pid) => pid === own || (pid > 1 && isOurs(parents.get(pid)));
  const pages = statuses.filter(({ pid, line }) => line.includes("--type=renderer") && isOurs(pid));
  return pages.reduce((sum, { status }) =>
    sum + 1024 * Number(/RssAnon:\s+(\d+)/.exec(status)?.[1] ?? 0), 0);
}

test("400 MB are imported with progress and bounded memory", { skip, timeout: 600_000 },
  async (t) => {
    const path = join(folder, "large.gguf");
    const n_bytes = await makeModel(path);
    assert.ok(n_bytes > 400e6);
    const lab = await openLab(chrome.browser);
    lab.page.setDefaultTimeout(500_000);
    const idle = await pageBytes(chrome.browser);
    const input = await lab.page.$('input[type="file"]');
    const began = performance.now();
    await input.uploadFile(path);
    const seen = [];
    let most = 0;
    for (;;) {
      const words = await lab.page.$eval(".job-facts", (node) => node.textContent);
      const isOver = await lab.page.evaluate(() => document.body.dataset.stage === "ready");
      if (isOver || (seen.length > 0 && !words.startsWith("Converting"))) break;
      const now = await pageBytes(chrome.browser);
      if (!words.startsWith("Converting")) continue;
      most = Math.max(most, now - idle);
      seen.push(words);
    }
    const import_s = (performance.now() - began) / 1000;
    await lab.opened("large.slm");
    const all_s = (performance.now() - began) / 1000;
    t.diagnostic(`${n_bytes} bytes: ${import_s.toFixed(1)} s to convert, ${all_s.toFixed(1)} s `
      + `until open; the pages took at most ${(most / 2 ** 20).toFixed(0)} MiB more than idle`);
    t.diagnostic(seen[seen.length >> 1]);
    assert.ok(seen.some((words) => /of 38\d MiB · \d+ %.*MiB\/s.*left/.test(words)), seen.at(-1));
    assert.ok(most < BYTES_MAX, `${most} of ${BYTES_MAX}`);
    await lab.page.waitForFunction(() => document.querySelectorAll(".library li").length === 1);
    assert.deepEqual(await keptNames(lab), ["large.slm"]);
    const { text } = await lab.run({ prompt: "a", max_tokens: 4, temperature: 0 });
    assert.equal(typeof text, "string");
    assert.deepEqual(lab.problems, []);
  });
