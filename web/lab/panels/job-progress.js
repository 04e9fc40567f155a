/**
 * Progress of the one job that reads files: phase, bytes, rate, time left and a stop button.
 */
import { jobProgress } from "../state/selectors.js";
import { el, setShown, setText } from "../ui/element.js";
import { icon } from "../ui/icon.js";
import { bytesText, durationText, shareText } from "../ui/quantity.js";

const PHASE_WORDS = {
  "": "Starting", fetch: "Loading", read: "Reading", import: "Converting",
  verify: "Checking values",
};

export function createJobProgress({ commands }) {
  const title = el("p.job-title");
  const bar = el("progress", { "aria-label": "Progress", max: "1" });
  const facts = el("p.job-facts");
  const stop = el("button", { type: "button", onclick: commands.stopJob },
    icon("stop"), el("span", {}, "Stop"));
  const dom = el("div.job", { hidden: true }, title, bar, facts, stop);
  return {
    dom,
    update({ intake: { job } }) {
      setShown(dom, job !== null);
      if (!job) return;
      const { share, bytesPerSecond, secondsLeft } = jobProgress(job);
      setText(title, `${job.kind === "import" ? "Importing" : "Opening"} ${job.name}`);
      if (share === null) bar.removeAttribute("value");
      else bar.value = share;
      const words = [PHASE_WORDS[job.phase] ?? job.phase];
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
