/**
 * One turn on the page: its text, and what can be done with it. A message of a person can be
 * edited in its place; both kinds have branches to step through.
 */
import { branchOf } from "../../state/selectors.js";
import { isActive } from "../../state/sessions.js";
import { createCopyButton } from "../../ui/copy-button.js";
import { el, setShown, setText } from "../../ui/element.js";
import { icon } from "../../ui/icon.js";

function createButton(label, iconName, onclick, words = null) {
  const face = words ? "button.quiet" : "button.icon-button";
  return el(face, { type: "button", title: label, "aria-label": label, onclick },
    icon(iconName), words && el("span", {}, words));
}

/** ‹ 1/3 ›; `onChoose(id)` hears the branch stepped to. */
function createBranches(noun, onChoose) {
  let around = [];
  const back = createButton(`Previous ${noun}`, "back", () => around[0] && onChoose(around[0].id));
  const next = createButton(`Next ${noun}`, "next", () => around[1] && onChoose(around[1].id));
  const place = el("span.branch-place");
  const dom = el("span.branches", { role: "group", "aria-label": `Branches: ${noun}` },
    back, place, next);
  return {
    dom,
    show({ nth, turns }) {
      around = [turns[nth - 1], turns[nth + 1]];
      setShown(dom, turns.length > 1);
      setText(place, `${nth + 1}/${turns.length}`);
      back.setAttribute("aria-disabled", String(!around[0]));
      next.setAttribute("aria-disabled", String(!around[1]));
    },
  };
}

/** `{ text, actions, update(session, turn, state) }` of a prompt or message of a person. */
export function createPromptView({ onBranch, onEdit }) {
  let turn = null;
  const words = el("span.output-prompt");
  const input = el("textarea", { rows: 2, "aria-label": "Edited message", onkeydown: onKey });
  const edit = createButton("Edit and branch", "edit", () => show(true));
  const send = el("button", { type: "button", onclick: keep }, "Send as branch");
  const cancel = el("button.quiet", { type: "button", onclick: () => show(false) }, "Cancel");
  const form = el("div.edit", { hidden: true }, input, el("div.row", {}, send, cancel));
  const branches = createBranches("prompt", onBranch);
  const copy = createCopyButton({ label: "Copy message", textOf: () => turn.text });

  function show(isEditing) {
    setShown(form, isEditing);
    setShown(words, !isEditing);
    input.value = turn.text;
    (isEditing ? input : edit).focus();
  }
  function keep() {
    show(false);
    onEdit(turn, input.value);
  }
  function onKey(key) {
    if (key.key === "Escape") show(false);
    else if (key.key === "Enter" && !key.shiftKey && !key.isComposing) keep();
    else return;
    key.preventDefault();
    key.stopPropagation();
  }
  return {
    text: el("div.turn-text", {}, words, form),
    actions: el("span.turn-actions", {}, branches.dom, edit, copy),
    branches: branches.dom,
    words,
    update(session, shown) {
      turn = shown;
      setText(words, turn.text);
      branches.show(branchOf(session, turn));
    },
  };
}

/** The same of what the model wrote. */
export function createAnswerView({ onBranch, onAgain }) {
  let turn = null;
  const written = document.createTextNode("");
  const caret = el("span.caret", { "aria-hidden": "true", hidden: true });
  const branches = createBranches("answer", onBranch);
  const again = createButton("Write again with the next seed", "again",
    () => onAgain(turn, false), "Again");
  const same = createButton("Write again with the same seed", "again",
    () => onAgain(turn, true), "Same seed");
  const copy = createCopyButton({ label: "Copy answer", textOf: () => turn.text });
  const words = el("span", {}, el("span.output-written", {}, written), caret);
  const actions = el("span.turn-actions", {}, branches.dom, again, same, copy);
  return {
    text: el("div.turn-text", {}, words),
    actions,
    branches: branches.dom,
    words,
    update(session, shown) {
      turn = shown;
      // Appended, never redrawn, so that a selection survives while it streams.
      if (!turn.text.startsWith(written.data)) written.data = "";
      if (turn.text.length > written.data.length) {
        written.appendData(turn.text.slice(written.data.length));
      }
      branches.show(branchOf(session, turn));
      setShown(caret, isActive(turn));
      setShown(actions, !isActive(turn));
    },
  };
}
