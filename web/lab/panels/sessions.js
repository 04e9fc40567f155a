/**
 * The sessions over the open model, side by side: choose, open, close. Shows state
 * only.
 */
import { event } from "../state/events.js";
import { activeTurn, titleOf } from "../state/selectors.js";
import { el, setChildren } from "../ui/element.js";
import { icon } from "../ui/icon.js";

export function createSessions({ dispatch, commands }) {
  const list = el("ul.tabs");
  const add = el("button.icon-button", {
    type: "button", "aria-label": "New session", title: "New session",
    onclick: () => dispatch(event("sessionOpened")),
  }, icon("add"));
  const dom = el("div.sessions", {},
    el("nav.row", { "aria-label": "Sessions" }, list, add));

  function createTab({ id, title, isCurrent, isBusy }) {
    const choose = el("button.tab", {
      type: "button", "aria-current": isCurrent ? "true" : false,
      onclick: () => dispatch(event("sessionChosen", { id })),
    }, isBusy ? el("span.busy", { role: "img", "aria-label": "writing" }) : null, title);
    const close = el("button.icon-button", {
      type: "button", "aria-label": `Close ${title}`, title: "Close session",
      onclick: () => commands.closeSession(id),
    }, icon("close"));
    return el("li", {}, choose, close);
  }
  return {
    dom,
    update({ sessions, settings }) {
      const tabs = sessions.list.map((session) => {
        const isCurrent = session.id === sessions.current;
        const { values } = isCurrent ? settings : session.settings;
        const title = titleOf(session, values.prompt);
        return { id: session.id, title, isCurrent, isBusy: Boolean(activeTurn(session)) };
      });
      const { activeElement } = document;
      const isInside = list.contains(activeElement);
      setChildren(list, JSON.stringify(tabs), () => tabs.map(createTab));
      // The list is drawn anew: the keyboard stays on the session on show.
      if (isInside && !list.contains(document.activeElement)) {
        list.querySelector("[aria-current]").focus();
      }
    },
  };
}
