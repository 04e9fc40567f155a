/** The page's icons: path data on a 16 × 16 grid, drawn as lines in the current colour. */
import { svg } from "./element.js";

const PATHS = Object.freeze({
  run: "M5 3.2v9.6l7.6-4.8z",
  stop: "M4 4h8v8H4z",
  copy: "M5.5 5.5h8v8h-8z M10.5 5.5v-3h-8v8h3",
  done: "M3 8.6l3.2 3.2L13 4.6",
  close: "M4 4l8 8 M12 4l-8 8",
  add: "M8 3.2v9.6 M3.2 8h9.6",
  again: "M12.8 8a4.8 4.8 0 1 1-1.5-3.5 M12.8 2.2v2.9H9.9",
  edit: "M3 13l.7-3L10.6 3.1l2.3 2.3L6 12.3z",
  back: "M9.6 3.6L5.2 8l4.4 4.4",
  next: "M6.4 3.6L10.8 8l-4.4 4.4",
  save: "M8 2.5v7.5 M4.8 7L8 10.2 11.2 7 M2.8 13.2h10.4",
  file: "M4 1.8h5.2L12.4 5v9.2H4z M9 1.8V5.2h3.4",
  link: "M6.5 9.5l3-3 M7.2 4.8l1.3-1.3a2.8 2.8 0 0 1 4 4l-1.3 1.3 M8.8 11.2l-1.3 1.3a2.8 2.8 0 0 1"
    + "-4-4l1.3-1.3",
  grip: "M6 4v.01 M10 4v.01 M6 8v.01 M10 8v.01 M6 12v.01 M10 12v.01",
  alert: "M8 2.2l6.2 11H1.8z M8 6.4v3.2 M8 11.4v.3",
  note: "M8 1.8a6.2 6.2 0 1 0 .01 0 M8 7.2v4 M8 4.8v.3",
});

/** The icon of that name; decorative, hidden from screen readers. */
export function icon(name) {
  const attributes = { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" };
  return svg("svg", attributes, svg("path", { d: PATHS[name] }));
}
