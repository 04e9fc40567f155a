/**
 * What the engine measured about itself, as a table for people and as versioned JSON to copy.
 * Rows follow from the document: a name's last part is its unit, so new measures need no code.
 */
import { diagnosticsDocument, isRunning } from "../state/selectors.js";
import { event } from "../state/events.js";
import { settingRow } from "../state/setting-table.js";
import { createCopyButton } from "../ui/copy-button.js";
import { el, setText } from "../ui/element.js";
import { diagnosticRows } from "../ui/diagnostic-rows.js";
import { icon } from "../ui/icon.js";
import { createSettingField } from "../ui/setting-field.js";

export function createDiagnostics({ dispatch, commands }) {
  let key = "";
  const tables = el("div.diagnostics");
  const json = el("pre", { tabindex: "0", role: "region", "aria-label": "Diagnostics as JSON" });
  const withTexts = el("input", { type: "checkbox", id: "with-texts", onchange: show });
  const copy = createCopyButton({
    label: "Copy diagnostics as JSON", shownLabel: "Copy JSON", textOf: () => json.textContent,
  });
  const save = el("button.quiet", {
    type: "button", onclick: () => commands.saveDiagnostics(withTexts.checked),
  }, icon("save"), "Save JSON");
  const profile = el("button.quiet", { type: "button", onclick: commands.profile },
    "Reload to time operators");
  const watts = createSettingField(settingRow("watts"), (name, text) =>
    dispatch(event("settingChanged", { name, text })));
  const dom = el("details.diagnostics-panel", {},
    el("summary", {}, el("h2", {}, "Diagnostics")),
    el("div.row", {}, copy, save, profile, el("label.check", { for: "with-texts" }, withTexts,
      "with prompt and text")), watts.dom,
    tables, el("details", {}, el("summary", {}, "JSON"), json));
  dom.addEventListener("toggle", show);
  let state = null;

  function show() {
    if (!state || !dom.open) return;
    const text = JSON.stringify(diagnosticsDocument(state, withTexts.checked), null, 2);
    if (text === key) return;
    key = text;
    setText(json, text);
    const groups = diagnosticRows(diagnosticsDocument(state, false));
    tables.replaceChildren(...groups.map(([group, rows]) => createTable(group, rows)));
  }
  return {
    dom,
    update(next) {
      state = next;
      watts.update(next.settings);
      if (!isRunning(next)) show();
    },
  };
}

function createTable(group, rows) {
  const lines = rows.map(([name, value]) =>
    el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value)));
  return el("table", {}, el("caption", {}, group), el("tbody", {}, lines));
}
