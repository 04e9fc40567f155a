/**
 * Lets files be dropped anywhere on the window and says so while they hover over it.
 * It hands the files on and knows nothing about them.
 */
import { el, setShown } from "../ui/element.js";
import { icon } from "../ui/icon.js";

export function createDropWindow({ commands }) {
  const words = el("p", {}, icon("file"), "Drop to open");
  const dom = el("div.drop-window", { hidden: true, "aria-hidden": "true" }, words);
  let depth = 0; // dragenter and dragleave fire for every element crossed.

  function listen(type, onEvent) {
    window.addEventListener(type, (drag) => {
      if (!drag.dataTransfer?.types.includes("Files")) return;
      drag.preventDefault();
      onEvent(drag);
      setShown(dom, depth > 0);
    });
  }
  listen("dragenter", () => { depth += 1; });
  listen("dragleave", () => { depth = Math.max(0, depth - 1); });
  listen("dragover", (drag) => { drag.dataTransfer.dropEffect = "copy"; });
  listen("drop", (drag) => {
    depth = 0;
    commands.openDrop(drag.dataTransfer);
  });
  return { dom, update() {} };
}
