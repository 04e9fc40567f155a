/**
 * Settings in Chromium: presets of the page and of a person, kept in the browser; every setting in
 * the link, and the run that the link gives; what is out of range named and changing nothing.
 */
import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { launch, noBrowser, openLab } from "./lab-browser.mjs";

let chrome;
before(async () => {
  if (!noBrowser) chrome = await launch();
});
after(() => chrome?.close());

async function openDemo(fragment = "") {
  const lab = await openLab(chrome.browser, { fragment });
  await lab.page.click("#load-demo");
  await lab.opened("sprout.slm");
  return lab;
}
const valueOf = (page, name) => page.$eval(`#setting-${name}`, (field) => field.value);

test("a preset sets the sampler and nothing else", { skip: noBrowser }, async () => {
  const { page, problems } = await openDemo();
  await page.select("#preset", "Creative");
  await page.waitForFunction(() => document.querySelector("#setting-temperature").value === "1.1");
  assert.equal(await valueOf(page, "min_p"), "0.05");
  assert.equal(await valueOf(page, "seed"), "4");
  assert.equal(await valueOf(page, "prompt"), "Once there was");
  await page.select("#preset", "Greedy");
  await page.waitForFunction(() => document.querySelector("#setting-temperature").value === "0");
  assert.equal(await valueOf(page, "min_p"), "0");
  assert.deepEqual(problems, []);
  await page.close();
});

test("the JSON preset gives JSON", { skip: noBrowser }, async () => {
  const lab = await openDemo();
  await lab.page.select("#preset", "JSON");
  const { text, state } = await lab.run({ prompt: "JSON:", max_tokens: 200 });
  if (state === "the grammar is complete") JSON.parse(text);
  else assert.equal(state, "max tokens reached");
  assert.match(text.trim(), /^[{[]/);
  await lab.page.close();
});

test("a saved preset is there after a reload, until it is removed", { skip: noBrowser },
  async () => {
    const lab = await openDemo();
    const { page } = lab;
    await lab.set("top_k", "17");
    await page.type("#preset-name", "Mine");
    await lab.press("Save preset");
    await page.waitForFunction(() => document.querySelector("#preset").value === "Mine");
    const other = await openDemo();
    await other.page.select("#preset", "Mine");
    await other.page.waitForFunction(() => document.querySelector("#setting-top_k").value === "17");
    await other.press("Remove preset");
    await other.page.waitForFunction(() => document.querySelector("#preset").value === "");
    await page.close();
    await other.page.close();
  });

test("a link with every setting gives the same text and digest", { skip: noBrowser }, async () => {
  const settings = {
    temperature: 0.8, top_k: 50, top_p: 0.9, min_p: 0.02, typical_p: 0.9, seed: 11,
    repetition_penalty: 1.1, frequency_penalty: 0.2, presence_penalty: -0.1, penalty_window: 32,
    kv: "f16", context_len: 200, prompt_lookup: 4, stop_strings: "friends", max_tokens: 40,
    logprobs: 3,
  };
  const lab = await openDemo();
  const first = await lab.run(settings);
  await lab.page.waitForFunction(() => location.hash.includes("seed=11")
    && location.hash.includes("stop_strings=friends"));
  const other = await openDemo(await lab.page.evaluate(() => location.hash));
  for (const [name, value] of Object.entries(settings)) {
    assert.equal(await valueOf(other.page, name), String(value), name);
  }
  const second = await other.run();
  assert.equal(second.text, first.text);
  assert.equal(second.run_digest, first.run_digest);
  await lab.page.close();
  await other.page.close();
});

test("a folded setting out of range is unfolded and named, and nothing runs", { skip: noBrowser },
  async () => {
    const lab = await openDemo();
    const { page } = lab;
    await lab.set("typical_p", "2");
    await page.waitForSelector('.more[open] #setting-typical_p[aria-invalid="true"]');
    const obstacle = await page.$eval("#run-obstacle", (node) => node.textContent);
    assert.match(obstacle, /Typical-p must be a number from 0\.001 to 1/);
    await page.click("#run");
    assert.equal(await page.evaluate(() => document.activeElement.id), "setting-typical_p");
    assert.equal(await page.$eval(".output", (node) => node.hidden), true);
    await lab.set("constrain", "gbnf");
    await lab.set("rules", "root ::= (");
    await lab.set("typical_p", "1");
    const failed = await lab.run();
    assert.equal(failed.state, "failed");
    assert.match((await lab.message("The run failed")).text, /grammar|rule|root/i);
    await page.close();
  });
