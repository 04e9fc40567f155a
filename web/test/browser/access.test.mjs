/**
 * The page for everybody: names of controls, order of the keyboard, live regions, focus that can
 * be seen, no sideways scrolling from 360 px on, both themes, and calm where motion is reduced.
 */
import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { goldenFile, launch, noBrowser, openLab } from "./lab-browser.mjs";

const GOOD = "golden-q8_0.slm";

let chrome;
before(async () => {
  if (!noBrowser) chrome = await launch();
});
after(() => chrome?.close());

/** A lab with everything on show: model, run, a message, diagnostics unfolded. */
async function openFull(options) {
  const lab = await openLab(chrome.browser, options);
  await lab.drop(await goldenFile(GOOD));
  await lab.opened(GOOD);
  await lab.run({ prompt: "Once", max_tokens: 24 });
  await lab.drop({ name: "notes.txt", bytes: Buffer.from("not a model") });
  await lab.message("notes.txt");
  return lab;
}

test("every control has a name and every field a label", { skip: noBrowser }, async () => {
  const lab = await openFull();
  const { page } = lab;
  const unlabelled = await page.$$eval("input, select, textarea", (fields) =>
    fields.filter((field) => field.labels.length === 0 && !field.ariaLabel)
      .map((field) => field.outerHTML));
  assert.deepEqual(unlabelled, []);
  const nodes = [];
  const walk = (node) => {
    nodes.push(node);
    (node.children ?? []).forEach(walk);
  };
  walk(await page.accessibility.snapshot());
  const controls = nodes.filter(({ role }) =>
    ["button", "textbox", "combobox", "radio", "checkbox", "link", "region"].includes(role));
  assert.ok(controls.length > 20, `only ${controls.length} controls`);
  assert.deepEqual(controls.filter(({ name }) => !name), []);
  const ids = await page.$$eval("[id]", (all) => all.map(({ id }) => id));
  assert.equal(new Set(ids).size, ids.length, "an id is used twice");
  await page.close();
});

test("the keyboard reaches everything, in reading order, with a visible focus",
  { skip: noBrowser }, async () => {
    const { page } = await openFull();
    await page.evaluate(() => document.activeElement.blur());
    const visited = [];
    for (let step = 0; step < 80; step += 1) {
      await page.keyboard.press("Tab");
      const here = await page.evaluate(() => {
        const node = document.activeElement;
        if (node === document.body) return null;
        const mark = node.matches(".segment input") ? node.nextElementSibling : node;
        const style = getComputedStyle(mark);
        const isMarked = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
        const all = [...document.querySelectorAll("*")];
        const words = node.id || node.ariaLabel || node.textContent.trim();
        return { words, isMarked, at: all.indexOf(node), skip: node.matches(".skip") };
      });
      if (here === null) break;
      visited.push(here);
    }
    assert.equal(visited[0].skip, true, "the first stop is the skip link");
    assert.deepEqual(visited.filter(({ isMarked }) => !isMarked).map(({ words }) => words), []);
    const order = visited.map(({ at }) => at);
    assert.deepEqual(order, [...order].sort((a, b) => a - b), "tab order is not reading order");
    const words = visited.map((stop) => stop.words);
    for (const wanted of ["setting-prompt", "setting-temperature", "setting-seed", "run", "stop",
      "output", "Choose files", "with-texts", "theme-auto"]) {
      assert.ok(words.includes(wanted), `${wanted} cannot be reached:\n${words.join("\n")}`);
    }
    await page.close();
  });

test("output is announced politely, errors as alerts, and dismissing keeps the focus",
  { skip: noBrowser }, async () => {
    const { page } = await openFull();
    const live = await page.$eval(".output [aria-live]", (node) =>
      [node.getAttribute("aria-live"), node.textContent]);
    assert.equal(live[0], "polite");
    assert.match(live[1], /max tokens reached, 24 tokens/);
    assert.equal(await page.$eval("#output", (node) => node.getAttribute("aria-live")), null);
    await page.focus(".message");
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => !document.querySelector(".message"));
    const focused = await page.evaluate(() => document.activeElement.textContent);
    assert.equal(focused, "Choose files");
    await page.close();
  });

test("a setting out of range is named at its field, and Run goes there", { skip: noBrowser },
  async () => {
    const lab = await openFull();
    const { page } = lab;
    await lab.set("top_k", "5000");
    await page.waitForSelector('#setting-top_k[aria-invalid="true"]');
    const problem = await page.$eval("#setting-top_k-problem", (node) => node.textContent);
    assert.match(problem, /1 to 1024/);
    await page.click("#run");
    assert.equal(await page.evaluate(() => document.activeElement.id), "setting-top_k");
    await lab.set("top_k", "50");
    await lab.run();
    await page.close();
  });

test("no sideways scrolling from 360 px to wide, empty or full, and targets large enough",
  { skip: noBrowser }, async () => {
    for (const width of [360, 412, 768, 1024, 1920]) {
      for (const open of [(size) => openLab(chrome.browser, size), openFull]) {
        const { page } = await open({ width, height: 800 });
        const scroll = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(scroll <= width, `${scroll} px wide at ${width}`);
        const small = await page.$$eval("button", (buttons) =>
          buttons.map((button) => [button.textContent, button.getBoundingClientRect()])
            .filter(([, box]) => box.width > 0 && (box.width < 24 || box.height < 24))
            .map(([text]) => text));
        assert.deepEqual(small, []);
        await page.close();
      }
    }
  });

test("both themes follow the system, the switch wins and is remembered", { skip: noBrowser },
  async () => {
    const { page } = await openLab(chrome.browser);
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const prefer = (value) =>
      page.emulateMediaFeatures([{ name: "prefers-color-scheme", value }]);
    await prefer("light");
    const light = await ground();
    await prefer("dark");
    const dark = await ground();
    assert.notEqual(light, dark);
    await page.click("#theme-light + label");
    await page.waitForSelector('html[data-theme="light"]');
    assert.equal(await ground(), light);
    await page.reload();
    await page.waitForSelector('html[data-theme="light"]');
    assert.equal(await ground(), light);
    await page.click("#theme-auto + label");
    await page.close();
  });

test("nothing moves for long where motion is reduced", { skip: noBrowser }, async () => {
  const { page } = await openFull();
  await page.emulateMediaFeatures([{ name: "prefers-reduced-motion", value: "reduce" }]);
  const times = await page.$$eval("button, .caret", (all) => all.flatMap((node) => {
    const { animationDuration, transitionDuration } = getComputedStyle(node);
    return `${animationDuration}, ${transitionDuration}`.split(", ").map(parseFloat);
  }));
  assert.ok(times.every((seconds) => seconds <= 0.001));
  await page.close();
});
