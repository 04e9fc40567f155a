/**
 * A fresh headless Chromium for one measurement: what a page's module answers to one call.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Calls `verb` of measure.js with `job` in a fresh browser; its version comes along. */
export async function inBrowser(verb, job) {
  const require = createRequire(`${process.env.CULTIVAR_TOOLS}/`);
  const puppeteer = require("puppeteer-core");
  const profile = mkdtempSync(path.join(os.tmpdir(), "cultivar-bench-"));
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM,
    headless: true,
    userDataDir: profile,
    args: FLAGS,
    protocolTimeout: 20 * 60 * 1000,
  });
  try {
    const page = await browser.newPage();
    await page.goto(`${process.env.CULTIVAR_URL}test/bench/page.html`);
    const call = async (name, given) => (await import("./measure.js"))[name](given);
    const result = await page.evaluate(call, verb, job);
    return { ...result, browser: await browser.version() };
  } finally {
    await browser.close();
    rmSync(profile, { recursive: true, force: true });
  }
}
