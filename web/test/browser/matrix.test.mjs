/** The determinism matrix in Chromium, with both modules. */
import test, { after, before } from "node:test";
import { checkOutcome, matrixUrl } from "../matrix/outcome.mjs";
import { launch, noBrowser } from "./lab-browser.mjs";

let chrome;
before(async () => {
  if (!noBrowser) chrome = await launch();
});
after(() => chrome?.close());

for (const module of ["simd128", "relaxed"]) {
  test(`${module}: one digest in all cells`, { skip: noBrowser }, async (t) => {
    const page = await chrome.browser.newPage();
    await page.goto(matrixUrl(module));
    const done = await page.waitForSelector("body[data-outcome]", { timeout: 600_000 });
    checkOutcome(t, await done.evaluate((body) => body.dataset.outcome), module);
    await page.close();
  });
}
