/**
 * What a person does in the mixer, for browser tests: open a mix of golden adapters, weigh, begin a
 * run that goes on and stop it. Asserts nothing itself.
 */
import { readFile } from "node:fs/promises";
import { goldenFile, openLab } from "./lab-browser.mjs";

/** Golden mixes with their digests. */
export const golden = JSON.parse((await goldenFile("adapters/mixes.json")).bytes);
/** A golden adapter as `drop` takes it. */
export const sla = async (name) => ({ ...await goldenFile(`adapters/${name}`), name });
/** A file of the demo family as `drop` takes it. */
export const family = async (path) => ({
  name: path, bytes: await readFile(new URL(`../../../fixtures/family/${path}`, import.meta.url)),
});

/** Waits for so many adapters with their assembly known; gives it. */
export async function mixed(page, n) {
  await page.waitForFunction((wanted) =>
    document.querySelectorAll(".adapter").length === wanted
      && document.querySelector(".assembly code").title.length === 64, {}, n);
  return assembly(page);
}
/** The assembly on show. */
export const assembly = (page) => page.$eval(".assembly code", (node) => node.title);
/** Names of the adapters in order. */
export const names = (page) =>
  page.$$eval(".adapter-name", (nodes) => nodes.map(({ textContent }) => textContent));

/** Types an adapter's weight. */
export const weigh = (page, name, weight) => page.evaluate((label, text) => {
  const field = [...document.querySelectorAll(".weight-number")]
    .find((node) => node.getAttribute("aria-label").startsWith(`Weight of ${label},`));
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}, name, String(weight));

/** Waits for an assembly. */
export const assemblyIs = (page, wanted) => page.waitForFunction((hex) =>
  document.querySelector(".assembly code").title === hex, {}, wanted);

/** Opens the golden base with these adapters, in one drop. */
export async function openMix(browser, ...files) {
  const lab = await openLab(browser);
  const adapters = await Promise.all(files.map(sla));
  await lab.drop(await goldenFile(golden.base), ...adapters);
  await lab.opened(golden.base);
  await mixed(lab.page, files.length);
  return lab;
}

/**
 * Begins a long run and waits for its first words. The text is not laid out: a small model writes
 * thousands of characters a second, and on a busy machine their layout would keep all else waiting.
 */
export async function beginLongRun(lab, prompt, more = {}) {
  await lab.page.evaluate(() =>
    document.styleSheets[0].insertRule(".output-written { display: none; }"));
  const settings = { prompt, temperature: 0, max_tokens: 500000, context_shift: 4, ...more };
  for (const [name, value] of Object.entries(settings)) await lab.set(name, value);
  await lab.page.waitForSelector('#run[aria-disabled="false"]');
  await lab.page.click("#run");
  await untilWritten(lab.page, 4);
}

/** Characters written so far. */
export const written = (page) => page.$eval(".output-written", (node) => node.textContent.length);
/** Waits until a run has written more than so many. */
export const untilWritten = (page, n) => page.waitForFunction((wanted) =>
  document.getElementById("output").dataset.status === "running"
    && document.querySelector(".output-written").textContent.length > wanted, {}, n);

/** Where an element of the mixer is in the window, once the mixer is in its middle. */
export async function boxOf(page, selector) {
  await page.$eval(".mixer", (node) => node.scrollIntoView({ block: "center" }));
  return (await page.$(selector)).boundingBox();
}

/** Stops the run; gives its diagnostics. */
export async function stopRun(lab) {
  await lab.page.click("#stop");
  await lab.page.waitForSelector('#output[data-status="done"]');
  return (await lab.result()).diagnostics.run.diagnostics;
}
