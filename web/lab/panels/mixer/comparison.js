/**
 * The base and the mix side by side: the same prompt, settings and seed. Each side's run digest
 * names what was computed.
 */
import { createCopyButton } from "../../ui/copy-button.js";
import { el, setShown, setText } from "../../ui/element.js";
import { icon } from "../../ui/icon.js";

const SIDES = [["base", "Base"], ["mix", "Mix"]];
const SHORT_LEN = 12;

export function createComparison({ commands }) {
  const sides = SIDES.map(([side, words]) => {
    const prompt = el("span.output-prompt");
    const text = el("span.output-written");
    const hex = el("code");
    const digest = el("p.assembly", {}, el("span.label", {}, "Run digest"), hex, createCopyButton({
      label: `Copy run digest of the ${side}`, textOf: () => hex.title,
    }));
    const dom = el("section", { "aria-label": words }, el("h3", {}, words),
      el("div.output-text", { "data-mode": "complete", "data-side": side, tabindex: "0" },
        prompt, text), digest);
    return { side, prompt, text, hex, digest, dom };
  });
  const status = el("span.visually-hidden", { role: "status" });
  const close = el("button.icon-button", {
    type: "button", "aria-label": "Close the comparison", title: "Close the comparison",
    onclick: commands.stopComparing,
  }, icon("close"));
  const dom = el("div.panel.comparison", { hidden: true },
    el("header.row", {}, el("h2", {}, "Base and mix"), status, close),
    el("div.comparison-sides", {}, sides.map((side) => side.dom)));
  return {
    dom,
    update({ mix: { comparison } }) {
      setShown(dom, comparison !== null);
      if (!comparison) return;
      dom.dataset.status = comparison.isRunning ? "running" : "done";
      setText(status, comparison.isRunning ? "" : "Both texts are written.");
      for (const { side, prompt, text, hex, digest } of sides) {
        setText(prompt, comparison.prompt);
        setText(text, comparison[side]);
        hex.title = comparison.digests?.[side] ?? "";
        setText(hex, hex.title.slice(0, SHORT_LEN));
        setShown(digest, hex.title !== "");
      }
    },
  };
}
