/**
 * What is kept in the browser: opened again without its file after a reload, in files of the
 * origin and in the database where these are missing; kept, saved as other files, deleted.
 */
import assert from "node:assert/strict";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before, beforeEach } from "node:test";
import {
  holdWrites, keptNames, reload, sproutAs, sproutPackage, storedFiles, unfoldLibrary, untilHeld,
  withoutFiles,
} from "./foreign-files.mjs";
import { launch, noBrowser, openLab } from "./lab-browser.mjs";

const skip = noBrowser;
const SETTINGS = { prompt: "Once there was", max_tokens: 24, temperature: 0.7 };

let chrome;
let context; // A new one for each test: with nothing in its storage.
before(async () => {
  if (!noBrowser) chrome = await launch();
});
beforeEach(async () => {
  await context?.close();
  context = await chrome?.browser.createBrowserContext();
});
after(() => chrome?.close());

for (const [words, prepare] of [["files", undefined], ["the database", withoutFiles]]) {
  test(`kept in ${words}: after a reload the model opens without its file and writes the same`,
    { skip }, async () => {
      const lab = await openLab(context, { prepare });
      await lab.drop(...await sproutAs("gguf"));
      await lab.opened("sprout.slm");
      const before = await lab.run(SETTINGS);
      if (!prepare) assert.equal((await storedFiles(lab)).length, 1);
      await reload(lab);
      assert.deepEqual(await keptNames(lab), ["sprout.slm"]);
      await lab.press("Open");
      await lab.opened("sprout.slm");
      const again = await lab.run(SETTINGS);
      assert.equal(again.text, before.text);
      assert.equal(again.run_digest, before.run_digest);
      const row = await lab.page.$eval(".library li", (node) => node.textContent);
      assert.match(row, /sprout\.slm2\.15 MiB · f16 · \d{4}-\d\d-\d\dopen now/);
      assert.match(await lab.page.$eval(".library", (node) => node.textContent), /used, about/);
      assert.deepEqual(lab.problems, []);
    });

  test(`deleted from ${words}: asked first, then gone for good`, { skip }, async () => {
    const lab = await openLab(context, { prepare });
    await lab.drop(...await sproutAs("gguf"));
    await lab.opened("sprout.slm");
    await reload(lab);
    const answers = [false, true];
    lab.page.on("dialog", (dialog) => (answers.shift() ? dialog.accept() : dialog.dismiss()));
    await lab.press("Open"); // Waits for the list.
    await lab.opened("sprout.slm");
    await lab.drop(await sproutPackage());
    await lab.page.waitForSelector('[aria-label="Delete sprout.slm"]');
    const remove = () => lab.page.$eval('[aria-label="Delete sprout.slm"]', (one) => one.click());
    await remove();
    assert.deepEqual(await keptNames(lab), ["sprout.slm"]);
    await remove();
    await lab.page.waitForFunction(() => document.querySelector(".library").hidden);
    if (!prepare) assert.deepEqual(await storedFiles(lab), []);
    await reload(lab);
    assert.deepEqual(await keptNames(lab), []);
  });
}

test("a dropped package is kept by its button, and saved as GGUF", { skip }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "cultivar-saved-"));
  const lab = await openLab(context);
  const devtools = await chrome.browser.target().createCDPSession();
  await devtools.send("Browser.setDownloadBehavior", {
    behavior: "allow", downloadPath: folder, eventsEnabled: true, browserContextId: context.id,
  });
  const saved = new Promise((done) => devtools.on("Browser.downloadProgress", ({ state }) =>
    state === "completed" && done()));
  await lab.drop(await sproutPackage());
  await lab.opened("sprout.slm");
  assert.deepEqual(await keptNames(lab), []);
  await lab.press("Keep in this browser");
  await lab.page.waitForFunction(() => document.querySelectorAll(".library li").length === 1);
  await unfoldLibrary(lab);
  await lab.press("Save GGUF");
  await saved;
  assert.deepEqual(await readdir(folder), ["sprout.gguf"]);
  const [{ bytes }] = await sproutAs("gguf");
  assert.equal(Buffer.compare(await readFile(join(folder, "sprout.gguf")), bytes), 0);
  assert.deepEqual(lab.problems, []);
  await rm(folder, { recursive: true });
});

test("a kept package is saved as safetensors, a folder that opens again", { skip }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "cultivar-saved-"));
  const lab = await openLab(context);
  const devtools = await chrome.browser.target().createCDPSession();
  await devtools.send("Browser.setDownloadBehavior", {
    behavior: "allow", downloadPath: folder, eventsEnabled: true, browserContextId: context.id,
  });
  const expected = await sproutAs("safetensors");
  let n_saved = 0;
  const saved = new Promise((done) => devtools.on("Browser.downloadProgress", ({ state }) => {
    n_saved += state === "completed" ? 1 : 0;
    if (n_saved === expected.length) done();
  }));
  await lab.drop(...await sproutAs("gguf"));
  await lab.opened("sprout.slm");
  await unfoldLibrary(lab);
  await lab.press("Save safetensors");
  await saved;
  const names = expected.map(({ name }) => name).sort();
  assert.deepEqual((await readdir(folder)).sort(), names);
  const files = await Promise.all(names.map(async (name) =>
    ({ name, bytes: await readFile(join(folder, name)) })));
  for (const { name, bytes } of expected.filter((file) => /config|model/.test(file.name))) {
    const mine = files.find((file) => file.name === name);
    assert.equal(Buffer.compare(mine.bytes, bytes), 0, name);
  }
  await lab.drop(...files);
  await lab.opened("model.slm");
  assert.deepEqual(lab.problems, []);
  await rm(folder, { recursive: true });
});

test("the open package comes back from storage when the engine had to be replaced", { skip },
  async () => {
    const lab = await openLab(context);
    await lab.drop(...await sproutAs("gguf"));
    await lab.opened("sprout.slm");
    const before = await lab.run(SETTINGS);
    await lab.page.evaluate(() => {
      const post = Worker.prototype.postMessage;
      Worker.prototype.postMessage = function (message, ...rest) {
        const isRun = message?.verb === "generate";
        if (isRun) Worker.prototype.postMessage = post;
        return post.call(this, isRun ? { ...message, verb: "testTrap" } : message, ...rest);
      };
    });
    await lab.run(SETTINGS);
    await lab.message("The engine was restarted");
    assert.equal((await lab.run(SETTINGS)).run_digest, before.run_digest);
  });

for (const [words, prepare] of [["files", holdWrites], ["the database", withoutFiles]]) {
  test(`a second tab does not clear away what the first is writing to ${words}`, { skip },
    async () => {
      const lab = await openLab(context, { prepare });
      if (prepare !== holdWrites) await lab.page.evaluate(holdWrites);
      await lab.drop(...await sproutAs("gguf"));
      await untilHeld(lab);
      const other = await openLab(context, prepare === holdWrites ? {} : { prepare });
      assert.deepEqual(await keptNames(other), []);
      await lab.page.bringToFront();
      await lab.page.evaluate(() => window.releaseWrites());
      await lab.opened("sprout.slm");
      await reload(other);
      assert.deepEqual(await keptNames(other), ["sprout.slm"]);
    });
}
