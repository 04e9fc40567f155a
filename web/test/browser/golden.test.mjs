/**
 * The golden packages: every run of digests.json gives its digest in Chromium, through the kit
 * with each module, and through the page with the settings in its link.
 */
import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { goldenFile, launch, noBrowser, openLab } from "./lab-browser.mjs";

let chrome;
let golden;
before(async () => {
  if (noBrowser) return;
  chrome = await launch();
  golden = JSON.parse(String((await goldenFile("digests.json")).bytes));
});
after(() => chrome?.close());

/** Runs every golden run through the kit in the page; gives their digests. */
function runAll(packages, runs, prompt, module) {
  return (async () => {
    const { Cultivar } = await import(new URL("./runtime/cultivar.js", location.href).href);
    const cultivar = await Cultivar.open({ module });
    const opened = new Map();
    for (const [name, base64] of packages) {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      opened.set(name, await cultivar.openPackage(new Blob([bytes])));
    }
    const digests = [];
    for (const { file, settings } of runs) {
      const session = await opened.get(file).createSession(settings);
      for await (const token of session.generate(prompt)) void token;
      digests.push((await session.report()).run_digest);
      await session.close();
    }
    cultivar.close();
    return { digests, backend: cultivar.info.backend };
  })();
}

for (const module of ["simd128", "relaxed"]) {
  test(`the ${module} module gives every golden digest`, { skip: noBrowser }, async () => {
    const lab = await openLab(chrome.browser);
    const { prompt, runs } = golden;
    const names = [...new Set(runs.map(({ file }) => file))];
    const packages = await Promise.all(names.map(async (name) =>
      [name, (await goldenFile(name)).bytes.toString("base64")]));
    const { digests, backend } = await lab.page.evaluate(runAll, packages, runs, prompt, module);
    assert.equal(backend, module);
    assert.deepEqual(digests, runs.map(({ run_digest }) => run_digest));
  });
}

test("the page gives the golden digests too", { skip: noBrowser }, async () => {
  const lab = await openLab(chrome.browser);
  const { prompt, runs } = golden;
  const onPage = ["max_tokens", "temperature", "top_k", "top_p", "seed", "kv"];
  const possible = runs.filter(({ settings }) =>
    Object.keys(settings).every((name) => onPage.includes(name)));
  assert.ok(possible.length > 0);
  const defaults = { temperature: 0, top_k: 40, top_p: 0.95, seed: 0, max_tokens: 256, kv: "f32" };
  let shown = "";
  for (const { file, settings, run_digest } of possible) {
    if (file !== shown) await lab.drop(await goldenFile(file));
    await lab.opened(file);
    shown = file;
    const result = await lab.run({ prompt, ...defaults, ...settings });
    assert.equal(result.run_digest, run_digest, `${file} ${JSON.stringify(settings)}`);
  }
  assert.deepEqual(lab.problems, []);
});

/**
 * Small weights load within a frame. This keeps back each answer of a worker, though not its
 * events, until the page has been drawn: what a large package does by itself.
 */
function answerAfterFrames() {
  const { set } = Object.getOwnPropertyDescriptor(Worker.prototype, "onmessage");
  Object.defineProperty(Worker.prototype, "onmessage", {
    set(listener) {
      set.call(this, listener && ((message) => {
        if (message.data.event) listener(message);
        else requestAnimationFrame(() => requestAnimationFrame(() => listener(message)));
      }));
    },
  });
}

test("the card is shown while the weights still load", { skip: noBrowser }, async () => {
  const lab = await openLab(chrome.browser, { prepare: answerAfterFrames });
  await lab.page.evaluate(() => {
    window.cardStates = [];
    const place = document.getElementById("card-place");
    new MutationObserver(() => {
      const isWorking = !document.querySelector(".job").hidden;
      window.cardStates.push({ isWorking, text: place.innerText });
    }).observe(document.body, { subtree: true, childList: true, attributes: true });
  });
  await lab.drop(await goldenFile("golden-q8_0.slm"));
  await lab.opened("golden-q8_0.slm");
  const states = await lab.page.evaluate(() => window.cardStates);
  const early = states.find(({ text }) => text.includes("weights loading"));
  assert.ok(early, "the card came only when all was loaded");
  assert.ok(early.isWorking);
  assert.match(early.text, /golden[\s\S]*Memory needed/);
  const last = await lab.page.$eval("#card-place", (node) => node.innerText);
  assert.ok(!last.includes("weights loading"));
});
