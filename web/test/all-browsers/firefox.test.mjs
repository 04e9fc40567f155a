/**
 * The determinism matrix and a kept model in Firefox,
 * driven over WebDriver BiDi. FIREFOX names the program,
 * CULTIVAR_TOOLS the folder of node_modules; `cargo xtask test --all-browsers` sets both.
 */
import { createRequire } from "node:module";
import test, { after, before } from "node:test";
import { checkOutcome, matrixUrl, noSite } from "../matrix/outcome.mjs";
import { checkKept } from "./kept-model.mjs";

const { CULTIVAR_TOOLS, FIREFOX } = process.env;
const skip = noSite || (FIREFOX && CULTIVAR_TOOLS ? false : "FIREFOX is not set");
let browser;
before(async () => {
  if (skip) return;
  const puppeteer = createRequire(`${CULTIVAR_TOOLS}/`)("puppeteer-core");
  browser = await puppeteer.launch({
    browser: "firefox", executablePath: FIREFOX, headless: true, timeout: 120_000,
  });
});
after(() => browser?.close());

const timeout = 300_000;
test("a model is imported, kept in files and opened again", { skip, timeout }, async () => {
  const page = await browser.newPage();
  const run = (script) => page.evaluate(`(() => {${script}})()`);
  const until = async (script) => {
    const found = await page.waitForFunction(`(() => {
      const value = (() => {${script}})();
      return value === null || value === undefined ? false : { value };
    })()`, { timeout: 240_000, polling: 500 });
    return found.evaluate(({ value }) => value);
  };
  await checkKept({ open: (url) => page.goto(url), run, until }, { inDatabase: false });
  await page.close();
});

for (const module of ["simd128", "relaxed"]) {
  test(`${module}: one digest in all cells`, { skip }, async (t) => {
    const page = await browser.newPage();
    await page.goto(matrixUrl(module));
    const done = await page.waitForSelector("body[data-outcome]", { timeout: 900_000 });
    checkOutcome(t, await done.evaluate((body) => body.dataset.outcome), module);
    await page.close();
  });
}
