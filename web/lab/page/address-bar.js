/**
 * Keeps the link in the address bar equal to the settings, without history entries and without
 * any request: only the part after `#` changes, which browsers never send.
 */
import { writeFragment } from "../state/url.js";

/** Browsers refuse more than about a hundred changes in half a minute. */
const QUIET_MS = 400;

/** `onRead(fragment)` hears the fragment at the start and whenever the person edits it. */
export function createAddressBar(onRead) {
  let fragment = "";
  let timer = 0;

  function put() {
    clearTimeout(timer);
    timer = 0;
    if (fragment && `#${fragment}` !== location.hash) {
      history.replaceState(null, "", `#${fragment}`);
    }
  }
  window.addEventListener("hashchange", () => onRead(location.hash));
  window.addEventListener("pagehide", put);
  return {
    read: () => onRead(location.hash),
    /** Takes the values, the open model's identity and the mix; the bar follows after a pause. */
    write(values, weights, mix) {
      const next = writeFragment(values, weights, mix);
      if (next === fragment) return;
      const isFirst = fragment === "";
      fragment = next;
      if (isFirst) return; // Opening the page is no change: a plain address stays plain.
      clearTimeout(timer);
      timer = setTimeout(put, QUIET_MS);
    },
    /** The whole link, up to date at once. */
    link() {
      put();
      return location.href;
    },
  };
}
