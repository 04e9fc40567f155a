/**
 * Adapters on the page: dropped with their base, mixed while text streams, compared with the base,
 * saved and loaded again; what does not fit is refused by name and changes nothing.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test, { after, before } from "node:test";
import { Cultivar } from "../../runtime/cultivar.js";
import { KitWorker, MODULES_URL, serveFiles } from "../runtime/kit-fixtures.mjs";
import { goldenFile, launch, noBrowser, openLab } from "./lab-browser.mjs";

const golden = JSON.parse((await goldenFile("adapters/mixes.json")).bytes);
const sla = async (name) => ({ ...await goldenFile(`adapters/${name}`), name });
const family = async (path) => ({
  name: path, bytes: await readFile(new URL(`../../../fixtures/family/${path}`, import.meta.url)),
});

let chrome;
before(async () => {
  if (!noBrowser) chrome = await launch();
});
after(() => chrome?.close());

/** Waits for so many adapters with their assembly known; gives it. */
async function mixed(page, n) {
  await page.waitForFunction((wanted) =>
    document.querySelectorAll(".adapter").length === wanted
      && document.querySelector(".assembly code").title.length === 64, {}, n);
  return assembly(page);
}
const assembly = (page) => page.$eval(".assembly code", (node) => node.title);
const names = (page) =>
  page.$$eval(".adapter-name", (nodes) => nodes.map(({ textContent }) => textContent));

/** Types an adapter's weight. */
const weigh = (page, name, weight) => page.evaluate((label, text) => {
  const field = [...document.querySelectorAll(".weight-number")]
    .find((node) => node.getAttribute("aria-label").startsWith(`Weight of ${label},`));
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}, name, String(weight));

const assemblyIs = (page, wanted) => page.waitForFunction((hex) =>
  document.querySelector(".assembly code").title === hex, {}, wanted);

async function openMix(...files) {
  const lab = await openLab(chrome.browser);
  const adapters = await Promise.all(files.map(sla));
  await lab.drop(await goldenFile(golden.base), ...adapters);
  await lab.opened(golden.base);
  await mixed(lab.page, files.length);
  return lab;
}

test("base and adapters in one drop: the golden mix's assembly and digest", { skip: noBrowser },
  async () => {
    const run = golden.runs[2];
    const lab = await openMix(...run.adapters.map(({ file }) => file));
    const { page } = lab;
    for (const [idx, { weight }] of run.adapters.entries()) {
      await weigh(page, `random ${idx + 1}`, weight);
    }
    await assemblyIs(page, run.assembly);
    const shown = await lab.run({ prompt: golden.prompt, ...golden.settings });
    assert.equal(shown.run_digest, run.run_digest);
    assert.equal(shown.diagnostics.run.diagnostics.assembly, run.assembly);
    assert.equal(shown.diagnostics.run.diagnostics.n_adapters, 3);
    // Muted, an adapter weighs nothing; soloed, the others do.
    await page.click('[aria-label="Mute random 1"]');
    assert.notEqual(await mixed(page, 3), run.assembly);
    await page.click('[aria-label="Mute random 1"]');
    await assemblyIs(page, run.assembly);
    await page.click('[aria-label="Remove random 2"]');
    await mixed(page, 2);
    assert.deepEqual(await names(page), ["random 1", "random 3"]);
    assert.deepEqual(lab.problems, []);
    await page.close();
  });

test("a slider that moves while text streams is heard by the running session",
  { skip: noBrowser }, async () => {
    const lab = await openMix("low-rank.sla");
    const { page } = lab;
    await weigh(page, "random 1", 0);
    const long = { max_tokens: 500000, context_shift: 4 };
    const settings = { prompt: golden.prompt, temperature: 0, ...long };
    for (const [name, value] of Object.entries(settings)) await lab.set(name, value);
    await page.waitForSelector('#run[aria-disabled="false"]');
    await page.click("#run");
    await page.waitForFunction(() => document.getElementById("output").dataset.status === "running"
      && document.querySelector(".output-written").textContent.length > 4);
    await page.focus('[aria-label="Weight of random 1"]');
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction(() => document.querySelector(".weight-number").value === "0.05");
    const before = await page.$eval(".output-written", (node) => node.textContent);
    await page.waitForFunction((n) =>
      document.querySelector(".output-written").textContent.length > n + 40, {}, before.length);
    await lab.press("Re-read prompt");
    await page.click("#stop");
    await page.waitForSelector('#output[data-status="done"]');
    const { diagnostics } = await lab.result();
    assert.equal(diagnostics.run.diagnostics.assembly, await assembly(page));
    await page.close();
  });

test("by keyboard: reorder with arrow keys, weigh, mute; a link brings the mix back",
  { skip: noBrowser }, async () => {
    const lab = await openMix("low-rank.sla", "sparse.sla");
    const { page } = lab;
    await weigh(page, "random 3", 2);
    await page.focus(".adapter:nth-child(2) .grip");
    await page.keyboard.press("ArrowUp");
    await page.waitForFunction(() =>
      document.querySelector(".adapter-name").textContent === "random 3");
    const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label"));
    await page.waitForFunction(() => document.activeElement.className.includes("grip"));
    assert.match(await focused(), /^Move random 3, 1 of 2/);
    const run = golden.runs[3];
    await assemblyIs(page, run.assembly);
    await page.waitForFunction(() => location.hash.includes("mix="));
    const fragment = await page.evaluate(() => location.hash);

    const other = await openLab(chrome.browser, { fragment });
    await other.drop(await goldenFile(golden.base));
    await other.opened(golden.base);
    await other.drop(await sla("low-rank.sla"));
    await mixed(other.page, 1);
    assert.match(await other.page.$eval(".mixer", (node) => node.textContent), /link’s mix also/);
    await other.drop(await sla("sparse.sla"));
    await assemblyIs(other.page, run.assembly);
    const shown = await other.run({ prompt: golden.prompt, ...golden.settings });
    assert.equal(shown.run_digest, run.run_digest);
    // What is no number is said to be none and changes nothing.
    await weigh(other.page, "random 1", "1,5");
    await other.page.waitForSelector('.weight-number[aria-invalid="true"]');
    assert.equal(await assembly(other.page), run.assembly);
    await page.close();
    await other.page.close();
  });

test("base and mix side by side have their own digests", { skip: noBrowser }, async () => {
  const run = golden.runs[2];
  const lab = await openMix(...run.adapters.map(({ file }) => file));
  for (const [idx, { weight }] of run.adapters.entries()) {
    await weigh(lab.page, `random ${idx + 1}`, weight);
  }
  await assemblyIs(lab.page, run.assembly);
  for (const [name, value] of Object.entries({ prompt: golden.prompt, ...golden.settings })) {
    await lab.set(name, value);
  }
  await lab.press("Compare with base");
  await lab.page.waitForFunction(() =>
    document.querySelector(".comparison")?.dataset.status === "done"
      && document.querySelectorAll(".comparison .assembly:not([hidden])").length === 2);
  const digests = await lab.page.$$eval(".comparison code", (nodes) => nodes.map((n) => n.title));
  assert.deepEqual(digests, [golden.runs[0].run_digest, run.run_digest]);
  const texts = await lab.page.$$eval(".comparison .output-written",
    (nodes) => nodes.map(({ textContent }) => textContent));
  assert.notEqual(texts[0], texts[1]);
  await lab.page.click('[aria-label="Close the comparison"]');
  await lab.page.waitForFunction(() => document.querySelector(".comparison").hidden);
  await lab.page.close();
});

test("an adapter of another model is refused by name; the mix and its run stay",
  { skip: noBrowser }, async () => {
    const run = golden.runs[3];
    const lab = await openMix("sparse.sla", "low-rank.sla");
    await weigh(lab.page, "random 3", 2);
    await assemblyIs(lab.page, run.assembly);
    const whole = await sla("raw.sla");
    const damaged = Uint8Array.from(whole.bytes);
    damaged[damaged.length - 9] ^= 1;
    for (const [file, words] of [
      [{ name: "short.sla", bytes: whole.bytes.subarray(0, 900) }, /damaged|cut short/],
      [{ name: "damaged.sla", bytes: damaged }, /damaged|cut short/],
    ]) {
      await lab.drop(file);
      const message = await lab.message(`${file.name} was not added`);
      assert.match(message.advice, words);
      assert.equal(message.role, "alert");
    }
    assert.equal(await mixed(lab.page, 2), run.assembly);
    const shown = await lab.run({ prompt: golden.prompt, ...golden.settings });
    assert.equal(shown.run_digest, run.run_digest);
    // Before any model there is nothing to add it to.
    const empty = await openLab(chrome.browser);
    await empty.drop(whole);
    assert.match((await empty.message("raw.sla was not opened")).advice, /open the model/);
    await empty.drop(await family("sprout.slm"));
    await empty.opened("sprout.slm");
    await empty.drop(whole);
    assert.match((await empty.message("raw.sla was not added")).text, /another architecture/);
    await lab.page.close();
    await empty.page.close();
  });

/** Keeps what the page saves, in place of a download folder. */
function keepSaved() {
  const make = URL.createObjectURL.bind(URL);
  window.saved = [];
  URL.createObjectURL = (blob) => {
    window.saved.push(blob);
    return make(blob);
  };
}

/** What the exact concatenation of two of the demo's adapters gives, by the kit in Node. */
async function predicted(weights, settings, prompt) {
  serveFiles();
  const kit = await Cultivar.open({ baseUrl: MODULES_URL, spawnWorker: () => new KitWorker() });
  const base = new Blob([(await family("sprout.slm")).bytes]);
  const adapters = [];
  for (const [name, weight] of weights) {
    const parts = await Promise.all(["adapter_config.json", "adapter_model.safetensors"]
      .map(async (part) => Object.assign(
        new Blob([(await family(`adapters/${name}/${part}`)).bytes]), { name: part })));
    adapters.push({ adapter: (await kit.importAdapter(parts, { base, name })).blob, weight });
  }
  const { blob } = await kit.mergeAdapters(adapters, { base, name: "sprout-mix" });
  const model = await kit.openPackage(base);
  const session = await model.createSession(settings, [{ adapter: await model.openAdapter(blob) }]);
  for await (const token of session.generate(prompt)) void token;
  const report = await session.report();
  kit.close();
  return report;
}

test("a mix that is saved, and loaded after a reload, is the exact concatenation",
  { skip: noBrowser }, async () => {
    const weights = [["fact", 0.75], ["add", -0.5]];
    const lab = await openLab(chrome.browser, { prepare: keepSaved });
    const { page } = lab;
    await page.click("#load-demo");
    await lab.opened("sprout.slm");
    await lab.press("Add the demo adapters");
    await mixed(page, 5);
    for (const name of ["plural", "reverse", "json"]) await weigh(page, name, 0);
    for (const [name, weight] of weights) await weigh(page, name, weight);
    const settings = { temperature: 0.7, seed: "3", max_tokens: 60 };
    const live = await lab.run({ prompt: "Once there was", ...settings });
    await lab.press("Save mix as adapter");
    await page.waitForFunction(() => window.saved.length === 1);
    const base64 = await page.evaluate(async () => {
      const bytes = new Uint8Array(await window.saved[0].arrayBuffer());
      return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
    });
    const again = await openLab(chrome.browser);
    await again.page.click("#load-demo");
    await again.opened("sprout.slm");
    await again.drop({ name: "mix.sla", bytes: Buffer.from(base64, "base64") });
    await mixed(again.page, 1);
    const loaded = await again.run({ prompt: "Once there was", ...settings });
    assert.equal(loaded.text, live.text);
    const all = { top_k: 40, top_p: 0.95, ...settings };
    assert.equal(loaded.run_digest, (await predicted(weights, all, "Once there was")).run_digest);
    await page.close();
    await again.page.close();
  });
