/**
 * Speaks a growing text to screen readers in whole sentences with pauses, through one polite
 * live region beside the visible text: each token by itself would be unbearable by ear.
 */
import { el } from "./element.js";

/** At least this long between two announcements, so each can be heard out. */
const PAUSE_MS = 2500;

/** `{ dom, say(text), follow(text, isOver) }`; `now()` gives milliseconds. */
export function createAnnouncer(now) {
  const dom = el("div.visually-hidden", { "aria-live": "polite", "aria-atomic": "true" });
  let said_len = 0;
  let saidMs = -Infinity;

  function say(text) {
    dom.textContent = text;
    saidMs = now();
  }
  return {
    dom,
    say,
    /** Starts a new text from its beginning. */
    restart() {
      said_len = 0;
    },
    /** Announces what is new in `text`, cut at the end of a sentence unless the text is over. */
    follow(text, isOver, closing = "") {
      const end_len = isOver ? text.length : lastSentenceEnd(text);
      if (!isOver && (end_len <= said_len || now() - saidMs < PAUSE_MS)) return;
      say(`${text.slice(said_len, end_len)} ${closing}`.trim());
      said_len = end_len;
    },
  };
}

/** Length of `text` up to its last full stop, question or exclamation mark, or line end. */
export function lastSentenceEnd(text) {
  const ends = [".", "!", "?", "\n"].map((mark) => text.lastIndexOf(mark));
  return Math.max(...ends) + 1;
}
