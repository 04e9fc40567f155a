/**
 * A real pretrained model in the page: its two files dropped in every way a person might, and
 * its text at temperature 0 equal to the reference, token by token.
 */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { unfoldLibrary } from "./foreign-files.mjs";
import { dataFile, dataJson, launch, noData, openLab } from "./lab-browser.mjs";

const CHECKPOINT = "models/stories260K/stories260K.bin";
const TOKENIZER = "models/stories260K/tok512.bin";

let chrome;
before(async () => {
  if (!noData) chrome = await launch();
});
after(() => chrome?.close());

test("both files dropped together give the reference's text", { skip: noData }, async () => {
  const lab = await openLab(chrome.browser);
  await lab.drop(await dataFile(CHECKPOINT), await dataFile(TOKENIZER));
  await lab.opened("stories260K.slm");
  const { prompts } = await dataJson("reference/stories260K.json");
  assert.ok(prompts.length > 0);
  for (const { prompt, token_ids, greedy_ids, greedy_text } of prompts) {
    const shown = await lab.run({ prompt, temperature: 0, max_tokens: greedy_ids.length });
    const { run } = shown.diagnostics;
    assert.deepEqual(run.prompt_ids, token_ids, prompt);
    assert.deepEqual(run.output_ids, greedy_ids, prompt);
    assert.equal(shown.prompt, prompt);
    assert.equal(shown.prompt + shown.text, greedy_text);
    assert.equal(shown.run_digest, run.run_digest);
    assert.match(shown.run_digest, /^[0-9a-f]{64}$/);
  }
  assert.deepEqual(lab.problems, []);
});

test("one file after the other, in any order", { skip: noData }, async () => {
  const halves = [await dataFile(TOKENIZER), await dataFile(CHECKPOINT)];
  for (const [first, second] of [halves, [...halves].reverse()]) {
    const lab = await openLab(chrome.browser);
    await lab.drop(first);
    await lab.page.waitForFunction((name) =>
      document.querySelector(".kept").textContent.includes(name), {}, first.name);
    const missing = await lab.page.$eval(".kept-missing", (node) => node.textContent);
    assert.match(missing, first === halves[0] ? /checkpoint/ : /tokenizer/);
    await lab.drop(second);
    await lab.opened("stories260K.slm");
    await lab.page.close();
  }
});

test("the card names the model, its formats, its identities and its needs", { skip: noData },
  async () => {
    const lab = await openLab(chrome.browser);
    await lab.set("format", "q8_0");
    await lab.drop(await dataFile(TOKENIZER), await dataFile(CHECKPOINT));
    await lab.opened("stories260K-q8_0.slm");
    const card = await lab.page.$eval("#card-place", (node) => node.innerText);
    for (const words of ["stories260K", "llama", "q8_0 ×", "512 tokens", "sentencepiece bpe",
      "Memory needed", "Licence", "Identities", "Weights", "Imported from"]) {
      assert.ok(card.includes(words), `the card lacks “${words}”:\n${card}`);
    }
    assert.match((await lab.run({ max_tokens: 16 })).text, /^, there was a little girl/);
  });

test("import again as q4_0, save it, open what was saved", { skip: noData }, async () => {
  const lab = await openLab(chrome.browser);
  await lab.drop(await dataFile(TOKENIZER), await dataFile(CHECKPOINT));
  await lab.opened("stories260K.slm");
  await lab.set("format", "q4_0");
  await lab.press("Import again as q4_0");
  await lab.opened("stories260K-q4_0.slm");
  const folder = await mkdtemp(join(tmpdir(), "cultivar-saved-"));
  const session = await chrome.browser.target().createCDPSession();
  const behavior = { behavior: "allow", downloadPath: folder, eventsEnabled: true };
  await session.send("Browser.setDownloadBehavior", behavior);
  const isSaved = new Promise((done) => session.on("Browser.downloadProgress", ({ state }) => {
    if (state === "completed") done();
  }));
  const digest = (await lab.run({ max_tokens: 20 })).run_digest;
  await unfoldLibrary(lab);
  await lab.press("Save .slm");
  await isSaved;
  const bytes = await readFile(join(folder, "stories260K-q4_0.slm"));
  await rm(folder, { recursive: true });
  const other = await openLab(chrome.browser);
  await other.drop({ name: "saved.slm", bytes });
  await other.opened("saved.slm");
  assert.equal((await other.run({ max_tokens: 20 })).run_digest, digest);
});

test("a link reproduces the run, digest and all", { skip: noData }, async () => {
  const lab = await openLab(chrome.browser);
  await lab.drop(await dataFile(TOKENIZER), await dataFile(CHECKPOINT));
  await lab.opened("stories260K.slm");
  const first = await lab.run({
    prompt: "The dog & the “cat”", temperature: 0.9, top_k: 60, top_p: 0.9, seed: 7,
    max_tokens: 40,
  });
  const wait = () => location.hash.includes("seed=7") && location.hash.includes("weights=");
  await lab.page.waitForFunction(wait);
  const fragment = await lab.page.evaluate(() => location.hash);
  const other = await openLab(chrome.browser, { fragment });
  await other.drop(await dataFile(TOKENIZER), await dataFile(CHECKPOINT));
  await other.opened("stories260K.slm");
  const second = await other.run();
  assert.equal(second.text, first.text);
  assert.equal(second.run_digest, first.run_digest);
  assert.equal(await other.page.$eval(".card-other", (node) => node.hidden), true);
  const seeded = await other.run({ seed: 8 });
  assert.notEqual(seeded.run_digest, first.run_digest);
});

test("a run stops on Escape and on the button, and the next one works", { skip: noData },
  async () => {
    const lab = await openLab(chrome.browser);
    await lab.drop(await dataFile(TOKENIZER), await dataFile(CHECKPOINT));
    await lab.opened("stories260K.slm");
    await lab.set("max_tokens", 400);
    await lab.page.focus('[name="prompt"]');
    await lab.page.keyboard.down("Control");
    await lab.page.keyboard.press("Enter");
    await lab.page.keyboard.up("Control");
    await lab.page.waitForFunction(() =>
      document.querySelector(".output-written").textContent.length > 0);
    await lab.page.keyboard.press("Escape");
    await lab.page.waitForSelector('#output[data-status="done"]');
    const stopped = await lab.result();
    assert.ok(["stopped by you", "max tokens reached"].includes(stopped.state), stopped.state);
    const next = await lab.run({ max_tokens: 5 });
    assert.equal(next.state, "max tokens reached");
    assert.equal(next.diagnostics.run.output_ids.length, 5);
  });
