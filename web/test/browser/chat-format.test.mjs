/**
 * A chat in the format that a model's own template names: the demo as a Hugging Face folder with a
 * ChatML template, imported, opened and talked to in Chromium.
 */
import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { sproutAs } from "./foreign-files.mjs";
import { launch, noBrowser, openLab } from "./lab-browser.mjs";

let chrome;
before(async () => {
  if (!noBrowser) chrome = await launch();
});
after(() => chrome?.close());

const TEMPLATE = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
  + "message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
  + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** The demo's folder with the template. */
async function folder() {
  const files = await sproutAs("safetensors");
  const chat = { name: "chat_template.jinja", bytes: Buffer.from(TEMPLATE) };
  return [...files.filter(({ name }) => name !== chat.name), chat];
}

test("a chat is rendered by the model's own template, runs, and goes on", { skip: noBrowser },
  async () => {
    const fragment = "#v=1&mode=chat&prompt=&system=Be+brief.&temperature=0.6&max_tokens=8"
      + "&ignore_stop=yes&banned_tokens=1";
    const lab = await openLab(chrome.browser, { fragment });
    const { page } = lab;
    await lab.drop(...await folder());
    await page.waitForFunction(() => document.body.dataset.stage === "ready"
      && document.querySelector(".job").hidden, { timeout: 120_000 });
    assert.doesNotMatch(await page.$eval(".prompt", (prompt) => prompt.innerText),
      /no chat format known here/);
    const say = async (text, n) => {
      await page.focus("#setting-prompt");
      await page.keyboard.type(text);
      await page.keyboard.press("Enter");
      await page.waitForFunction((count) =>
        document.querySelectorAll(".turn-model").length === count
          && document.getElementById("output").dataset.status === "done", {}, n);
      return (await lab.diagnostics()).run;
    };
    const first = await say("Hello", 1);
    assert.equal(first.settings.ignore_stop, true);
    assert.deepEqual(first.settings.banned_tokens, [1]);
    const second = await say("And then?", 2);
    for (const { output_ids: ids } of [first, second]) assert.equal(ids.length, 8);
    // What the engine was given, in words: the turns of the template, the system prompt first.
    const texts = await page.evaluate(async ({ kitUrl, ids }) => {
      const { Cultivar } = await import(kitUrl);
      const kit = await Cultivar.open();
      const response = await fetch("demo/sprout.slm");
      const model = await kit.openPackage(await response.blob());
      const texts = await Promise.all(ids.map((list) => model.detokenize(list)));
      kit.close();
      return texts;
    }, { kitUrl: "./runtime/cultivar.js", ids: [first.prompt_ids, second.prompt_ids] });
    const turn = (role, text) => `<|im_start|>${role}\n${text}<|im_end|>\n`;
    const asks = "<|im_start|>assistant\n";
    assert.ok(texts[0].endsWith(turn("system", "Be brief.") + turn("user", "Hello") + asks));
    assert.ok(texts[1].endsWith(turn("user", "And then?") + asks));
    assert.doesNotMatch(texts[1], /Hello/, "the second turn reads its new tokens alone");
    await page.close();
  });
