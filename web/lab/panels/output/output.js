/**
 * What was asked and answered in the session on show: in a completion one text, in a chat a list
 * of messages; how fast, why it ended, and the run's digest.
 */
import { event } from "../../state/events.js";
import { isRunning, runTimes, shownTurns } from "../../state/selectors.js";
import { createAnnouncer } from "../../ui/announcer.js";
import { createCopyButton } from "../../ui/copy-button.js";
import { el, setShown, setText } from "../../ui/element.js";
import { createFactList } from "../../ui/fact-list.js";
import { durationText, rateText, wholeText } from "../../ui/quantity.js";
import { createAlternatives } from "./alternatives.js";
import { createAnswerView, createPromptView } from "./turn-view.js";

const STOP_WORDS = {
  stop_token: "the model ended its text", max_tokens: "max tokens reached",
  context_full: "context full", cancelled: "stopped by you",
  grammar_end: "the grammar is complete", stop_string: "a stop text was reached",
};
const STATUS_WORDS = { running: "writing…", stopping: "stopping…", failed: "failed" };
const ROLE_WORDS = { user: "You", model: "Model" };

export function createOutput({ dispatch, commands, now }) {
  const text = el("div.output-text", {
    id: "output", role: "region", "aria-label": "Output", tabindex: "0",
  });
  const actions = el("div.row.output-actions");
  const announcer = createAnnouncer(now);
  const measures = createFactList("measures");
  const hex = el("code");
  const digest = el("div.run-digest", { hidden: true }, el("span.label", {}, "Run digest"), hex,
    createCopyButton({ label: "Copy run digest", textOf: () => hex.textContent }));
  const legend = el("span.token-legend", { "aria-hidden": "true" }, "likely",
    [0, 1, 2, 3, 4].map((p) => el("span.token", { "data-p": p }, " ")), "unlikely");
  const alternatives = createAlternatives(commands.branchAt);
  const dom = el("div.output", { hidden: true }, text, announcer.dom,
    el("div.row", {}, legend, actions), measures.dom, digest, alternatives.dom);
  const copyAll = createCopyButton({
    label: "Copy prompt and output", shownLabel: "Copy text",
    textOf: () => textOf(shownTurns(last.state).path, text.dataset.mode),
  });
  const clear = el("button.quiet", {
    type: "button", onclick: () => commands.clearSession(last.session.id),
  }, "Clear");
  const views = new Map(); // turn id → view, of the session on show
  let last = { state: null, session: null, path: "" };
  let spoken = "";

  const on = {
    onBranch: (turn) => dispatch(event("branchChosen", { session: last.session.id, turn })),
    onEdit: commands.editMessage,
    onAgain: commands.again,
    onPick(span, turn, nth) {
      const isBound = last.state.settings.values.constrain !== "none";
      alternatives.show(span, turn, nth, isRunning(last.state) ? "Wait until it is written."
        : isBound ? "Under a schema or grammar none can be chosen." : null);
    },
  };

  /** Lays the path out anew when it is another one; texts that stay are not touched. */
  function layOut(session, path, mode) {
    const key = `${mode} ${session.id} ${path.map(({ id }) => id)}`;
    if (key === last.path) return;
    if (session.id !== last.session?.id || path.length === 0) views.clear();
    const shown = path.map((turn) => {
      if (!views.has(turn.id)) {
        views.set(turn.id, turn.role === "user" ? createPromptView(on) : createAnswerView(on));
      }
      return [turn, views.get(turn.id)];
    });
    if (mode === "complete") {
      text.replaceChildren(...shown.map(([, view]) => view.words));
      // A prompt is edited in its field; here one only steps through those that there were.
      actions.replaceChildren(...shown.map(([{ role }, view]) =>
        (role === "user" ? view.branches : view.actions)), copyAll);
    } else {
      for (const [, view] of shown) {
        view.text.prepend(view.words);
        view.actions.prepend(view.branches);
      }
      text.replaceChildren(...shown.map(([{ role }, view]) => el(`article.turn.turn-${role}`,
        { "aria-label": ROLE_WORDS[role] }, el("p.turn-role", {}, ROLE_WORDS[role]), view.text,
        view.actions)));
      actions.replaceChildren(clear, copyAll);
    }
    last.path = key;
    announcer.restart();
    text.scrollTop = text.scrollHeight;
  }

  /** A run may be over before the first frame that shows it: its end is spoken all the same. */
  function announce(session, run, isOver) {
    const name = `${session.id}.${run.id}`;
    if (!isOver) announcer.follow(run.text, false);
    else if (name !== spoken) {
      announcer.follow(run.text, true, `${stateWords(run)}, ${run.n_tokens} tokens.`);
    }
    if (isOver) spoken = name;
  }
  return {
    dom,
    update(state) {
      const { session, path, run } = shownTurns(state);
      const { mode, logprobs } = state.settings.values;
      setShown(dom, path.length > 0);
      text.dataset.mode = mode;
      let hasColours = false;
      const isAtEnd = text.scrollHeight - text.scrollTop - text.clientHeight < 24;
      layOut(session, path, mode);
      Object.assign(last, { state, session });
      for (const turn of path) {
        const isColoured = logprobs !== "" && Boolean(turn.tokens?.[0]?.top);
        hasColours ||= isColoured;
        views.get(turn.id).update(session, turn, isColoured, mode === "chat");
      }
      setShown(legend, hasColours);
      if (isAtEnd) text.scrollTop = text.scrollHeight;
      text.dataset.status = run?.status ?? "idle";
      text.dataset.run = run ? `${session.id}.${run.id}` : "";
      if (!run) return;
      announce(session, run, !isRunning(state));
      measures.show(measureRows(run));
      const run_digest = run.report?.run_digest ?? "";
      setText(hex, run_digest);
      setShown(digest, run_digest !== "");
    },
  };
}

function textOf(path, mode) {
  if (mode !== "chat") return path.map(({ text }) => text).join("");
  return path.map(({ role, text }) => `${ROLE_WORDS[role]}: ${text.trim()}`).join("\n\n");
}

function stateWords(run) {
  return STATUS_WORDS[run.status] ?? STOP_WORDS[run.stopReason] ?? run.stopReason ?? "";
}

function measureRows(run) {
  const { firstTokenMs, tokensPerSecond } = runTimes(run);
  return [
    ["State", stateWords(run)],
    ["Tokens", wholeText(run.n_tokens)],
    ["Speed", tokensPerSecond === null ? "–" : rateText(tokensPerSecond, "tokens")],
    ["First token", firstTokenMs === null ? "–" : durationText(firstTokenMs)],
    ["Seed", run.seed],
  ];
}
