/**
 * Where models come in: the demo, the file picker, the import format, and halves of a llama2.c
 * pair that wait for their partner. While no model is open it tells a newcomer what there is.
 */
import { missingRole } from "../state/selectors.js";
import { settingRow } from "../state/setting-table.js";
import { event } from "../state/events.js";
import { el, setChildren, setShown, setText } from "../ui/element.js";
import { icon } from "../ui/icon.js";
import { bytesText } from "../ui/quantity.js";
import { createSettingField } from "../ui/setting-field.js";

const ROLE_WORDS = {
  checkpoint: "the checkpoint (.bin)", tokenizer: "its tokenizer (tokenizer.bin)",
};

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
      const entries = Object.entries(intake.kept);
      showKept(kept, entries, commands);
      const role = missingRole(intake);
      setText(missing, role ? `Still needed: ${ROLE_WORDS[role]}. Drop it to start.` : "");
      setShown(missing, Boolean(role));
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
  const source = el("a", {
    href: "https://huggingface.co/karpathy/tinyllamas", target: "_blank", rel: "noreferrer",
  }, "karpathy/tinyllamas");
  return el("div.guide", {},
    el("h2", {}, "Open a small language model"),
    el("p", {}, "It runs inside this page, on this machine. Nothing is sent anywhere."),
    el("div.demo", {}, demo,
      el("p", { id: "demo-words" }, el("strong", {}, "sprout"),
        ", a model of 1.1 million parameters that tells very short stories and answers questions"
          + " about them. 2.2 MiB from this page’s own host; free for any use (CC0).")),
    el("h3", {}, "Or a model of your own"),
    el("dl.guide-files", {},
      el("div", {}, el("dt", {}, "One file"),
        el("dd", {}, "A Cultivar package, ", el("code", {}, ".slm"), ".")),
      el("div", {}, el("dt", {}, "Or two files"),
        el("dd", {}, "Any llama2.c checkpoint with its ", el("code", {}, "tokenizer.bin"),
          ", together or one after the other, such as ", el("code", {}, "stories260K.bin"),
          " and ", el("code", {}, "tok512.bin"), " from ", source, "."))));
}

function showKept(list, entries, commands) {
  setShown(list, entries.length > 0);
  setChildren(list, JSON.stringify(entries), () =>
    entries.map(([role, { name, bytes, note }]) => el("li", {},
    icon("done"),
    el("span", {}, el("strong", {}, name), ` ${role}, ${bytesText(bytes)}`,
      note ? `, ${note}` : ""),
    el("button.icon-button", {
      type: "button", "aria-label": `Forget ${name}`, title: `Forget ${name}`,
      onclick: () => commands.dropKept(role),
    }, icon("close")))));
}
