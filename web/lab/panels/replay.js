/**
 * Records of runs: save the one on show, compute one again, and what came of that.
 */
import { shownTurns } from "../state/selectors.js";
import { el, setShown, setText } from "../ui/element.js";
import { icon } from "../ui/icon.js";

export function createReplay({ commands }) {
  const redact = el("input", { type: "checkbox", id: "redact" });
  const save = el("button", {
    type: "button", onclick: () => commands.saveRecord(redact.checked),
  }, icon("save"), "Save record");
  const input = el("input.visually-hidden", {
    type: "file", tabindex: "-1", "aria-label": "Record", accept: ".json", onchange: onPick,
  });
  const pick = el("button", { type: "button", onclick: () => input.click() },
    icon("again"), "Replay a record");
  const stop = el("button", { type: "button", onclick: commands.stopReplay }, icon("stop"), "Stop");
  const session = el("button", { type: "button", onclick: commands.saveSession },
    icon("save"), "Save session");
  const verdict = el("p.verdict", { role: "status" });
  const dom = el("details.replay", {}, el("summary", {}, el("h2", {}, "Records")),
    el("p.field-hint", {}, "A record names a run wholly. Replaying it computes it again and "
      + "compares every token and all logits."),
    el("div.row", {}, save, el("label.check", { for: redact.id }, redact, "without the prompt"),
      pick, input, stop, session), verdict);

  function onPick() {
    const [file] = input.files;
    input.value = ""; // So that the same file can be picked again.
    if (file) commands.replay(file);
  }
  return {
    dom,
    update(state) {
      const { replay } = state;
      const { run } = shownTurns(state);
      setShown(save, Boolean(run?.report));
      setShown(redact.parentNode, Boolean(run?.report));
      setShown(session, Boolean(run));
      setShown(stop, replay.status === "running");
      if (replay.status !== "idle") dom.open = true;
      setText(verdict, verdictWords(replay));
      verdict.dataset.same = replay.replayed?.same_bits ?? "";
    },
  };
}

function verdictWords({ status, name, n_steps, n_total, replayed }) {
  if (status === "idle") return "";
  if (status === "running") return `Replaying ${name}: ${n_steps} of ${n_total} tokens…`;
  const { same_bits, first_difference: first } = replayed;
  if (same_bits) return `Same bits: all ${replayed.n_steps} tokens and their logits. ${name}`;
  if (!first) return `Same tokens, other logits. ${name}`;
  const { step, recorded_token, token, recorded_digest, digest } = first;
  const what = recorded_token === token
    ? `token ${token} is the same, its logits are not`
    : `token ${recorded_token ?? "none"} was recorded, here it is ${token ?? "none"}`;
  const recorded = recorded_digest ?? "not recorded";
  return `Differs at step ${step + 1}: ${what} (digest ${recorded}, here ${digest}). ${name}`;
}
