/**
 * How an adapter fits the model: a row per field with what it came to, why, and what to do.
 */
import { el, setChildren, setShown } from "../../ui/element.js";

const STATUS_WORDS = {
  matches: "matches", warning: "differs", refused: "does not fit", not_checked: "not checked",
};

/** `{ dom, show(fields) }`; without fields they are on their way. */
export function createFitList() {
  const rows = el("dl.facts");
  const waiting = el("p.field-hint", {}, "Checking with the mix as it is…");
  return {
    dom: el("div", {}, waiting, rows),
    show(fields) {
      setShown(waiting, !fields);
      setShown(rows, Boolean(fields));
      if (fields) setChildren(rows, JSON.stringify(fields), () => fields.map(row));
    },
  };
}

const row = ({ field, status, message, advice }) => el("div", {},
  el("dt", {}, field.replaceAll("_", " ")),
  el("dd", { "data-fit": status }, STATUS_WORDS[status],
    [message, advice].filter(Boolean).map((words) => el("p.field-hint", {}, words))));
