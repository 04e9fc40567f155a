/**
 * A model of another program in a browser that is driven by scripts alone: imported with progress,
 * kept, and opened again after a reload without its file. WebKitGTK keeps it in the database, the
 * others in files of the origin.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { sproutAs } from "../browser/foreign-files.mjs";

const DEMO = new URL("../../../fixtures/family/demo.json", import.meta.url);

const READY = 'return document.querySelector(".engine-badge[data-status=ready]") && 1;';

/** Hands the files to the page as its file picker does, and notes what it says of the work. */
const give = (files) => `
  window.seen = [];
  const facts = document.querySelector(".job-facts");
  new MutationObserver(() => window.seen.push(facts.textContent))
    .observe(facts, { childList: true, characterData: true, subtree: true });
  const transfer = new DataTransfer();
  for (const [name, base64] of ${JSON.stringify(files)}) {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
  }
  const about = { dataTransfer: transfer, bubbles: true, cancelable: true };
  document.body.dispatchEvent(new DragEvent("drop", about));
  return 1;`;

/** The model of that name is open and nothing is under way; a message instead is the answer. */
const opened = (name) => `
  const message = document.querySelector(".message");
  if (message) return message.textContent;
  const shown = document.querySelector(".card .facts dd")?.textContent;
  const isIdle = document.querySelector(".job").hidden;
  return isIdle && document.body.dataset.stage === "ready" && shown === "${name}" ? "" : null;`;

/** Sets what the demo's run was made with, and runs it. */
const start = (settings) => `
  for (const [name, value] of Object.entries(${JSON.stringify(settings)})) {
    const field = document.querySelector('[name="' + name + '"]');
    field.value = String(value);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
  requestAnimationFrame(() => setTimeout(() => document.getElementById("run").click(), 100));
  return 1;`;

const OUTCOME = `
  const { status } = document.getElementById("output").dataset;
  if (!["done", "failed"].includes(status)) return null;
  return [document.querySelector(".output-written").textContent,
    document.querySelector(".run-digest code").textContent];`;

/** Counts what lies in the database: the first call begins to count, a later one answers. */
const CHUNKS = `
  if (!window.counting) {
    window.counting = true;
    indexedDB.open("cultivar-library").onsuccess = ({ target }) => {
      const store = target.result.transaction("chunks").objectStore("chunks");
      store.count().onsuccess = (counted) => (window.n_chunks = counted.target.result);
    };
  }
  return window.n_chunks ?? null;`;

const OPEN_KEPT = `
  const button = [...document.querySelectorAll(".library button")]
    .find((one) => one.textContent === "Open");
  button?.click();
  return button ? 1 : null;`;

/**
 * `browser` has `open(url)`, `run(script)` and `until(script)`, which waits for an answer other
 * than null; `inDatabase` says where the bytes must lie.
 */
export async function checkKept(browser, { inDatabase }) {
  const told = JSON.parse(await readFile(DEMO, "utf8"));
  const files = await sproutAs("gguf");
  const packed = files.map(({ name, bytes }) => [name, bytes.toString("base64")]);
  const outcome = async () => {
    await browser.run(start({ ...told.settings, prompt: told.prompt }));
    return browser.until(OUTCOME);
  };
  await browser.open(process.env.CULTIVAR_URL);
  await browser.until(READY);
  await browser.run(give(packed));
  assert.equal(await browser.until(opened("sprout.slm")), "");
  const seen = await browser.run("return window.seen.join();");
  assert.match(seen, /Converting · .* of 2\.\d+ MiB · \d+ %/);
  const n_chunks = await browser.until(CHUNKS);
  assert.equal(n_chunks > 0, inDatabase, `${n_chunks} ranges in the database`);
  assert.deepEqual(await outcome(), [told.text, told.run_digest]);
  await browser.open(process.env.CULTIVAR_URL);
  await browser.until(READY);
  await browser.until(OPEN_KEPT);
  assert.equal(await browser.until(opened("sprout.slm")), "");
  assert.deepEqual(await outcome(), [told.text, told.run_digest]);
}
