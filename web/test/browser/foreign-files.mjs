/**
 * Foreign model files for browser tests, made by the packer from the demo's package: the same
 * weights as GGUF or as a Hugging Face folder.
 */
import { readFile } from "node:fs/promises";
import { exportFiles } from "../../runtime/import-runner.js";
import { engineOf } from "../runtime/kit-fixtures.mjs";

const SPROUT = new URL("../../../fixtures/family/sprout.slm", import.meta.url);

/** The demo's package: `{ name, bytes }`. */
export async function sproutPackage() {
  return { name: "sprout.slm", bytes: await readFile(SPROUT) };
}

/** The demo as files of another program, as `drop` takes them. */
export async function sproutAs(format) {
  const blob = new Blob([await readFile(SPROUT)]);
  const { files } = await exportFiles(await engineOf("exporter"), blob, format);
  return Promise.all(files.map(async (file) => ({
    name: file.name || `sprout.${format}`, bytes: Buffer.from(await file.blob.arrayBuffer()),
  })));
}

/** Runs before the page's scripts: lets a test hold back what is written to the library. */
export function holdWrites() {
  const post = Worker.prototype.postMessage;
  const held = (window.heldWrites = []);
  Worker.prototype.postMessage = function (message, ...rest) {
    const send = () => post.call(this, message, ...rest);
    if (message?.verb === "write" && window.isHolding !== false) held.push(send);
    else send();
  };
  window.releaseWrites = () => {
    window.isHolding = false;
    for (const send of held.splice(0)) send();
  };
}

/** Runs before the page's scripts: takes away what the files of the origin need. */
export const withoutFiles = () => delete StorageManager.prototype.getDirectory;

/** Waits for the first write that is held back. */
export const untilHeld = (lab) => lab.page.waitForFunction(() => window.heldWrites.length > 0);

/** Names of what is kept, as the page lists them. */
export const keptNames = (lab) =>
  lab.page.$$eval(".library li strong", (names) => names.map((name) => name.textContent));

/** Unfolds the library and what each of its rows can do. */
export const unfoldLibrary = (lab) =>
  lab.page.$$eval("details.library, .library details", (nodes) =>
    nodes.forEach((node) => (node.open = true)));

/** Names of the library's files in the browser's storage. */
export const storedFiles = (lab) => lab.page.evaluate(async () => {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle("cultivar-library", { create: true });
  return Array.fromAsync(folder.keys());
});

/** Loads the page again, as a person does. */
export async function reload(lab) {
  await lab.page.reload({ waitUntil: "load" });
  await lab.page.waitForSelector('.engine-badge[data-status="ready"]');
}
