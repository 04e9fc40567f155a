/**
 * Chats and several sessions, with the demo model in Chromium: sending by keyboard, stop, branches
 * by editing and by writing again, and that a second turn reads its new tokens alone.
 */
import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { launch, noBrowser, openLab } from "./lab-browser.mjs";

let chrome;
before(async () => {
  if (!noBrowser) chrome = await launch();
});
after(() => chrome?.close());

const SETTINGS = "&temperature=0.6&max_tokens=24";

/** The demo with a chat on show. */
async function openChat(fragment = `#v=1&mode=chat&prompt=${SETTINGS}`) {
  const lab = await openLab(chrome.browser, { fragment });
  await lab.page.click("#load-demo");
  await lab.opened("sprout.slm");
  await lab.page.focus("#setting-prompt");
  return lab;
}

/** What is said on the path on show: `[[role, text], …]`. */
const said = (page) => page.$$eval(".turn", (turns) => turns.map((turn) =>
  [turn.className.replace(/.*turn-/, ""), turn.querySelector(".turn-text").innerText]));

/** Waits until the answer to that many messages is written. */
const answered = (page, n) => page.waitForFunction((count) =>
  document.querySelectorAll(".turn-model").length === count
    && document.getElementById("output").dataset.status === "done"
    && document.querySelector(".turn-model:last-child .turn-actions:not([hidden])"), {}, n);

/** Presses the button of that name in the last turn of a role. */
const pressIn = (page, role, name) => page.$$eval(`.turn-${role}`, (turns, label) =>
  turns.at(-1).querySelector(`[aria-label="${label}"]`).click(), name);

async function type(page, text) {
  await page.keyboard.type(text);
  await page.keyboard.press("Enter");
}

test("Enter sends, Shift+Enter does not, and the plain format is said", { skip: noBrowser },
  async () => {
    const lab = await openChat();
    const { page } = lab;
    await page.waitForFunction(() =>
      document.querySelector(".prompt").innerText.includes("no chat format known here"));
    assert.equal(await page.$eval("#run", (run) => run.ariaDisabled), "true");
    await page.keyboard.type("One");
    await page.keyboard.down("Shift");
    await page.keyboard.press("Enter");
    await page.keyboard.up("Shift");
    await type(page, "day");
    await answered(page, 1);
    const [message, answer] = await said(page);
    assert.deepEqual(message, ["user", "One\nday"]);
    assert.equal(answer[0], "model");
    assert.match(answer[1], /\w/);
    assert.equal(await page.$eval("#setting-prompt", (field) => field.value), "");
    assert.equal(await page.evaluate(() => document.activeElement.id), "setting-prompt");
    assert.deepEqual(lab.problems, []);
    await page.close();
  });

test("the second turn reads its new tokens alone, and says so", { skip: noBrowser }, async () => {
  const lab = await openChat();
  const { page } = lab;
  await type(page, "Once there was a small fox in the forest and a kind child named Zoe.");
  await answered(page, 1);
  const first = (await lab.diagnostics()).run;
  await page.focus("#setting-prompt");
  await type(page, "And then?");
  await answered(page, 2);
  const second = (await lab.diagnostics()).run;
  const n_before = first.prompt_ids.length + first.output_ids.length;
  assert.ok(first.prompt_ids.length > 20);
  assert.ok(second.prompt_ids.length < n_before, "the whole conversation was read again");
  assert.ok(second.diagnostics.n_rows < n_before + second.output_ids.length);
  await page.close();
});

test("an edited message and an answer written again are branches", { skip: noBrowser },
  async () => {
    const { page } = await openChat();
    await type(page, "Once");
    await answered(page, 1);
    const first = await said(page);
    await pressIn(page, "user", "Edit and branch");
    await page.waitForFunction(() => document.activeElement.ariaLabel === "Edited message");
    await page.keyboard.type(" more");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() =>
      document.querySelector(".turn-user .branch-place").textContent === "2/2");
    await answered(page, 1);
    assert.equal((await said(page))[0][1], "Once more");
    await pressIn(page, "user", "Previous prompt");
    await page.waitForFunction(() =>
      document.querySelector(".turn-user .branch-place").textContent === "1/2");
    assert.deepEqual(await said(page), first);
    await pressIn(page, "model", "Write again with the same seed");
    await page.waitForFunction(() =>
      document.querySelector(".turn-model .branch-place").textContent === "2/2");
    await answered(page, 1);
    assert.deepEqual(await said(page), first);
    await pressIn(page, "model", "Write again with the next seed");
    await page.waitForFunction(() =>
      document.querySelector(".turn-model .branch-place").textContent === "3/3");
    await answered(page, 1);
    assert.notDeepEqual(await said(page), first);
    assert.equal(await page.$eval("#setting-seed", (field) => field.value), "1");
    await page.close();
  });

test("a link to a chat gives the same answer", { skip: noBrowser }, async () => {
  const { page } = await openChat(`#v=1&mode=chat&prompt=Tell+me&seed=3&system=Kind.${SETTINGS}`);
  await page.keyboard.press("Enter");
  await answered(page, 1);
  const first = await said(page);
  await page.waitForFunction(() => location.hash.includes("weights=")
    && location.hash.includes("prompt=Tell+me"));
  const other = await openChat(await page.evaluate(() => location.hash));
  await other.page.keyboard.press("Enter");
  await answered(other.page, 1);
  assert.deepEqual(await said(other.page), first);
  await page.close();
  await other.page.close();
});

test("Escape stops the session on show, and what was written stays", { skip: noBrowser },
  async () => {
    const { page } = await openChat("#v=1&mode=chat&prompt=&temperature=0.6&max_tokens=200");
    await type(page, "Once there was a story, a long one.");
    await page.waitForFunction(() =>
      document.querySelector(".turn-model .output-written")?.textContent.length > 0);
    await page.keyboard.press("Escape");
    await answered(page, 1);
    const state = await page.$eval(".measures dd", (node) => node.textContent);
    assert.match(state, /stopped by you|the model ended|stop text|max tokens/);
    await page.focus("#setting-prompt");
    await type(page, "Go on.");
    await answered(page, 2);
    await page.close();
  });

test("sessions stand side by side, each with its text and settings", { skip: noBrowser },
  async () => {
    const lab = await openLab(chrome.browser);
    const { page } = lab;
    await page.click("#load-demo");
    await lab.opened("sprout.slm");
    const first = await lab.run({ max_tokens: 12 });
    await page.click('[aria-label="New session"]');
    await lab.set("prompt", "copy: LAMP =>");
    await lab.set("temperature", "0");
    assert.equal((await lab.run({ max_tokens: 9 })).text, " LAMP");
    await lab.press("Once there was");
    await page.waitForFunction(() =>
      document.querySelector("#setting-temperature").value === "0.6");
    const again = await lab.result();
    assert.equal(again.text, first.text);
    assert.equal(again.run_digest, first.run_digest);
    await page.click('[aria-label="Close Once there was"]');
    await page.waitForFunction(() =>
      document.querySelector(".output-written").textContent === " LAMP");
    await page.click("#mode-chat + label");
    await page.waitForFunction(() => document.querySelectorAll(".tab").length === 2);
    await page.waitForSelector('#workbench[data-mode="chat"]');
    assert.deepEqual(lab.problems, []);
    await page.close();
  });

test("two sessions write at once, each the text that it writes alone", { skip: noBrowser },
  async () => {
    const lab = await openLab(chrome.browser);
    const { page } = lab;
    await page.click("#load-demo");
    await lab.opened("sprout.slm");
    const first = await lab.run({ max_tokens: 120, temperature: 0.9 });
    const second = await lab.run({ prompt: "Once there was a dog", seed: 9 });
    await page.click('[aria-label="New session"]');
    await lab.set("prompt", "Once there was");
    await lab.set("seed", "4");
    await page.click("#run");
    await page.click('[aria-label="New session"]');
    await lab.set("prompt", "Once there was a dog");
    await lab.set("seed", "9");
    const again = await lab.run();
    assert.equal(again.run_digest, second.run_digest);
    await page.$$eval(".tab", (tabs) => tabs[1].click());
    await page.waitForFunction((text) =>
      document.querySelector(".output-written").textContent === text, {}, first.text);
    await page.waitForSelector('#output[data-status="done"]');
    assert.equal((await lab.result()).run_digest, first.run_digest);
    assert.deepEqual(lab.problems, []);
    await page.close();
  });

test("a prompt longer than the context says by how many tokens", { skip: noBrowser }, async () => {
  const lab = await openChat();
  const { page } = lab;
  const send = async (n_words) => {
    await lab.set("prompt", "cat ".repeat(n_words));
    await page.focus("#setting-prompt");
    await page.keyboard.press("Enter");
  };
  const refused = async (n_words) => {
    await send(n_words);
    const { text } = await lab.message("The run failed");
    await lab.dismissAll();
    return /(\d+) tokens too long for the context of (\d+)/.exec(text).slice(1).map(Number);
  };
  const [n_over, context_len] = await refused(400);
  await lab.press("Clear");
  const [n_less] = await refused(399);
  await lab.press("Clear");
  // A prompt that fits has as many tokens as these say.
  await send(20);
  await answered(page, 1);
  const { run } = await lab.diagnostics();
  const n_tokens = context_len + n_over - 380 * (n_over - n_less);
  assert.equal(run.diagnostics.n_prompt_tokens, n_tokens);
  assert.deepEqual(lab.problems, []);
  await page.close();
});

test("a cache budget refuses by name what does not fit, and what is kept makes room",
  { skip: noBrowser }, async () => {
    const fragment = "#v=1&max_tokens=200&ignore_stop=yes&cache_mib=0.3";
    const lab = await openLab(chrome.browser, { fragment });
    await lab.page.click("#load-demo");
    await lab.opened("sprout.slm");
    await lab.run();
    const { text } = await lab.message("The run failed");
    assert.match(text, /budget of 31457/);
    await lab.dismissAll();
    // Room for one such run and a bit: each new one needs that of the one before.
    const { model } = await lab.diagnostics();
    const mib = 1.3 * model.memory.kv_bytes / 2 ** 20;
    await lab.set("cache_mib", mib.toFixed(3));
    for (const seed of [1, 2, 3]) await lab.run({ prompt: `Once ${seed}`, seed });
    const { run } = await lab.diagnostics();
    assert.equal(run.diagnostics.n_output_tokens, 200);
    assert.ok(run.diagnostics.memory.kv_bytes <= Math.ceil(mib * 2 ** 20));
    assert.deepEqual(lab.problems, []);
    await lab.page.close();
  });
