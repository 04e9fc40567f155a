/**
 * Records in Chromium: saved, replayed to the same bits by picking and by dropping, redacted, and
 * changed, which names the first step that differs; sessions and diagnostics as files.
 */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { launch, noBrowser, openLab } from "./lab-browser.mjs";

let chrome;
let folder;
before(async () => {
  if (noBrowser) return;
  chrome = await launch();
  folder = await mkdtemp(join(tmpdir(), "cultivar-records-"));
});
after(async () => {
  await chrome?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

async function openDemo(settings = {}) {
  const lab = await openLab(chrome.browser);
  await lab.page.click("#load-demo");
  await lab.opened("sprout.slm");
  const run = await lab.run({ max_tokens: 24, ...settings });
  await lab.page.$eval(".replay", (panel) => (panel.open = true));
  return { lab, run };
}

/** Presses a button that saves a file; gives what it holds. */
async function saved(lab, words) {
  const session = await chrome.browser.target().createCDPSession();
  await session.send("Browser.setDownloadBehavior",
    { behavior: "allow", downloadPath: folder, eventsEnabled: true });
  let name = "";
  session.on("Browser.downloadWillBegin", ({ suggestedFilename }) => (name = suggestedFilename));
  const isSaved = new Promise((done) => session.on("Browser.downloadProgress", ({ state }) => {
    if (state === "completed") done();
  }));
  await lab.press(words);
  await isSaved;
  const text = await readFile(join(folder, name), "utf8");
  await rm(join(folder, name));
  await session.detach();
  return text;
}

const verdict = async (lab, words) => {
  await lab.page.waitForFunction((wanted) =>
    document.querySelector(".verdict").textContent.includes(wanted), {}, words);
  return lab.page.$eval(".verdict", (node) => node.textContent);
};

async function pick(lab, record) {
  const path = join(folder, "record.json");
  await writeFile(path, JSON.stringify(record));
  const input = await lab.page.$('input[aria-label="Record"]');
  await input.uploadFile(path);
}

test("a record is replayed to the same bits, picked or dropped", { skip: noBrowser }, async () => {
  const { lab, run } = await openDemo();
  const text = await saved(lab, "Save record");
  const record = JSON.parse(text);
  assert.equal(record.schema, "cultivar.replay.v1");
  assert.equal(record.run_digest, run.run_digest);
  assert.equal(record.step_digests.length, record.turns[0].output_ids.length);
  assert.doesNotMatch(text, /Once there was/);
  await pick(lab, record);
  assert.match(await verdict(lab, "Same bits"), /all 24 tokens/);
  const other = await openLab(chrome.browser);
  await other.page.click("#load-demo");
  await other.opened("sprout.slm");
  await other.drop({ name: "dropped.json", bytes: Buffer.from(text) });
  assert.match(await verdict(other, "Same bits"), /dropped\.json/);
  assert.deepEqual([...lab.problems, ...other.problems], []);
  await lab.page.close();
  await other.page.close();
});

test("the first step that differs is named, with its token and digests", { skip: noBrowser },
  async () => {
    const { lab } = await openDemo();
    const record = JSON.parse(await saved(lab, "Save record"));
    const ids = record.turns[0].output_ids;
    const truth = ids[5];
    ids[5] = truth === 7 ? 8 : 7;
    await pick(lab, record);
    const other_token = await verdict(lab, "Differs at step 6");
    assert.match(other_token, new RegExp(`token ${ids[5]} was recorded, here it is ${truth}`));
    ids[5] = truth;
    record.step_digests[3] = "0123456789abcdef";
    await pick(lab, record);
    const other_logits = await verdict(lab, "Differs at step 4");
    assert.match(other_logits, /its logits are not.*0123456789abcdef/);
    await lab.page.close();
  });

test("a redacted record holds its prompt's hash and is replayed with the prompt typed",
  { skip: noBrowser }, async () => {
    const { lab } = await openDemo();
    await lab.page.click("#redact");
    const record = JSON.parse(await saved(lab, "Save record"));
    assert.equal(record.turns[0].prompt_ids, undefined);
    assert.match(record.turns[0].prompt_sha256, /^[0-9a-f]{64}$/);
    await pick(lab, record);
    await verdict(lab, "Same bits");
    await lab.set("prompt", "Another prompt");
    await pick(lab, record);
    await lab.message("record.json was not replayed");
    await lab.page.close();
  });

test("a redacted record of a chat is replayed with the prompts of the chat on show",
  { skip: noBrowser }, async () => {
    const lab = await openLab(chrome.browser, { fragment: "#v=1&mode=chat&max_tokens=8&prompt=" });
    await lab.page.click("#load-demo");
    await lab.opened("sprout.slm");
    for (const [i, prompt] of ["The fox", "And the hen"].entries()) {
      await lab.set("prompt", prompt);
      await lab.page.focus("#setting-prompt");
      await lab.page.keyboard.press("Enter");
      await lab.page.waitForFunction((n) => document.querySelectorAll(".turn-model").length === n
        && document.getElementById("output").dataset.status === "done", {}, i + 1);
    }
    await lab.page.$eval(".replay", (panel) => (panel.open = true));
    await lab.page.click("#redact");
    const record = JSON.parse(await saved(lab, "Save record"));
    assert.equal(record.turns.length, 2);
    assert.ok(record.turns.every((turn) => turn.prompt_ids === undefined));
    await pick(lab, record);
    await verdict(lab, "Same bits");
    await lab.page.close();
  });

test("what is no record is refused by name, and the page goes on", { skip: noBrowser },
  async () => {
    const { lab, run } = await openDemo();
    for (const bad of [{}, { schema: "cultivar.replay.v1", turns: [] }, []]) {
      await pick(lab, bad);
      await lab.message("record.json was not replayed");
      await lab.dismissAll();
    }
    assert.equal((await lab.run()).run_digest, run.run_digest);
    await lab.page.close();
  });

test("a branch's record holds its turns and replays", { skip: noBrowser }, async () => {
  const { lab } = await openDemo({ logprobs: 4 });
  await lab.page.click('.token[data-nth="4"]');
  await lab.page.waitForSelector(".alternatives:popover-open");
  await lab.page.click(".alternatives button:not([aria-current])");
  await lab.page.waitForFunction(() =>
    document.querySelector('[aria-label="Branches: answer"] .branch-place').textContent === "2/2"
      && document.getElementById("output").dataset.status === "done");
  const record = JSON.parse(await saved(lab, "Save record"));
  assert.ok(record.turns.length >= 2);
  await pick(lab, record);
  await verdict(lab, "Same bits");
  await lab.page.close();
});

test("sessions and diagnostics are saved, with text or without; energy is an estimate",
  { skip: noBrowser }, async () => {
    const { lab, run } = await openDemo();
    const session = JSON.parse(await saved(lab, "Save session"));
    assert.equal(session.schema, "cultivar.lab-session.v1");
    assert.equal(session.turns[1].text, run.text);
    assert.equal(session.turns[1].report.run_digest, run.run_digest);
    await lab.set("watts", "20");
    const withText = JSON.parse(await saved(lab, "Save JSON"));
    assert.equal(withText.run.text, run.text);
    const { stated_watts, joules_per_token } = withText.energy_estimate;
    assert.equal(stated_watts, 20);
    assert.ok(joules_per_token > 0);
    await lab.page.click("#with-texts");
    assert.doesNotMatch(await saved(lab, "Save JSON"), new RegExp(run.text.slice(0, 12)));
    const rows = await lab.page.$eval(".diagnostics", (node) => node.textContent);
    assert.match(rows, /energy_estimate.*joules per token/);
    await lab.page.close();
  });
