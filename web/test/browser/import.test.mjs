/**
 * Models of other programs by drop: GGUF and Hugging Face files become packages in the browser's
 * storage, with progress, pause and stop; what fails is named and leaves nothing behind.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test, { after, before, beforeEach } from "node:test";
import {
  holdWrites, keptNames, reload, sproutAs, storedFiles, untilHeld, withoutFiles,
} from "./foreign-files.mjs";
import { launch, noBrowser, openLab } from "./lab-browser.mjs";

const skip = noBrowser;
const DEMO = new URL("../../../fixtures/family/demo.json", import.meta.url);

let chrome;
let context; // A new one for each test: with nothing in its storage.
let gguf;
let told;
before(async () => {
  if (noBrowser) return;
  chrome = await launch();
  [gguf] = await sproutAs("gguf");
  told = JSON.parse(await readFile(DEMO, "utf8"));
});
beforeEach(async () => {
  await context?.close();
  context = await chrome?.browser.createBrowserContext();
});
after(() => chrome?.close());

const demoSettings = () => ({ ...told.settings, prompt: told.prompt });

test("a GGUF file becomes a kept package that writes the same text", { skip }, async () => {
  const lab = await openLab(context);
  const phases = await lab.page.evaluate(() => {
    window.seen = [];
    const facts = document.querySelector(".job-facts");
    new MutationObserver(() => window.seen.push(facts.textContent))
      .observe(facts, { childList: true, characterData: true, subtree: true });
    return window.seen;
  });
  assert.deepEqual(phases, []);
  await lab.drop(gguf);
  await lab.opened("sprout.slm");
  const shown = await lab.run(demoSettings());
  assert.equal(shown.text, told.text);
  assert.equal(shown.run_digest, told.run_digest);
  const card = await lab.page.$eval("#card-place", (node) => node.textContent);
  assert.match(card, /1\.12 M parameters.*Imported from sprout\.gguf/);
  assert.deepEqual(await keptNames(lab), ["sprout.slm"]);
  assert.match((await storedFiles(lab)).join(), /^[\d-]+\.slm$/);
  const seen = await lab.page.evaluate(() => window.seen);
  assert.ok(seen.some((words) => /Converting · .* of 2\.\d+ MiB · \d+ %/.test(words)), seen);
  assert.deepEqual(lab.problems, []);
});

test("the files of a folder wait for one another, and import in a chosen format", { skip },
  async () => {
    const files = await sproutAs("safetensors");
    const lab = await openLab(context);
    await lab.page.select("#setting-format", "q8_0");
    await lab.drop(files[0], { name: "README.md", bytes: Buffer.from("# A model\n") });
    await lab.page.waitForSelector(".kept-missing:not([hidden])");
    const missing = await lab.page.$eval(".kept-missing", (node) => node.textContent);
    assert.match(missing, /Still needed: config\.json, tokenizer\.json/);
    await lab.dismissAll();
    await lab.drop(...files.slice(1));
    await lab.opened("model-q8_0.slm");
    assert.equal((await lab.page.$$(".message")).length, 0);
    assert.match(await lab.page.$eval(".library", (node) => node.textContent), /q8_0/);
    assert.match((await lab.run({ max_tokens: 8 })).text, /\w/);
    assert.deepEqual(lab.problems, []);
  });

test("an import pauses, resumes and ends; the card is there before the weights", { skip },
  async () => {
    const lab = await openLab(context, { prepare: holdWrites });
    await lab.drop(gguf);
    await untilHeld(lab);
    const card = await lab.page.$eval("#card-place", (node) => node.textContent);
    assert.match(card, /1\.12 M parameters.*weights loading.*Memory needed/);
    await lab.press("Pause");
    await lab.page.waitForFunction(() =>
      document.querySelector(".job-facts").textContent.startsWith("Paused"));
    await lab.press("Resume");
    await lab.page.evaluate(() => window.releaseWrites());
    await lab.opened("sprout.slm");
  });

test("a stopped import leaves nothing", { skip }, async () => {
  const lab = await openLab(context, { prepare: holdWrites });
  await lab.drop(gguf);
  await untilHeld(lab);
  assert.match((await storedFiles(lab)).join(), /^[\d-]+\.part$/);
  await lab.press("Stop");
  const { text } = await lab.message("sprout.slm was not imported");
  assert.match(text, /You stopped it/);
  await lab.page.evaluate(() => window.releaseWrites());
  await lab.page.waitForSelector('[data-stage="empty"]');
  await lab.page.waitForFunction(async () => {
    const root = await navigator.storage.getDirectory();
    const folder = await root.getDirectoryHandle("cultivar-library");
    return (await Array.fromAsync(folder.keys())).length === 0;
  });
  assert.deepEqual(await keptNames(lab), []);
  await lab.drop(gguf);
  await lab.opened("sprout.slm");
});

test("a page that went away while importing leaves nothing listed, and is cleared up after",
  { skip }, async () => {
    const lab = await openLab(context, { prepare: holdWrites });
    await lab.drop(gguf);
    await untilHeld(lab);
    assert.equal((await storedFiles(lab)).length, 1);
    await reload(lab);
    assert.deepEqual([await keptNames(lab), await storedFiles(lab)], [[], []]);
  });

for (const [words, prepare] of [["files", undefined], ["the database", withoutFiles]]) {
  test(`without room in ${words} the import says so by name and leaves nothing`, { skip },
    async () => {
      const lab = await openLab(context, { prepare });
      const { origin } = new URL(process.env.CULTIVAR_URL);
      const devtools = await lab.page.createCDPSession();
      await devtools.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1_000_000 });
      await lab.drop(gguf);
      const message = await lab.message("sprout.slm could not be imported");
      assert.match(message.text, /browser has no room/);
      assert.match(message.advice, /Delete models.*smaller format/);
      assert.deepEqual(await keptNames(lab), []);
      if (!prepare) assert.deepEqual(await storedFiles(lab), []);
      await devtools.send("Storage.overrideQuotaForOrigin", { origin });
      await lab.drop(gguf);
      await lab.opened("sprout.slm");
    });
}

test("a broken GGUF file is named with its reason, and the page goes on", { skip }, async () => {
  const lab = await openLab(context);
  const rows = [
    ["cut.gguf", gguf.bytes.subarray(0, gguf.bytes.length / 2), /cut\.gguf/],
    ["head.gguf", gguf.bytes.subarray(0, 700), /head\.gguf/],
    ["version.gguf", Buffer.concat([Buffer.from("GGUF\x09\0\0\0"), Buffer.alloc(90)]), /version/i],
  ];
  for (const [name, bytes, words] of rows) {
    await lab.drop({ name, bytes });
    const message = await lab.message("could not be imported");
    assert.match(message.text, words);
    assert.equal(message.role, "alert");
    await lab.dismissAll();
  }
  assert.deepEqual([await keptNames(lab), await storedFiles(lab)], [[], []]);
  await lab.drop(gguf);
  await lab.opened("sprout.slm");
  assert.deepEqual(lab.problems, []);
});

test("a model that may not fit is asked about first; the answer counts", { skip }, async () => {
  const prepare = () =>
    Object.defineProperty(Navigator.prototype, "deviceMemory", { get: () => 0.002 });
  const lab = await openLab(context, { prepare });
  await lab.drop(gguf);
  await lab.press("Go on anyway");
  await lab.opened("sprout.slm");
  await reload(lab);
  await lab.press("Open");
  const asked = await lab.page.waitForSelector(".job-question:not([hidden])");
  assert.match(await asked.evaluate((node) => node.textContent),
    /needs about 3\.\d+ MiB.*page here has about 1\.54 MiB.*weights as q4_0/);
  await lab.press("Stop");
  await lab.message("sprout.slm was not opened");
  assert.deepEqual(await keptNames(lab), ["sprout.slm"]);
});
