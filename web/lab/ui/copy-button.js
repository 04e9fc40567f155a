/**
 * A button that puts a text on the clipboard and says whether that worked, for eyes (the icon
 * and label change for a moment) and for ears (its status is a polite live region).
 */
import { el } from "./element.js";
import { icon } from "./icon.js";

const CONFIRM_MS = 1600;

/** `textOf()` is read at the click; `label` says what is copied ("Copy run digest"). */
export function createCopyButton({ label, shownLabel = null, iconName = "copy", textOf }) {
  const status = el("span.visually-hidden", { role: "status" });
  const face = el("span.copy-face", {}, icon(iconName));
  const words = shownLabel === null ? null : el("span", {}, shownLabel);
  const button = el(
    shownLabel === null ? "button.icon-button" : "button.quiet",
    { type: "button", "aria-label": label, title: label, onclick: copy }, face, words, status,
  );
  let timer = 0;

  function showResult(text, name) {
    face.replaceChildren(icon(name));
    status.textContent = text;
    clearTimeout(timer);
    timer = setTimeout(() => {
      face.replaceChildren(icon(iconName));
      status.textContent = "";
    }, CONFIRM_MS);
  }

  async function copy() {
    try {
      await writeClipboard(textOf());
      showResult("Copied", "done");
    } catch {
      showResult("Copying was not allowed", "alert");
    }
  }
  return button;
}

/** The clipboard API needs a secure context; a selected field works everywhere else. */
async function writeClipboard(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const field = el("textarea.visually-hidden", { readonly: true, "aria-hidden": "true" });
  field.value = text;
  document.body.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  if (!isCopied) throw new Error("the browser refused to copy");
}
