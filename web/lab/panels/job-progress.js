/**
 * The one job that reads or writes files: phase, bytes, rate, time left, pause and stop; and the
 * question that it waits with, if it has one.
 */
import { jobProgress } from "../state/selectors.js";
import { el, setShown, setText } from "../ui/element.js";
import { icon } from "../ui/icon.js";
import { bytesText, durationText, shareText } from "../ui/quantity.js";

const KIND_WORDS = { import: "Importing", open: "Opening", keep: "Keeping", export: "Saving" };
const PHASE_WORDS = {
  "": "Starting", fetch: "Loading", read: "Reading", import: "Converting", keep: "Copying",
  export: "Converting", verify: "Checking values",
};

export function createJobProgress({ commands }) {
  const title = el("p.job-title");
  const bar = el("progress", { "aria-label": "Progress", max: "1" });
  const facts = el("p.job-facts");
  const question = el("p.job-question", { role: "alert", hidden: true });
  const goOn = el("button", { type: "button", onclick: commands.goOn }, "Go on anyway");
  const pause = el("button", { type: "button", onclick: commands.pauseJob }, "Pause");
  const stop = el("button", { type: "button", onclick: commands.stopJob },
    icon("stop"), el("span", {}, "Stop"));
  const dom = el("div.job", { hidden: true },
    title, bar, facts, question, el("div.row", {}, goOn, pause, stop));
  return {
    dom,
    update({ intake: { job } }) {
      setShown(dom, job !== null);
      if (!job) return;
      const { share, bytesPerSecond, secondsLeft } = jobProgress(job);
      setText(title, `${KIND_WORDS[job.kind]} ${job.name}`);
      setText(question, job.question);
      setShown(question, job.question !== "");
      setShown(goOn, job.question !== "");
      setShown(pause, job.question === "");
      setText(pause, job.isPaused ? "Resume" : "Pause");
      if (share === null) bar.removeAttribute("value");
      else bar.value = share;
      const words = [job.isPaused ? "Paused" : PHASE_WORDS[job.phase]];
      if (share !== null) {
        words.push(`${bytesText(job.doneBytes)} of ${bytesText(job.totalBytes)}`);
        words.push(shareText(share));
      }
      if (bytesPerSecond) words.push(`${bytesText(bytesPerSecond)}/s`);
      if (secondsLeft !== null) words.push(leftWords(secondsLeft));
      setText(facts, words.join(" · "));
    },
  };
}

/** An estimate does not know milliseconds. */
function leftWords(seconds) {
  return seconds < 1 ? "under 1 s left" : `${durationText(Math.round(seconds) * 1000)} left`;
}
