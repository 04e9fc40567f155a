/**
 * The demo family's accuracy matrix in Chromium: the right answers and the run digests of a native
 * run, in every cell. A sample; all cases with CULTIVAR_FULL.
 */
import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { launch, noBrowser } from "./lab-browser.mjs";

const { CULTIVAR_URL, CULTIVAR_FULL } = process.env;

const MINUTES = CULTIVAR_FULL ? 60 : 3;

let chrome;
before(async () => {
  if (!noBrowser) chrome = await launch();
});
after(() => chrome?.close());

test("skills, pairs and all five answer as natively, with the same run digests",
  { skip: noBrowser }, async (t) => {
    const page = await chrome.browser.newPage();
    page.setDefaultTimeout(60_000);
    const query = CULTIVAR_FULL ? "?all" : "";
    await page.goto(`${CULTIVAR_URL}sources/test/family/page.html${query}`);
    // One wait may not be longer than what the browser's driver gives a call.
    let done = null;
    for (let n = 0; !done && n < MINUTES; n += 1) {
      done = await page.waitForSelector("body[data-outcome]").catch(() => null);
    }
    assert.ok(done, "no outcome");
    const { module, nCases, wrong, error } =
      JSON.parse(await done.evaluate((body) => body.dataset.outcome));
    assert.deepEqual(wrong, [], error);
    t.diagnostic(`${nCases} cases with ${module}`);
    await page.close();
  });
