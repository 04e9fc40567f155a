/**
 * The memory a model needs, as one thin bar split into its parts, with the same numbers in
 * words beside it. The bar is SVG with widths as attributes, since the CSP forbids inline style.
 */
import { el, setChildren, setShown, svg } from "./element.js";
import { bytesText } from "./quantity.js";

const PARTS = [
  ["weights_bytes", "weights"], ["kv_bytes", "KV cache"], ["workspace_bytes", "workspace"],
];

/** `{ dom, show(memory) }` of `{ weights_bytes, kv_bytes, workspace_bytes, total_bytes }`. */
export function createMemoryBar() {
  const dom = el("div.memory");
  return {
    dom,
    show(memory) {
      setShown(dom, Boolean(memory));
      if (memory) setChildren(dom, JSON.stringify(memory), () => content(memory));
    },
  };
}

function content(memory) {
  const parts = PARTS.filter(([key]) => memory[key] > 0);
  const total_bytes = memory.total_bytes ?? parts.reduce((sum, [key]) => sum + memory[key], 0);
  const attributes = { viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" };
  let end = 0;
  const bar = svg("svg", attributes, ...parts.map(([key]) => {
    const width = (memory[key] / total_bytes) * 100;
    end += width;
    return svg("rect", { x: end - width, y: 0, width, height: 1, class: key });
  }));
  const legend = parts.map(([key, words]) => el("li", {},
    el(`span.swatch.${key}`), `${words} ${bytesText(memory[key])}`));
  return [
    el("p.memory-total", {}, el("span", {}, "Memory needed"), el("b", {}, bytesText(total_bytes))),
    bar, el("ul.legend", {}, legend),
  ];
}
