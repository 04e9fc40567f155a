/**
 * Where models come in: the demo, the file picker, the import format, and files that wait for
 * others of their model. While no model is open it tells a newcomer what there is.
 */
import { settingRow } from "../state/setting-table.js";
import { event } from "../state/events.js";
import { el, setChildren, setShown, setText } from "../ui/element.js";
import { icon } from "../ui/icon.js";
import { bytesText } from "../ui/quantity.js";
import { createSettingField } from "../ui/setting-field.js";

const GUIDE = [
  ["GGUF", "One file, or all parts of a split one."],
  ["Hugging Face", "The folder, or its files: safetensors, config.json, tokenizer."],
  ["llama2.c", "A checkpoint and its tokenizer.bin."],
  ["Cultivar", "A package, .slm."],
];

export function createIntake({ dispatch, commands }) {
  const input = el("input.visually-hidden", {
    type: "file", multiple: true, id: "file-input", tabindex: "-1", "aria-label": "Model files",
    onchange: onPick,
  });
  const pick = el("button", { type: "button", onclick: () => input.click() },
    icon("file"), el("span", {}, "Choose files"));
  const format = createSettingField(settingRow("format"), (name, text) =>
    dispatch(event("settingChanged", { name, text })));
  const kept = el("ul.kept");
  const missing = el("p.kept-missing", { role: "status" });
  const dom = el("div.intake", {},
    createGuide(commands),
    el("div.dropzone", {}, el("p.dropzone-words", {}, "Drop files anywhere, or"), pick, input),
    kept, missing, format.dom);

  function onPick() {
    const files = [...input.files];
    input.value = ""; // So that the same file can be picked again.
    commands.openFiles(files);
  }
  return {
    dom,
    update({ intake, settings }) {
      format.update(settings);
      showKept(kept, intake.kept, commands);
      setText(missing, intake.missing && `Still needed: ${intake.missing}. Drop it to start.`);
      setShown(missing, intake.missing !== "");
    },
  };
}

/** The demo first; then the keyboard stands on Run, unless the person has moved it elsewhere. */
function createGuide(commands) {
  const demo = el("button.primary", {
    type: "button", id: "load-demo", "aria-describedby": "demo-words", onclick: loadDemo,
  }, icon("run"), el("span", {}, "Load the demo"));
  async function loadDemo() {
    if (!await commands.openDemo()) return;
    requestAnimationFrame(() => {
      const isFree = [demo, document.body].includes(document.activeElement);
      if (isFree) document.getElementById("run").focus();
    });
  }
  return el("div.guide", {},
    el("h2", {}, "Open a small language model"),
    el("p", {}, "It runs inside this page, on this machine. Nothing is sent anywhere."),
    el("div.demo", {}, demo,
      el("p", { id: "demo-words" }, el("strong", {}, "sprout"),
        ", a model of 1.1 million parameters that tells very short stories and answers questions"
          + " about them. 2.2 MiB from this page’s own host; free for any use (CC0).")),
    el("h3", {}, "Or a model of your own"),
    el("dl.guide-files", {},
      GUIDE.map(([what, words]) => el("div", {}, el("dt", {}, what), el("dd", {}, words)))),
    el("p", {}, "It is converted once and kept in this browser."));
}

function showKept(list, files, commands) {
  setShown(list, files.length > 0);
  setChildren(list, JSON.stringify(files), () => [
    ...files.map(({ name, bytes, note }) => el("li", {}, icon("done"),
      el("span", {}, el("strong", {}, name), ` ${bytesText(bytes)}, ${note}`))),
    el("li", {}, el("button.quiet", { type: "button", onclick: commands.dropKept }, "Forget them")),
  ]);
}
