/**
 * A list of named facts (a `dl`), rebuilt only when its rows change. Values are text or nodes.
 */
import { el } from "./element.js";

/** `{ dom, show(rows) }`, rows being [name, value] with empty values left out. */
export function createFactList(className = "facts") {
  const dom = el(`dl.${className}`);
  let shown = "";
  return {
    dom,
    /** `key` tells whether anything changed; without it the rows' text does. */
    show(rows, key = JSON.stringify(rows)) {
      if (key === shown) return;
      shown = key;
      const present = rows.filter(([, value]) => value !== null && value !== undefined);
      dom.replaceChildren(
        ...present.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
      );
    },
  };
}
