/**
 * The determinism matrix and a kept model in WebKitGTK,
 * driven by its WebDriver on a display of its own. WEBKIT
 * names the browser's program; `cargo xtask test --all-browsers` sets it.
 */
import test, { after, before } from "node:test";
import { checkOutcome, matrixUrl, noSite } from "../matrix/outcome.mjs";
import { checkKept } from "./kept-model.mjs";
import { DrivenBrowser } from "./webdriver.mjs";

const { WEBKIT } = process.env;
const skip = noSite || (WEBKIT ? false : "WEBKIT is not set");
let browser;
before(async () => {
  if (skip) return;
  const about = { binary: WEBKIT, args: ["--automation"] };
  const alwaysMatch = { browserName: "MiniBrowser", "webkitgtk:browserOptions": about };
  // Its sandbox needs user namespaces, which containers do not give; the page is our own.
  const env = { WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1" };
  const driver = ["xvfb-run", "-a", "WebKitWebDriver"];
  browser = await DrivenBrowser.start(driver, { alwaysMatch }, env);
});
after(() => browser?.close());

test("a model is imported, kept in the database and opened again", { skip, timeout: 300_000 },
  () => checkKept(browser, { inDatabase: true }));

for (const module of ["simd128", "relaxed"]) {
  test(`${module}: one digest in all cells`, { skip, timeout: 1_200_000 }, async (t) => {
    await browser.open(matrixUrl(module));
    const outcome = await browser.until("return document.body.dataset.outcome ?? null;");
    // WebKit compiles relaxed SIMD only where a build switches it on.
    checkOutcome(t, outcome, module, { mayLack: "relaxed" });
  });
}
