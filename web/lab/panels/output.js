/**
 * The answering half of the completion: the text as it is written, how fast, why it ended and
 * the run's digest. Text is appended, never redrawn, so a selection survives while it streams.
 */
import { isRunning, runTimes } from "../state/selectors.js";
import { createAnnouncer } from "../ui/announcer.js";
import { createCopyButton } from "../ui/copy-button.js";
import { el, setShown, setText } from "../ui/element.js";
import { createFactList } from "../ui/fact-list.js";
import { durationText, rateText, wholeText } from "../ui/quantity.js";

const STOP_WORDS = {
  stop_token: "the model ended its text", max_tokens: "max tokens reached",
  context_full: "context full", cancelled: "stopped by you",
  grammar_end: "the grammar is complete",
};
const STATUS_WORDS = { running: "writing…", stopping: "stopping…", failed: "failed" };

export function createOutput({ now }) {
  const prompt = el("span.output-prompt");
  const written = document.createTextNode("");
  const caret = el("span.caret", { "aria-hidden": "true", hidden: true });
  const announcer = createAnnouncer(now);
  const text = el("div.output-text", {
    id: "output", role: "region", "aria-label": "Output", tabindex: "0",
  }, prompt, el("span.output-written", {}, written), caret);
  const measures = createFactList("measures");
  const hex = el("code");
  const copyDigest = createCopyButton({
    label: "Copy run digest", textOf: () => hex.textContent,
  });
  const copyText = createCopyButton({
    label: "Copy prompt and output", shownLabel: "Copy text",
    textOf: () => prompt.textContent + written.data,
  });
  const digest = el("div.run-digest", { hidden: true },
    el("span.label", {}, "Run digest"), hex, copyDigest);
  const foot = el("div.output-foot", {}, digest, copyText);
  const dom = el("div.output", { hidden: true }, text, announcer.dom, measures.dom, foot);
  let number = 0;
  let spokenNumber = 0;

  function showText(run) {
    if (run.number !== number || !run.text.startsWith(written.data)) {
      number = run.number;
      written.data = "";
      setText(prompt, run.prompt);
      announcer.restart();
    }
    const isAtEnd = text.scrollHeight - text.scrollTop - text.clientHeight < 24;
    if (run.text.length > written.data.length) {
      written.appendData(run.text.slice(written.data.length));
      if (isAtEnd) text.scrollTop = text.scrollHeight;
    }
  }

  /** A run may be over before the first frame that shows it: its end is spoken all the same. */
  function announce(run, isOver) {
    if (!isOver) announcer.follow(run.text, false);
    else if (run.status !== "idle" && run.number !== spokenNumber) {
      spokenNumber = run.number;
      announcer.follow(run.text, true, `${stateWords(run)}, ${run.n_tokens} tokens.`);
    }
  }
  return {
    dom,
    update(state) {
      const { run } = state;
      setShown(dom, run.status !== "idle");
      showText(run);
      announce(run, !isRunning(state));
      setShown(caret, isRunning(state));
      text.dataset.status = run.status;
      text.dataset.run = run.number;
      measures.show(measureRows(run));
      const run_digest = run.report?.run_digest ?? "";
      setText(hex, run_digest);
      setShown(digest, run_digest !== "");
      setShown(copyText, run.status === "done" || run.status === "failed");
    },
  };
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
  ];
}
