/**
 * The small window over a token with the likeliest tokens at its place; choosing one goes on from
 * there. The browser's own popover: it closes on Escape, on a click elsewhere, and gives the
 * focus back.
 */
import { el } from "../../ui/element.js";

/** Room between the token and its window, and between that and the page's edge. */
const GAP_PX = 6;

/** `onChoose(turn, nth, token)` hears the choice. */
export function createAlternatives(onChoose) {
  const title = el("p.label");
  const list = el("ul");
  const note = el("p.field-hint");
  const dom = el("div.alternatives", {
    popover: "auto", role: "dialog", "aria-label": "Alternatives of a token",
    // Escape is the popover's here, and no stop of a run.
    onkeydown: (key) => key.key === "Escape" && key.stopPropagation(),
  }, title, list, note);
  let anchor = null;
  dom.addEventListener("toggle", ({ newState }) => {
    if (newState === "closed") anchor?.focus({ preventScroll: true });
  });

  function createRow({ id, text, logprob }, isChosen, choose) {
    const share = Math.exp(logprob) * 100;
    const words = share < 0.1 ? "< 0.1 %" : `${share.toFixed(1)} %`;
    return el("li", {}, el("button.quiet", {
      type: "button", "aria-current": isChosen ? "true" : false, "data-id": id,
      "aria-disabled": choose ? false : "true", onclick: choose,
    }, el("code", {}, visible(text)), el("span", {}, words)));
  }
  function place(at) {
    const box = at.getBoundingClientRect();
    const { offsetWidth, offsetHeight } = dom;
    const left = Math.min(box.left, innerWidth - offsetWidth - GAP_PX);
    const below = box.bottom + GAP_PX;
    const isBelow = below + offsetHeight < innerHeight;
    const top = isBelow ? below : Math.max(GAP_PX, box.top - offsetHeight - GAP_PX);
    dom.style.left = `${Math.max(GAP_PX, left)}px`;
    dom.style.top = `${top}px`;
  }
  return {
    dom,
    /** Shows what else the token could have been; `obstacle` says why none can be chosen. */
    show(at, turn, nth, obstacle) {
      const chosen = turn.tokens[nth];
      const top = chosen.top ?? [];
      const isListed = top.some(({ id }) => id === chosen.id);
      const tokens = isListed ? top : [...top, chosen];
      title.textContent = `Token ${nth + 1} could have been`;
      note.textContent = obstacle ?? "Choose one to write on from there.";
      list.replaceChildren(...tokens.map((token) => {
        const isChosen = token.id === chosen.id;
        return createRow(token, isChosen, isChosen || obstacle ? null : () => {
          dom.hidePopover();
          onChoose(turn, nth, token);
        });
      }));
      anchor = at;
      dom.showPopover();
      place(at);
      list.querySelector("button").focus();
    },
  };
}

/** Spaces and line ends as signs, since they are what distinguishes tokens. */
function visible(text) {
  return text.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥") || "∅";
}
