/**
 * Failures of the engine in Chromium: a trap while several sessions generate, and a better module
 * that does not pass its self test.
 */
import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { goldenFile, launch, noBrowser, openLab } from "./lab-browser.mjs";

let chrome;
let golden;
let base64;
before(async () => {
  if (noBrowser) return;
  chrome = await launch();
  golden = JSON.parse(String((await goldenFile("digests.json")).bytes));
  base64 = (await goldenFile("golden-q8_0.slm")).bytes.toString("base64");
});
after(() => chrome?.close());

/** The first golden run of a package, in the page. */
function runGolden({ base64, prompt, settings, traps }) {
  return (async () => {
    const { Cultivar } = await import(new URL("./runtime/cultivar.js", location.href).href);
    const kit = await Cultivar.open();
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const model = await kit.openPackage(new Blob([bytes]));
    const generate = async (session, onToken = () => {}) => {
      for await (const token of session.generate(prompt)) onToken(token);
      return session.report();
    };
    const ends = [];
    const replaced = [];
    if (traps) {
      kit.onReplaced = ({ kind }) => replaced.push(kind);
      const endless = { ...settings, max_tokens: 100000, ignore_stop: true, context_shift: 4 };
      const sessions = [await model.createSession(endless), await model.createSession(endless)];
      const started = [];
      const runs = sessions.map((session) => {
        const { promise, resolve } = Promise.withResolvers();
        started.push(promise);
        return generate(session, resolve).catch(({ kind }) => kind);
      });
      // Both have given a token, so both are under way.
      await Promise.all(started);
      ends.push(await kit.testTrap().catch(({ kind }) => kind), ...(await Promise.all(runs)));
    }
    const { run_digest } = await generate(await model.createSession(settings));
    const { module, fallback } = kit.info;
    kit.close();
    return { run_digest, module, fallback, ends, replaced };
  })();
}

function goldenRun(traps) {
  const { settings, run_digest } = golden.runs.find(({ file }) => file === "golden-q8_0.slm");
  return { given: { base64, prompt: golden.prompt, settings, traps }, run_digest };
}

test("a trap ends two runs at once, and the next has the same bits", { skip: noBrowser },
  async () => {
    const { page } = await openLab(chrome.browser);
    const { given, run_digest } = goldenRun(true);
    const answer = await page.evaluate(runGolden, given);
    assert.deepEqual(answer.ends, ["trap", "trap", "trap"]);
    assert.deepEqual(answer.replaced, ["trap"]);
    assert.equal(answer.run_digest, run_digest);
    await page.close();
  });

/**
 * Makes the page get a relaxed module two of whose exports have changed their names: what answers
 * as `selftest` then refuses.
 */
function spoilRelaxed() {
  const fetched = window.fetch;
  const swap = (text, a, b) =>
    [[a, "~"], [b, a], ["~", b]].reduce((chars, [from, to]) => {
      const entry = (name) => `${String.fromCharCode(name.length)}${name}\0`;
      return chars.replace(entry(from), entry(to));
    }, text);
  window.fetch = async (url, ...rest) => {
    const response = await fetched(url, ...rest);
    if (!String(url).endsWith("cultivar-relaxed.wasm")) return response;
    const chars = Array.from(new Uint8Array(await response.arrayBuffer()),
      (byte) => String.fromCharCode(byte)).join("");
    const bytes = Uint8Array.from(swap(chars, "selftest", "session_len"), (c) => c.charCodeAt(0));
    return new Response(bytes, { headers: { "content-type": "application/wasm" } });
  };
}

test("a module that fails its self test is left for the other", { skip: noBrowser }, async () => {
  const { page } = await openLab(chrome.browser, { prepare: spoilRelaxed });
  const { given, run_digest } = goldenRun(false);
  const answer = await page.evaluate(runGolden, given);
  assert.equal(answer.module, "simd128");
  assert.match(answer.fallback, /handle/);
  assert.equal(answer.run_digest, run_digest);
  await page.close();
});
