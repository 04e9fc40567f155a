/**
 * The memory a model needs, as one thin bar split into its parts, with the same numbers in
 * words beside it. The bar is SVG with widths as attributes, since the CSP forbids inline style.
 */
import { el } from "./element.js";
import { bytesText } from "./quantity.js";

const SVG = "http://www.w3.org/2000/svg";
const PARTS = [
  ["weights_bytes", "weights"], ["kv_bytes", "KV cache"], ["workspace_bytes", "workspace"],
];

/** `{ dom, show(memory) }` of `{ weights_bytes, kv_bytes, workspace_bytes, total_bytes }`. */
export function createMemoryBar() {
  const dom = el("div.memory");
  let shown = "";
  return {
    dom,
    show(memory) {
      const key = JSON.stringify(memory ?? null);
      if (key === shown) return;
      shown = key;
      dom.hidden = !memory;
      if (memory) dom.replaceChildren(...content(memory));
    },
  };
}

function content(memory) {
  const parts = PARTS.filter(([key]) => memory[key] > 0);
  const total_bytes = memory.total_bytes ?? parts.reduce((sum, [key]) => sum + memory[key], 0);
  const bar = document.createElementNS(SVG, "svg");
  bar.setAttribute("viewBox", "0 0 100 1");
  bar.setAttribute("preserveAspectRatio", "none");
  bar.setAttribute("aria-hidden", "true");
  let x = 0;
  for (const [key] of parts) {
    const width = (memory[key] / total_bytes) * 100;
    const part = document.createElementNS(SVG, "rect");
    for (const [name, value] of Object.entries({ x, y: 0, width, height: 1, class: key })) {
      part.setAttribute(name, value);
    }
    bar.append(part);
    x += width;
  }
  const legend = parts.map(([key, words]) => el("li", {},
    el(`span.swatch.${key}`), `${words} ${bytesText(memory[key])}`));
  return [
    el("p.memory-total", {}, el("span", {}, "Memory needed"), el("b", {}, bytesText(total_bytes))),
    bar, el("ul.legend", {}, legend),
  ];
}
