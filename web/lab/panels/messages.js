/**
 * Failures and notes, newest first, each with what is wrong and what to do. Errors are alerts;
 * every message can be focused and dismissed, and focus moves on to a sensible place.
 */
import { event } from "../state/events.js";
import { el, setShown } from "../ui/element.js";
import { icon } from "../ui/icon.js";

export function createMessages({ dispatch }) {
  const dom = el("div.messages", { hidden: true });
  const shown = new Map(); // id → node: kept, so that alerts are not announced again.

  function dismiss(id) {
    const node = shown.get(id);
    const next = node.nextElementSibling ?? node.previousElementSibling;
    (next ?? document.getElementById("file-input").previousElementSibling).focus();
    dispatch(event("messageDismissed", { id }));
  }

  function createMessage({ id, tone, title, detail, advice, count }) {
    const close = el("button.icon-button", {
      type: "button", "aria-label": `Dismiss: ${title}`, title: "Dismiss",
      onclick: () => dismiss(id),
    }, icon("close"));
    const times = count > 1 ? el("span.badge", {}, `${count} times`) : null;
    const words = el("div", {}, el("p.message-title", {}, title, times), el("p", {}, detail),
      advice ? el("p.message-advice", {}, advice) : null);
    const role = tone === "error" ? "alert" : "status";
    const dataset = { "data-tone": tone, "data-id": id, tabindex: "0", role };
    const mark = icon(tone === "error" ? "alert" : "note");
    return el("div.message", { ...dataset, onkeydown: onKey }, mark, words, close);

    function onKey(key) {
      if (key.key !== "Escape") return;
      key.stopPropagation();
      dismiss(id);
    }
  }
  return {
    dom,
    update({ messages: { list } }) {
      const ids = new Set(list.map(({ id }) => id));
      for (const [id, node] of shown) {
        if (ids.has(id)) continue;
        node.remove();
        shown.delete(id);
      }
      for (const message of [...list].reverse()) {
        if (shown.has(message.id)) continue;
        const node = createMessage(message);
        shown.set(message.id, node);
        dom.prepend(node);
      }
      setShown(dom, list.length > 0);
    },
  };
}
