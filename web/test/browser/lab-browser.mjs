/**
 * Starts Chromium on the lab page and does what a person does there: drop files, set, run, read.
 * Shared by the browser tests; it asserts nothing itself. The environment says where things are:
 * CULTIVAR_URL (the served page), CHROMIUM, CULTIVAR_TOOLS (holds node_modules), CULTIVAR_DATA.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

const { CULTIVAR_URL, CULTIVAR_TOOLS, CULTIVAR_DATA, CHROMIUM = "/usr/bin/chromium" } = process.env;

/** Why the browser tests cannot run here, or false: the value of a test's `skip`. */
export const noBrowser = CULTIVAR_URL && CULTIVAR_TOOLS
  ? false : "CULTIVAR_URL and CULTIVAR_TOOLS are not set: run `cargo xtask test`";

/** The same for tests that also need the reference data. */
export const noData = noBrowser || (CULTIVAR_DATA ? false : "CULTIVAR_DATA is not set");

const ARGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const WAIT_MS = 60_000;

/** Starts a browser with an empty profile: `{ browser, close }`. */
export async function launch(args = []) {
  const puppeteer = createRequire(`${CULTIVAR_TOOLS}/`)("puppeteer-core");
  const userDataDir = await mkdtemp(join(tmpdir(), "cultivar-browser-"));
  const browser = await puppeteer.launch({
    executablePath: CHROMIUM, headless: true, userDataDir, args: [...ARGS, ...args],
    timeout: WAIT_MS,
  });
  async function close() {
    await browser.close();
    await rm(userDataDir, { recursive: true, force: true, maxRetries: 5 });
  }
  return { browser, close };
}

/**
 * Opens the lab in a fresh tab; `problems` collects what the page itself complains about. The
 * page runs `prepare()`, if given, before its own scripts.
 */
export async function openLab(browser, options = {}) {
  const { fragment = "", width = 1280, height = 900, prepare } = options;
  const page = await browser.newPage();
  if (prepare) await page.evaluateOnNewDocument(prepare);
  page.setDefaultTimeout(WAIT_MS);
  await page.setViewport({ width, height });
  const problems = [];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (line) => {
    if (["error", "warn"].includes(line.type())) problems.push(line.text());
  });
  await page.goto(CULTIVAR_URL + fragment, { waitUntil: "load" });
  await page.waitForSelector('.engine-badge[data-status="ready"]');
  return new Lab(page, problems);
}

/** A file to drop: `{ name, bytes }`; from the reference data by its path there. */
export async function dataFile(path) {
  return { name: basename(path), bytes: await readFile(join(CULTIVAR_DATA, path)) };
}

/** The reference data's JSON of that path. */
export async function dataJson(path) {
  return JSON.parse(await readFile(join(CULTIVAR_DATA, path), "utf8"));
}

/** A file of fixtures/golden. */
export async function goldenFile(name) {
  const url = new URL(`../../../fixtures/golden/${name}`, import.meta.url);
  return { name, bytes: await readFile(url) };
}

class Lab {
  constructor(page, problems) {
    Object.assign(this, { page, problems });
  }

  /** Drops files on the window, as one drop. */
  async drop(...files) {
    const packed = files.map(({ name, bytes }) => [name, Buffer.from(bytes).toString("base64")]);
    await this.page.evaluate((list) => {
      const dataTransfer = new DataTransfer();
      for (const [name, base64] of list) {
        const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
        dataTransfer.items.add(new File([bytes], name));
      }
      const about = { dataTransfer, bubbles: true, cancelable: true };
      document.body.dispatchEvent(new DragEvent("dragenter", about));
      document.body.dispatchEvent(new DragEvent("drop", about));
    }, packed);
  }

  /** Drops files and folders of this machine on the window, as the system does. */
  async dropPaths(...files) {
    const devtools = await this.page.createCDPSession();
    const data = { items: [], files, dragOperationsMask: 1 };
    for (const type of ["dragEnter", "dragOver", "drop"]) {
      await devtools.send("Input.dispatchDragEvent", { type, x: 200, y: 200, data });
    }
    await devtools.detach();
  }

  /** Waits for the page to have a model open under that file name, with nothing going on. */
  async opened(name) {
    await this.page.waitForFunction((wanted) => {
      const isIdle = document.querySelector(".job").hidden;
      const facts = [...document.querySelectorAll(".card .facts dd")];
      return isIdle && document.body.dataset.stage === "ready" && facts[0]?.textContent === wanted;
    }, {}, name);
  }

  /** Waits for a message whose title has these words; gives its text. */
  async message(words) {
    const found = await this.page.waitForFunction((wanted) => {
      const all = [...document.querySelectorAll(".message")];
      return all.find((node) => node.querySelector(".message-title").textContent.includes(wanted));
    }, {}, words);
    return found.evaluate((node) => ({
      text: node.textContent, role: node.getAttribute("role"),
      advice: node.querySelector(".message-advice")?.textContent ?? "",
    }));
  }

  /** Dismisses all messages. */
  async dismissAll() {
    await this.page.evaluate(() => {
      for (const button of document.querySelectorAll(".message button")) button.click();
    });
    await this.page.waitForFunction(() => document.querySelectorAll(".message").length === 0);
  }

  /** Presses the button with these words, once it is on show. */
  async press(words) {
    const button = await this.page.waitForFunction((wanted) =>
      [...document.querySelectorAll("button")]
        .find((one) => one.textContent.includes(wanted) && one.checkVisibility()), {}, words);
    await button.click();
  }

  /** Types a setting's new value. */
  async set(name, value) {
    await this.page.$eval(`[name="${name}"]`, (field, text) => {
      field.value = text;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }, String(value));
  }

  /** Runs the completion to its end; gives what the page shows and its diagnostics. */
  async run(settings = {}) {
    for (const [name, value] of Object.entries(settings)) await this.set(name, value);
    await this.page.waitForSelector('#run[aria-disabled="false"]');
    const before = await this.page.$eval("#output", (node) => node.dataset.run ?? "");
    await this.page.$eval("#run", (button) => button.click());
    await this.page.waitForFunction((last) => {
      const { dataset } = document.getElementById("output");
      return dataset.run !== last && ["done", "failed"].includes(dataset.status);
    }, {}, before);
    return this.result();
  }

  /** What the completion panel shows now. */
  async result() {
    const shown = await this.page.evaluate(() => ({
      text: document.querySelector(".output-written").textContent,
      prompt: document.querySelector(".output-prompt").textContent,
      state: document.querySelector(".measures dd").textContent,
      run_digest: document.querySelector(".run-digest code").textContent,
    }));
    return { ...shown, diagnostics: await this.diagnostics() };
  }

  /** The diagnostics document, with prompt and text. */
  async diagnostics() {
    return this.page.evaluate(() => {
      document.querySelector(".diagnostics-panel").open = true;
      const box = document.getElementById("with-texts");
      if (!box.checked) box.click();
      box.dispatchEvent(new Event("change"));
      return JSON.parse(document.querySelector(".diagnostics-panel pre").textContent);
    });
  }
}
