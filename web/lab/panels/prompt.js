/**
 * The asking half of the completion: prompt, sampling settings, run, stop and the shareable link.
 */
import { event } from "../state/events.js";
import { isRunning, runObstacle } from "../state/selectors.js";
import { SETTINGS, settingRow } from "../state/setting-table.js";
import { createCopyButton } from "../ui/copy-button.js";
import { el, setText } from "../ui/element.js";
import { icon } from "../ui/icon.js";
import { createSettingField } from "../ui/setting-field.js";

export function createPrompt({ dispatch, commands, linkOf }) {
  const onChange = (name, text) => dispatch(event("settingChanged", { name, text }));
  const prompt = createSettingField(settingRow("prompt"), onChange);
  const rows = SETTINGS.filter((row) => row.scope === "run");
  const fields = rows.map((row) => createSettingField(row, onChange));
  const obstacle = el("p.obstacle", { id: "run-obstacle" });
  const run = el("button.primary", {
    type: "submit", id: "run", "aria-describedby": "run-obstacle", "aria-keyshortcuts":
      "Control+Enter Meta+Enter",
  }, icon("run"), el("span", {}, "Run"), el("kbd", {}, "Ctrl ↵"));
  const stop = el("button", {
    type: "button", id: "stop", onclick: commands.stop, "aria-keyshortcuts": "Escape",
  }, icon("stop"), el("span", {}, "Stop"), el("kbd", {}, "Esc"));
  const link = createCopyButton({
    label: "Copy link to this prompt and these settings", shownLabel: "Copy link",
    iconName: "link", textOf: linkOf,
  });
  const settings = el("fieldset.settings", {}, el("legend", {}, "Sampling"),
    fields.map((field) => field.dom));
  const dom = el("form.prompt", { novalidate: true, onsubmit: onSubmit },
    prompt.dom, settings, el("div.row", {}, run, stop, link), obstacle);

  function onSubmit(submit) {
    submit.preventDefault();
    const bad = [prompt, ...fields].find(({ input }) => input.ariaInvalid === "true");
    if (bad) bad.input.focus();
    else commands.run();
  }
  return {
    dom,
    update(state) {
      for (const field of [prompt, ...fields]) field.update(state.settings);
      const problem = isRunning(state) ? null : runObstacle(state);
      setText(obstacle, problem ?? "");
      run.setAttribute("aria-disabled", String(problem !== null || isRunning(state)));
      stop.setAttribute("aria-disabled", String(state.run.status !== "running"));
    },
  };
}
