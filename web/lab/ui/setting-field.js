/**
 * One labelled field for one row of the settings table, with its hint and, while the typed text
 * is not valid, the sentence saying what it must be. It decides nothing.
 */
import { el, setText } from "./element.js";

/** `{ dom, input, update(settings) }`; `onChange(name, text)` hears every edit. */
export function createSettingField(row, onChange) {
  const id = `setting-${row.name}`;
  const problem = el("p.field-problem", { id: `${id}-problem`, hidden: true });
  const hint = el("p.field-hint", { id: `${id}-hint` }, row.hint ?? "");
  const input = createInput(row, {
    id, name: row.name, "aria-describedby": `${hint.id} ${problem.id}`,
  });
  input.addEventListener("input", () => onChange(row.name, input.value));
  const label = el("label", { for: id }, row.label);
  const dom = el(`div.field.field-${row.kind}`, {}, label, input, hint, problem);

  return {
    dom,
    input,
    update({ values, invalid }) {
      const bad = invalid[row.name];
      const text = bad ? bad.text : String(values[row.name]);
      if (input.value !== text && !isBeingTyped(input, row, text)) input.value = text;
      input.setAttribute("aria-invalid", bad ? "true" : "false");
      setText(problem, bad ? bad.problem : "");
      problem.hidden = !bad;
    },
  };
}

/** "0." on the way to "0.5" already means 0: what is typed stays while it means the same. */
function isBeingTyped(input, row, text) {
  const isNumber = ["real", "whole", "seed"].includes(row.kind);
  const isFocused = document.activeElement === input && input.value.trim() !== "";
  return isNumber && isFocused && Number(input.value) === Number(text);
}

function createInput(row, attributes) {
  if (row.kind === "text" || row.kind === "lines") {
    return el("textarea", { ...attributes, rows: 2, spellcheck: "false", autocomplete: "off" });
  }
  if (row.kind === "choice") {
    const options = row.choices.map(([value, words]) => el("option", { value }, words));
    return el("select", attributes, options);
  }
  const inputmode = !(row.min >= 0) ? "text" : row.kind === "real" ? "decimal" : "numeric";
  return el("input", { ...attributes, type: "text", inputmode, autocomplete: "off" });
}
