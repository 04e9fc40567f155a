/**
 * A list of named facts (a `dl`), rebuilt only when its rows change. Values are text or nodes.
 */
import { el, setChildren } from "./element.js";

/** `{ dom, show(rows) }`, rows being [name, value] with empty values left out. */
export function createFactList(className = "facts") {
  const dom = el(`dl.${className}`);
  return {
    dom,
    /** `key` tells whether anything changed; without it the rows' text does. */
    show(rows, key = JSON.stringify(rows)) {
      setChildren(dom, key, () => rows.filter(([, value]) => (value ?? null) !== null)
        .map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
    },
  };
}
