/**
 * Hands a Blob to the browser as a download. Nothing leaves the machine: the link points at the
 * Blob in memory and is released once the browser has taken it.
 */

/** Long enough for the browser to open the Blob; the link is useless afterwards. */
const RELEASE_AFTER_MS = 60_000;

/** Saves `blob` under `name` where the person's downloads go. */
export function saveBlob(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), RELEASE_AFTER_MS);
}
