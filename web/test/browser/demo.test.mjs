/**
 * A newcomer's path: an empty page, its first action loads the demo, one more press writes the
 * text that the same run gives natively; and what is said where a host lacks the demo.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test, { after, before } from "node:test";
import { dataFile, goldenFile, launch, noBrowser, noData, openLab } from "./lab-browser.mjs";

const NAME = "sprout.slm";
const FAMILY = new URL("../../../fixtures/family/", import.meta.url);

let chrome;
let told;
before(async () => {
  if (noBrowser) return;
  chrome = await launch();
  told = JSON.parse(await readFile(new URL("demo.json", FAMILY), "utf8"));
});
after(() => chrome?.close());

const focused = (page) => page.evaluate(() => document.activeElement.id);

/** Lets `answer(request)` take the place of the host's answer for the demo. */
async function answerDemo(page, answer) {
  await page.setRequestInterception(true);
  page.on("request", (request) => {
    if (request.url().endsWith(`demo/${NAME}`)) request.respond(answer);
    else request.continue();
  });
}

test("by keyboard alone: the demo is the first action, then Run, then its text",
  { skip: noBrowser }, async () => {
    const lab = await openLab(chrome.browser);
    const { page } = lab;
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    assert.equal(await focused(page), "load-demo");
    const words = await page.$eval("#demo-words", (node) => node.textContent);
    const { length } = await readFile(new URL(NAME, FAMILY));
    assert.ok(words.includes(`${(length / 2 ** 20).toPrecision(2)} MiB`), words);
    assert.match(words, /1\.1 million parameters/);

    await page.keyboard.press("Enter");
    await lab.opened(NAME);
    const card = await page.$eval("#card-place", (node) => node.textContent);
    assert.match(card, /sprout.*1\.12 M parameters.*2\.15 MiB/);
    assert.match(card, /CC0-1\.0/);
    await page.waitForFunction(() => document.activeElement.id === "run");
    await page.keyboard.press("Enter");
    await page.waitForSelector('#output[data-status="done"]');
    const shown = await lab.result();
    assert.equal(shown.prompt, told.prompt);
    assert.equal(shown.text, told.text);
    assert.equal(shown.run_digest, told.run_digest);
    assert.equal(shown.state, "the model ended its text");
    for (const [name, value] of Object.entries(told.settings)) {
      const typed = await page.$eval(`[name="${name}"]`, (field) => field.value);
      assert.equal(typed, String(value), name);
    }
    assert.deepEqual(lab.problems, []);
    await page.close();
  });

test("settings that somebody chose stay theirs", { skip: noBrowser }, async () => {
  const fragment = "#v=1&prompt=copy%3A+LAMP+%3D%3E&temperature=0&max_tokens=9";
  const lab = await openLab(chrome.browser, { fragment });
  await lab.page.click("#load-demo");
  await lab.opened(NAME);
  const shown = await lab.run();
  assert.equal(shown.prompt, "copy: LAMP =>");
  assert.equal(shown.text, " LAMP");
  await lab.page.close();
});

test("a link to the demo's run reproduces it", { skip: noBrowser }, async () => {
  const lab = await openLab(chrome.browser);
  await lab.page.click("#load-demo");
  await lab.opened(NAME);
  await lab.page.waitForFunction(() => location.hash.includes("weights="));
  const fragment = await lab.page.evaluate(() => location.hash);
  const other = await openLab(chrome.browser, { fragment });
  await other.page.click("#load-demo");
  await other.opened(NAME);
  assert.equal((await other.run()).run_digest, told.run_digest);
  assert.equal(await other.page.$eval(".card-other", (node) => node.hidden), true);
  await lab.page.close();
  await other.page.close();
});

/** Rows of the host's answer and what the page must then say. */
const WITHOUT = [
  [{ status: 404, body: "not here" }, /demo\/sprout\.slm.*404/, /lack its demo/],
  [{ status: 200, contentType: "text/html", body: "<!doctype html>" }, /./, /package/],
];

for (const [answer, detail, advice] of WITHOUT) {
  test(`a host that answers ${answer.status} without the demo is named, and the page goes on`,
    { skip: noBrowser }, async () => {
      const lab = await openLab(chrome.browser);
      await answerDemo(lab.page, answer);
      await lab.page.click("#load-demo");
      const message = await lab.message(`${NAME} could not be opened`);
      assert.match(message.text, detail);
      assert.match(message.advice, advice);
      assert.equal(message.role, "alert");
      await lab.page.waitForSelector('[data-stage="empty"] #load-demo');
      await lab.drop(await goldenFile("golden-q8_0.slm"));
      await lab.opened("golden-q8_0.slm");
      await lab.page.close();
    });
}

test("a model of one's own takes the demo's place", { skip: noData }, async () => {
  const lab = await openLab(chrome.browser);
  await lab.page.click("#load-demo");
  await lab.opened(NAME);
  await lab.drop(await dataFile("models/stories260K/stories260K.bin"),
    await dataFile("models/stories260K/tok512.bin"));
  await lab.opened("stories260K.slm");
  assert.match((await lab.run({ max_tokens: 8 })).text, /\w/);
  await lab.page.close();
});
