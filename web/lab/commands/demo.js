/**
 * The demo: a small model that lies beside the page. Fetching it, when a person asks for it, is
 * the page's only request after it has loaded; from then on it is a file like any other.
 */

const PATH = "demo/sprout.slm";

/** What the demo is called, and what a first run of it is made with. */
export const DEMO = {
  name: "sprout.slm",
  settings: { prompt: "Once there was", temperature: "0.6", seed: "4" },
};

/** The demo's bytes as a Blob; fails with an error of kind "demo". */
export async function fetchDemo({ signal, onProgress }) {
  const url = new URL(`../../${PATH}`, import.meta.url);
  const response = await fetch(url, { signal }).catch((cause) => refuse(signal, cause.message));
  if (!response.ok) refuse(signal, `its host answered ${response.status}`);
  const { headers } = response;
  // A packed transfer tells its own length, not the file's.
  const totalBytes = headers.has("content-encoding") ? 0 : Number(headers.get("content-length"));
  const reader = response.body.getReader();
  const pieces = [];
  for (let doneBytes = 0; ;) {
    const { done, value } = await reader.read().catch((cause) => refuse(signal, cause.message));
    if (done) return new Blob(pieces);
    pieces.push(value);
    doneBytes += value.length;
    onProgress({ phase: "fetch", doneBytes, totalBytes });
  }
}

/** A stop stays a stop; what else goes wrong is the demo's. */
function refuse(signal, reason) {
  signal.throwIfAborted();
  throw Object.assign(new Error(`${PATH} cannot be fetched: ${reason}`), { kind: "demo" });
}
