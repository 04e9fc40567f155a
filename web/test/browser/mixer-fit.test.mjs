/**
 * How adapters fit, as the page shows it: again after every change of the mix, with the others on
 * the stack, and of those that were refused; and the mixer on a phone, which folds.
 */
import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { goldenFile, launch, noBrowser, openLab } from "./lab-browser.mjs";
import { assemblyIs, family, golden, mixed, openMix, sla, weigh } from "./mixer-hands.mjs";

let chrome;
before(async () => {
  if (!noBrowser) chrome = await launch();
});
after(() => chrome?.close());

/** Waits until the `nth` row's report says this of a field; gives all of its rows. */
const fieldIs = (page, nth, field, words) => page.waitForFunction((place, name, wanted) => {
  const rows = [...document.querySelectorAll(`.adapter:nth-child(${place}) .facts > div`)];
  const isSaid = rows.find((row) => row.querySelector("dt").textContent === name)
    ?.querySelector("dd").textContent.startsWith(wanted);
  const isShown = rows[0]?.parentNode.hidden === false;
  return isSaid && isShown ? rows.map((row) => row.textContent) : false;
}, {}, nth, field, words).then((found) => found.jsonValue());

test("a report follows the mix: its own weight and those of the others", { skip: noBrowser },
  async () => {
    const lab = await openMix(chrome.browser, "low-rank.sla", "raw.sla");
    const { page } = lab;
    await page.click(".adapter:nth-child(1) summary");
    const rows = await fieldIs(page, 1, "fused", "matches");
    assert.equal(rows.length, 7, rows.join("\n"));
    // Too much of it, and too much of another below or above it.
    for (const name of ["random 1", "random 2"]) {
      await weigh(page, name, 1e30);
      const refused = await fieldIs(page, 1, "fused", "does not fit");
      assert.match(refused.join(), /fused.*weight/i);
      await weigh(page, name, 0.5);
      await fieldIs(page, 1, "fused", "matches");
    }
    await weigh(page, "random 2", 1e30);
    await fieldIs(page, 1, "fused", "does not fit");
    await page.click('[aria-label="Mute random 2"]');
    await fieldIs(page, 1, "fused", "matches");
    // What nobody looks at is not checked.
    await page.click(".adapter:nth-child(1) summary");
    await weigh(page, "random 1", -1);
    assert.deepEqual(lab.problems, []);
    await page.close();
  });

test("an adapter that was refused says what does not fit and what to do", { skip: noBrowser },
  async () => {
    const lab = await openLab(chrome.browser);
    const { page } = lab;
    await lab.drop(await family("sprout.slm"));
    await lab.opened("sprout.slm");
    await lab.drop(await sla("raw.sla"));
    await lab.message("raw.sla was not added");
    await page.waitForSelector(".refused-adapter");
    const row = await page.$eval(".refused-adapter", (node) => ({
      text: node.textContent,
      refused: [...node.querySelectorAll('[data-fit="refused"]')].map((field) =>
        field.parentNode.querySelector("dt").textContent),
    }));
    assert.ok(row.refused.includes("architecture"), row.text);
    assert.match(row.text, /raw\.sla.*not added/);
    assert.match(row.text, /distil|import/i);
    await page.click('[aria-label="Forget raw.sla"]');
    await page.waitForFunction(() => !document.querySelector(".refused-adapter"));
    // What is damaged has no fields to compare.
    await lab.drop({ name: "cut.sla", bytes: (await sla("raw.sla")).bytes.subarray(0, 900) });
    await lab.message("cut.sla was not added");
    assert.equal(await page.$(".refused-adapter"), null);
    await page.close();
  });

test("the assembly is in view without any adapter, and on a phone beside a folded mixer",
  { skip: noBrowser }, async () => {
    const lab = await openLab(chrome.browser, { width: 390, height: 844 });
    const { page } = lab;
    await lab.drop(await goldenFile(golden.base));
    await lab.opened(golden.base);
    await assemblyIs(page, golden.runs[0].assembly);
    await lab.drop(await sla("sparse.sla"), await sla("low-rank.sla"));
    await mixed(page, 2);
    const isShown = (selector) => page.$eval(selector, (node) => node.checkVisibility());
    const shown = [".mix-fold > summary", ".assembly", ".weight"].map(isShown);
    assert.deepEqual(await Promise.all(shown), [true, true, false]);
    assert.match(await page.$eval(".mix-fold > summary", (node) => node.textContent), /\(2\)/);
    await page.focus(".mix-fold > summary");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelector(".weight").checkVisibility());
    await weigh(page, "random 3", 2);
    await assemblyIs(page, golden.runs[3].assembly);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
    assert.deepEqual(lab.problems, []);
    await page.close();
  });
