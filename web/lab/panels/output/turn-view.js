/**
 * One turn on the page: its text, and what can be done with it. A message of a person can be
 * edited in its place; both kinds have branches to step through. What the model wrote is one
 * growing text or, coloured, a span per token that shows its alternatives; it is appended, never
 * redrawn, so a selection survives while it streams.
 */
import { branchOf } from "../../state/selectors.js";
import { isActive } from "../../state/sessions.js";
import { createCopyButton } from "../../ui/copy-button.js";
import { el, setShown, setText } from "../../ui/element.js";
import { icon } from "../../ui/icon.js";

/** Lower bounds of probability; a token's class is how many of them it misses. */
const BOUNDS = [0.9, 0.5, 0.2, 0.05];

/** Characters of a piece: of a growing text the last one is what is laid out anew. */
const PIECE = 4000;

const classOf = (logprob) => BOUNDS.filter((bound) => Math.exp(logprob) < bound).length;

/**
 * Arrow keys go from token to token; Enter, space and a click show the alternatives of one:
 * `onPick(span, nth)`.
 */
function createTokenText(onPick) {
  const dom = el("span.output-written");
  let written = "";
  let n_spans = 0;
  dom.addEventListener("click", ({ target }) => pick(target));
  dom.addEventListener("keydown", onKey);

  function pick(node) {
    const span = node.closest?.("[data-p]");
    if (span) onPick(span, Number(span.dataset.nth));
  }
  function onKey(key) {
    const { target } = key;
    const step = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[key.key];
    const next = step && target[step];
    if (next) {
      target.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    } else if (key.key === "Enter" || key.key === " ") {
      pick(target);
    } else {
      return;
    }
    key.preventDefault();
  }
  function addSpans(tokens, trims) {
    for (const { text, logprob } of tokens.slice(n_spans)) {
      const isFirst = n_spans === 0;
      dom.append(el("span.token", {
        "data-p": logprob === undefined ? null : classOf(logprob), "data-nth": n_spans,
        role: "button", tabindex: isFirst ? 0 : -1,
      }, isFirst && trims ? text.trimStart() : text));
      n_spans += 1;
    }
  }
  return {
    dom,
    /** `trims` leaves out the white space before the text, which belongs to a chat's format. */
    show({ text, tokens }, isColoured, trims) {
      const shown = trims ? text.trimStart() : text;
      if (isColoured !== n_spans > 0 || n_spans > tokens.length || !shown.startsWith(written)) {
        dom.replaceChildren();
        written = "";
        n_spans = 0;
      }
      if (isColoured) {
        addSpans(tokens, trims);
      } else if (shown !== written) {
        if (!(dom.lastChild?.length < PIECE)) dom.append("");
        dom.lastChild.appendData(shown.slice(written.length));
        written = shown;
      }
    },
  };
}

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
    const { value } = input;
    show(false);
    onEdit(turn, value);
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
export function createAnswerView({ onBranch, onAgain, onPick }) {
  let turn = null;
  const written = createTokenText((span, nth) => onPick(span, turn, nth));
  const caret = el("span.caret", { "aria-hidden": "true", hidden: true });
  const branches = createBranches("answer", onBranch);
  const again = createButton("Write again with the next seed", "again",
    () => onAgain(turn, false), "Again");
  const same = createButton("Write again with the same seed", "again",
    () => onAgain(turn, true), "Same seed");
  const copy = createCopyButton({ label: "Copy answer", textOf: () => turn.text });
  const words = el("span", {}, written.dom, caret);
  const actions = el("span.turn-actions", {}, branches.dom, again, same, copy);
  return {
    text: el("div.turn-text", {}, words),
    actions,
    branches: branches.dom,
    words,
    update(session, shown, isColoured, trims) {
      turn = shown;
      written.show(turn, isColoured, trims);
      branches.show(branchOf(session, turn));
      setShown(caret, isActive(turn));
      setShown(actions, !isActive(turn));
    },
  };
}
