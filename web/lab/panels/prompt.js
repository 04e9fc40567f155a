/**
 * Where a person writes: the text to continue or, in a chat, the next message; run or send, stop,
 * and the shareable link.
 */
import { event } from "../state/events.js";
import { isRunning, sendObstacle } from "../state/selectors.js";
import { settingRow } from "../state/setting-table.js";
import { createCopyButton } from "../ui/copy-button.js";
import { el, setText } from "../ui/element.js";
import { icon } from "../ui/icon.js";
import { createSettingField } from "../ui/setting-field.js";

const WORDS = {
  complete: { label: "Prompt", run: "Run", keys: "Ctrl ↵" },
  chat: { label: "Message", run: "Send", keys: "↵" },
};

/** Alternatives kept per token while tokens are coloured. */
const N_ALTERNATIVES = "8";

export function createPrompt({ dispatch, commands, linkOf }) {
  const prompt = createSettingField(settingRow("prompt"), (name, text) =>
    dispatch(event("settingChanged", { name, text })));
  prompt.input.addEventListener("keydown", onKey);
  const obstacle = el("p.obstacle", { id: "run-obstacle" });
  const format = el("p.obstacle");
  const runWord = el("span");
  const runKeys = el("kbd");
  const run = el("button.primary", {
    type: "submit", id: "run", "aria-describedby": "run-obstacle", "aria-keyshortcuts":
      "Control+Enter Meta+Enter",
  }, icon("run"), runWord, runKeys);
  const stop = el("button", {
    type: "button", id: "stop", onclick: commands.stop, "aria-keyshortcuts": "Escape",
  }, icon("stop"), el("span", {}, "Stop"), el("kbd", {}, "Esc"));
  const link = createCopyButton({
    label: "Copy link to this prompt and these settings", shownLabel: "Copy link",
    iconName: "link", textOf: linkOf,
  });
  const colour = el("input", {
    type: "checkbox", id: "colour", onchange: () => dispatch(event("settingChanged", {
      name: "logprobs", text: colour.checked ? N_ALTERNATIVES : "",
    })),
  });
  const dom = el("form.prompt", { novalidate: true, onsubmit: onSubmit },
    prompt.dom, el("div.row", {}, run, stop,
      el("label.check", { for: colour.id }, colour, "Colour by probability"), link),
    obstacle, format);
  let mode = "complete";
  let invalid = {};

  /** A setting that is not valid is where the keyboard goes; the field says what is wrong. */
  function onSubmit(submit) {
    submit.preventDefault();
    const [bad] = Object.keys(invalid);
    if (bad) document.getElementById(`setting-${bad}`).focus();
    else commands.run();
  }
  function onKey(key) {
    const isSend = mode === "chat" && key.key === "Enter" && !key.shiftKey && !key.isComposing;
    if (isSend && !key.ctrlKey && !key.metaKey) onSubmit(key);
  }
  return {
    dom,
    update(state) {
      ({ invalid } = state.settings);
      ({ mode } = state.settings.values);
      prompt.update(state.settings);
      colour.checked = state.settings.values.logprobs !== "";
      const words = WORDS[mode];
      setText(prompt.dom.firstChild, words.label);
      setText(runWord, words.run);
      setText(runKeys, words.keys);
      const problem = isRunning(state) ? null : sendObstacle(state);
      setText(obstacle, problem ?? "");
      setText(format, mode === "chat" ? formatWords(state.model?.chat) : "");
      run.setAttribute("aria-disabled", String(problem !== null || isRunning(state)));
      stop.setAttribute("aria-disabled", String(!isRunning(state)));
    },
  };
}

function formatWords(chat) {
  if (!chat) return "";
  if (chat.is_recognised) return `Messages are written in the model’s own format, ${chat.format}.`;
  return "The model has no chat format known here: roles are written out, as in a play.";
}
