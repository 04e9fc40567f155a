/**
 * Adapters on the page: dropped with their base, reordered and weighed by keyboard, compared with
 * the base; what does not fit is refused by name and changes nothing.
 */
import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { goldenFile, launch, noBrowser, openLab } from "./lab-browser.mjs";
import {
  assembly, assemblyIs, family, golden, mixed, names, openMix, sla, weigh,
} from "./mixer-hands.mjs";

let chrome;
before(async () => {
  if (!noBrowser) chrome = await launch();
});
after(() => chrome?.close());

test("base and adapters in one drop: the golden mix's assembly and digest", { skip: noBrowser },
  async () => {
    const run = golden.runs[2];
    const lab = await openMix(chrome.browser, ...run.adapters.map(({ file }) => file));
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

test("by keyboard: reorder with arrow keys, weigh, mute; a link brings the mix back",
  { skip: noBrowser }, async () => {
    const lab = await openMix(chrome.browser, "low-rank.sla", "sparse.sla");
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
  const lab = await openMix(chrome.browser, ...run.adapters.map(({ file }) => file));
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
    const lab = await openMix(chrome.browser, "sparse.sla", "low-rank.sla");
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
