/**
 * The sessions over the open model, side by side: choose, open, close; and whether the one on
 * show completes a text or holds a chat. Shows state only.
 */
import { event } from "../state/events.js";
import { activeTurn, titleOf } from "../state/selectors.js";
import { sessionOf } from "../state/sessions.js";
import { settingRow } from "../state/setting-table.js";
import { el, setChildren } from "../ui/element.js";
import { icon } from "../ui/icon.js";

export function createSessions({ dispatch, commands }) {
  let hasTurns = false;
  const list = el("ul.tabs");
  const add = el("button.icon-button", {
    type: "button", "aria-label": "New session", title: "New session",
    onclick: () => dispatch(event("sessionOpened")),
  }, icon("add"));
  const radios = settingRow("mode").choices.map(([value, words]) => {
    const radio = el("input", {
      type: "radio", name: "mode", value, id: `mode-${value}`,
      onchange: () => choose(value),
    });
    return [radio, el("span.segment", {}, radio, el("label", { for: radio.id }, words))];
  });
  const modes = el("fieldset.segments", {}, el("legend.visually-hidden", {}, "Mode"),
    radios.map(([, segment]) => segment));
  const dom = el("div.sessions", {}, modes,
    el("nav.row", { "aria-label": "Sessions" }, list, add));

  /** Turns of a chat are none of a completion: the other mode begins a session of its own. */
  function choose(mode) {
    if (hasTurns) dispatch(event("sessionOpened"));
    dispatch(event("settingChanged", { name: "mode", text: mode }));
  }
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
      for (const [radio] of radios) radio.checked = radio.value === settings.values.mode;
      hasTurns = sessionOf(sessions).turns.length > 0;
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
