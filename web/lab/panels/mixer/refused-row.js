/**
 * An adapter that was refused: its name and which of its fields do not fit the open model.
 */
import { el } from "../../ui/element.js";
import { icon } from "../../ui/icon.js";
import { createFitList } from "./fit-list.js";

/** The row of `{ id, name, fields }`, which never changes. */
export function createRefusedRow({ id, name, fields }, { commands }) {
  const label = `Forget ${name}`;
  const forget = el("button.icon-button", {
    type: "button", "aria-label": label, title: label, onclick: () => commands.removeAdapter(id),
  }, icon("close"));
  const fit = createFitList();
  fit.show(fields);
  return el("li.refused-adapter", {},
    el("div.adapter-head", {}, el("strong", {}, name), el("span.badge", {}, "not added"), forget),
    el("details.more", { open: true }, el("summary", {}, "How it fits"), fit.dom));
}
