/**
 * A mix that changes while text streams, by slider and by a drag; saved, and loaded again after a
 * reload; adapters of others from the disk, as PEFT folders and GGUF files.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { Cultivar } from "../../runtime/cultivar.js";
import { KitWorker, MODULES_URL, serveFiles } from "../runtime/kit-fixtures.mjs";
import { keptNames, reload, unfoldLibrary } from "./foreign-files.mjs";
import { dataJson, launch, noBrowser, noData, openLab } from "./lab-browser.mjs";
import {
  assembly, beginLongRun, boxOf, family, golden, mixed, names, openMix, stopRun, untilWritten,
  weigh, written,
} from "./mixer-hands.mjs";

let chrome;
before(async () => {
  if (!noBrowser) chrome = await launch();
});
after(() => chrome?.close());

/** Two of the demo's adapters as packages, by the kit in Node. */
async function demoAdapters(names) {
  serveFiles();
  const kit = await Cultivar.open({ baseUrl: MODULES_URL, spawnWorker: () => new KitWorker() });
  const base = new Blob([(await family("sprout.slm")).bytes]);
  const made = await Promise.all(names.map(async (name) => {
    const parts = await Promise.all(["adapter_config.json", "adapter_model.safetensors"]
      .map(async (part) => Object.assign(
        new Blob([(await family(`adapters/${name}/${part}`)).bytes]), { name: part })));
    return (await kit.importAdapter(parts, { base, name })).blob;
  }));
  return { kit, base, made };
}

/** What their exact concatenation gives, made and run in Node. */
async function predicted({ kit, base, made }, weights, settings, prompt) {
  const mix = made.map((adapter, idx) => ({ adapter, weight: weights[idx] }));
  const { blob } = await kit.mergeAdapters(mix, { base, name: "sprout-mix" });
  const model = await kit.openPackage(base);
  const session = await model.createSession(settings, [{ adapter: await model.openAdapter(blob) }]);
  for await (const token of session.generate(prompt)) void token;
  return session.report();
}

test("a slider that moves while text streams is heard by the running session",
  { skip: noBrowser }, async () => {
    const lab = await openMix(chrome.browser, "low-rank.sla");
    const { page } = lab;
    await weigh(page, "random 1", 0);
    await beginLongRun(lab, golden.prompt);
    await page.focus('[aria-label="Weight of random 1"]');
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction(() => document.querySelector(".weight-number").value === "0.05");
    await untilWritten(page, await written(page) + 40);
    await lab.press("Re-read prompt");
    assert.equal((await stopRun(lab)).assembly, await assembly(page));
    await page.close();
  });

test("base and two adapters, a slider while text streams; the mix saved, and loaded after a reload",
  { skip: noBrowser }, async (t) => {
    const names = ["fact", "add"];
    const node = await demoAdapters(names);
    t.after(() => node.kit.close());
    const files = await Promise.all(node.made.map(async (blob, idx) =>
      ({ name: `${names[idx]}.sla`, bytes: Buffer.from(await blob.arrayBuffer()) })));
    const base = await family("sprout.slm");
    const context = await chrome.browser.createBrowserContext();
    const lab = await openLab(context);
    const { page } = lab;
    await lab.drop(...files, base);
    await lab.opened("sprout.slm");
    await mixed(page, 2);
    // The demo ends its stories, and a single "#" too; so many it does not write in any test.
    const endless = { constrain: "gbnf", rules: 'root ::= ([a-z ]* "#"){4096}' };
    await beginLongRun(lab, "Once there was", endless);
    const { x, y, width, height } = await boxOf(page, '[aria-label="Weight of add"]');
    const at = (weight) => [x + width * (weight + 2) / 4, y + height / 2];
    await page.mouse.move(...at(1));
    await page.mouse.down();
    await page.mouse.move(...at(-0.5), { steps: 8 });
    await page.mouse.up();
    const moved = await page.$$eval(".weight-number", (nodes) => nodes.map(({ value }) => value));
    assert.ok(moved[0] === "1" && Math.abs(Number(moved[1]) + 0.5) < 0.2, String(moved));
    await untilWritten(page, await written(page) + 40);
    assert.equal((await stopRun(lab)).assembly, await assembly(page));

    await weigh(page, "fact", 0.75);
    await weigh(page, "add", -0.5);
    const settings = { temperature: 0.7, seed: "3", max_tokens: 60, context_shift: "",
      constrain: "none" };
    const live = await lab.run({ prompt: "Once there was", ...settings });
    await lab.press("Save mix as adapter");
    await page.waitForFunction(() => document.querySelector(".library li strong"));
    await lab.press("Save mix as model");
    await page.waitForFunction(() => document.querySelectorAll(".library li").length === 2);
    await reload(lab);
    assert.deepEqual(await keptNames(lab), ["sprout-mix.slm", "sprout-mix.sla"]);
    await page.click('[aria-label="Open sprout-mix.slm"]');
    await lab.opened("sprout-mix.slm");
    const all = { top_k: 40, top_p: 0.95, temperature: 0.7, seed: "3", max_tokens: 60 };
    const baked = await lab.run({ prompt: "Once there was", ...settings });
    assert.equal(baked.text.slice(0, 12), live.text.slice(0, 12));
    await lab.drop(base);
    await lab.opened("sprout.slm");
    await unfoldLibrary(lab);
    await page.click('[aria-label="Open sprout-mix.sla"]');
    await mixed(page, 1);
    const loaded = await lab.run({ prompt: "Once there was", ...settings });
    assert.equal(loaded.text, live.text);
    const expected = await predicted(node, [0.75, -0.5], all, "Once there was");
    assert.equal(loaded.run_digest, expected.run_digest);
    assert.deepEqual(lab.problems, []);
    await context.close();
  });

test("dragged with the pointer while text streams: the running session has the new order",
  { skip: noBrowser }, async () => {
    const lab = await openMix(chrome.browser, "low-rank.sla", "sparse.sla", "raw.sla");
    const { page } = lab;
    await beginLongRun(lab, golden.prompt);
    const centre = async (nth) => {
      const { x, y, width, height } = await boxOf(page, `.adapter:nth-child(${nth}) .grip`);
      return [x + width / 2, y + height / 2];
    };
    const before = await assembly(page);
    const [to, from] = [await centre(1), await centre(3)];
    await page.mouse.move(...from);
    await page.mouse.down();
    await page.mouse.move(to[0], to[1] - 40, { steps: 12 });
    await page.mouse.up();
    await page.waitForFunction(() => document.querySelector(".adapter-name").textContent
      === "random 2");
    assert.deepEqual(await names(page), ["random 2", "random 1", "random 3"]);
    await page.waitForFunction((old) =>
      document.querySelector(".assembly code").title !== old, {}, before);
    await page.click('[aria-label="Remove random 3"]');
    const now = await mixed(page, 2);
    await untilWritten(page, await written(page) + 40);
    const { assembly: ran, adapters } = await stopRun(lab);
    assert.equal(ran, now);
    assert.equal(adapters.length, 2);
    assert.deepEqual(lab.problems, []);
    await page.close();
  });

test("a PEFT folder from the disk is an adapter by its name", { skip: noBrowser }, async () => {
  const lab = await openLab(chrome.browser);
  const folder = (path) =>
    fileURLToPath(new URL(`../../../fixtures/family/${path}`, import.meta.url));
  await lab.dropPaths(folder("sprout.slm"));
  await lab.opened("sprout.slm");
  await lab.dropPaths(folder("adapters/add"), folder("adapters/plural"));
  await mixed(lab.page, 2);
  assert.deepEqual((await names(lab.page)).sort(), ["add", "plural"]);
  const run = async (prompt) =>
    (await lab.run({ prompt, temperature: 0, max_tokens: 12 })).text.trim();
  assert.equal(await run("add: 34 + 25 =>"), "59");
  assert.equal(await run("plural: berry =>"), "berries");
  assert.deepEqual(lab.problems, []);
  await lab.page.close();
});

test("PEFT folders and GGUF LoRA files write what PEFT wrote", { skip: noData }, async () => {
  const reference = await dataJson("reference/stories260K-adapters.json");
  const data = (path) => join(process.env.CULTIVAR_DATA, path);
  const lab = await openLab(chrome.browser);
  await lab.dropPaths(data("models/stories260K/hf"));
  await lab.opened("hf.slm");
  for (const name of ["fields", "colorqa"]) {
    // Its folder has the same adapter in both forms.
    await lab.dropPaths(data(`adapters/stories260K/${name}`));
    await mixed(lab.page, 2);
    const [prompt] = reference[name].prompts;
    const both = await names(lab.page);
    assert.deepEqual(both.toSorted(), [name, `${name}-lora-f32`]);
    for (const muted of both) {
      await lab.page.click(`[aria-label="Mute ${muted}"]`);
      const shown = await lab.run({ prompt: prompt.text, temperature: 0, max_tokens: 40 });
      assert.equal(shown.text.trim(), prompt.greedy_text, `${name} without ${muted}`);
      await lab.page.click(`[aria-label="Mute ${muted}"]`);
    }
    for (const [idx, one] of both.entries()) {
      await lab.page.click(`[aria-label="Remove ${one}"]`);
      await lab.page.waitForFunction((n) =>
        document.querySelectorAll(".adapter").length === n, {}, 1 - idx);
    }
  }
  await lab.page.close();
});
