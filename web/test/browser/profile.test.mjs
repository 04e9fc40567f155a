/** Time by operator in Chromium: asked for, runs have it in the diagnostics, and their bits. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test, { after, before } from "node:test";
import { launch, noBrowser, openLab } from "./lab-browser.mjs";

const DEMO = new URL("../../../fixtures/family/demo.json", import.meta.url);
let chrome;
before(async () => {
  if (!noBrowser) chrome = await launch();
});
after(() => chrome?.close());

test("the diagnostics tell time by operator when asked", { skip: noBrowser }, async () => {
  const told = JSON.parse(await readFile(DEMO, "utf8"));
  const fragment = `#${new URLSearchParams({ v: 1, prompt: told.prompt, ...told.settings })}`;
  const lab = await openLab(chrome.browser, { fragment });
  const { page } = lab;
  await page.$eval(".diagnostics-panel", (panel) => (panel.open = true));
  const asked = page.waitForNavigation();
  await page.$$eval(".diagnostics-panel button", (all) =>
    all.find((one) => one.textContent === "Reload to time operators").click());
  await asked;
  assert.match(page.url(), /\?profile#v=1&/, "settings stay");
  await page.waitForSelector('.engine-badge[data-status="ready"]');
  await page.click("#load-demo");
  await lab.opened("sprout.slm");
  await page.click("#run");
  await page.waitForFunction(() => document.getElementById("output").dataset.status === "done");
  const { run } = await lab.diagnostics();
  assert.equal(run.run_digest, told.run_digest);
  const table = await page.waitForFunction(() =>
    [...document.querySelectorAll(".diagnostics table")]
      .find((one) => one.caption.textContent.includes("profile")));
  const rows = await table.evaluate((one) => [...one.rows].map((row) => row.innerText));
  assert.equal(rows.length, 12);
  assert.ok(rows.some((row) => /^attention\t[\d.]+ .?s$/.test(row)), rows.join("; "));
  assert.deepEqual(lab.problems, []);
  await page.close();
});
