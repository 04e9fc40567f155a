/**
 * Tokens coloured by probability in Chromium: asked for only then, changing no bit; alternatives
 * by mouse and keyboard; going on from another token; text of a model is never markup.
 */
import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { launch, noBrowser, openLab } from "./lab-browser.mjs";

let chrome;
before(async () => {
  if (!noBrowser) chrome = await launch();
});
after(() => chrome?.close());

async function openDemo(fragment = "") {
  const lab = await openLab(chrome.browser, { fragment });
  await lab.page.click("#load-demo");
  await lab.opened("sprout.slm");
  return lab;
}

const opened = (page) => page.waitForSelector(".alternatives:popover-open");

test("colours change no bit, and nothing is asked for without them", { skip: noBrowser },
  async () => {
    const lab = await openDemo();
    const plain = await lab.run();
    assert.equal(plain.diagnostics.run.settings.logprobs, null);
    assert.equal(await lab.page.$(".token[data-nth]"), null);
    await lab.page.click("#colour");
    const coloured = await lab.run();
    assert.equal(coloured.text, plain.text);
    assert.equal(coloured.run_digest, plain.run_digest);
    assert.equal(coloured.diagnostics.run.settings.logprobs, 8);
    const marks = await lab.page.$$eval(".token[data-nth]", (all) =>
      all.map((one) => one.dataset.p));
    assert.ok(marks.length > 20);
    assert.ok(marks.every((mark) => /^[0-4]$/.test(mark)));
    assert.ok(new Set(marks).size > 2);
    await lab.page.click("#colour");
    await lab.page.waitForFunction(() => !document.querySelector(".token[data-nth]"));
    assert.equal((await lab.result()).text, plain.text);
    assert.deepEqual(lab.problems, []);
    await lab.page.close();
  });

test("by keyboard: from token to token, its alternatives, and on from another one",
  { skip: noBrowser }, async () => {
    const lab = await openDemo();
    const { page } = lab;
    await page.click("#colour");
    const first = await lab.run();
    await page.focus(".token[data-nth]");
    for (let step = 0; step < 3; step += 1) await page.keyboard.press("ArrowRight");
    assert.equal(await page.evaluate(() => document.activeElement.dataset.nth), "3");
    await page.keyboard.press("Enter");
    await opened(page);
    const shares = await page.$$eval(".alternatives li button > span", (all) =>
      all.map((one) => parseFloat(one.textContent.replace("<", ""))));
    assert.ok(shares.length >= 8);
    assert.ok(shares.reduce((sum, share) => sum + share) < 101);
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => document.activeElement.dataset.nth === "3");
    await page.keyboard.press("Enter");
    await opened(page);
    const words = await page.$eval(".alternatives button:not([aria-current])", (button) => {
      button.focus();
      return button.querySelector("code").textContent.replaceAll("␣", " ");
    });
    await page.keyboard.press("Enter");
    await page.waitForFunction(() =>
      document.querySelector('.branches[aria-label="Branches: answer"] .branch-place')
        .textContent === "2/2");
    await page.waitForSelector('#output[data-status="done"]');
    const branch = await lab.result();
    const kept = await page.$$eval(".token[data-nth]", (all) =>
      all.slice(0, 4).map((one) => one.textContent));
    assert.equal(kept[3], words);
    assert.ok(first.text.startsWith(kept.slice(0, 3).join("")));
    assert.notEqual(branch.text, first.text);
    const { diagnostics, output_ids } = branch.diagnostics.run;
    assert.ok(diagnostics.n_rows <= output_ids.length + 2, "the prompt was read again");
    await page.click('[aria-label="Previous answer"]');
    await page.waitForFunction((text) =>
      document.querySelector(".output-written").textContent === text, {}, first.text);
    await page.close();
  });

test("under a grammar the alternatives are shown and none can be chosen", { skip: noBrowser },
  async () => {
    const lab = await openDemo("#v=1&prompt=x&constrain=json&logprobs=4&max_tokens=12");
    await lab.run();
    await lab.page.click(".token[data-nth]");
    await opened(lab.page);
    const buttons = await lab.page.$$eval(".alternatives li button", (all) =>
      all.map((one) => one.ariaDisabled));
    assert.ok(buttons.every((isDisabled) => isDisabled === "true"));
    await lab.page.close();
  });

test("what a prompt or a model says is never markup", { skip: noBrowser }, async () => {
  const markup = "<img src=x onerror=alert(1)><b>copy</b>";
  const lab = await openDemo();
  const shown = await lab.run({ prompt: markup, max_tokens: 8 });
  assert.equal(shown.prompt, markup);
  assert.equal(await lab.page.$("#workbench img, #workbench b"), null);
  await lab.page.close();
});
