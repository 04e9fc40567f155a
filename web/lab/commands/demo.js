/**
 * The demo: a small model and its adapters that lie beside the page. Fetching them, when a person
 * asks for them, are the page's only requests after it has loaded; from then on they are files
 * like any others.
 */

const FOLDER = "demo";
const SKILLS = ["fact", "add", "plural", "reverse", "json"];
const PARTS = ["adapter_config.json", "adapter_model.safetensors"];

/** What the demo is called, and what a first run of it is made with. */
export const DEMO = {
  name: "sprout.slm",
  settings: { prompt: "Once there was", temperature: "0.6", seed: "4" },
};

/** The demo's bytes as a Blob; fails with an error of kind "demo". */
export function fetchDemo(options) {
  return fetchPart(DEMO.name, options);
}

/** Its adapters as groups of files, as if their folders had been dropped. */
export function fetchDemoAdapters() {
  const { signal } = new AbortController();
  const part = async (skill, name) => {
    const blob = await fetchPart(`adapters/${skill}/${name}`, { signal, onProgress() {} });
    return Object.assign(new File([blob], name), { folder: skill });
  };
  return Promise.all(SKILLS.map((skill) =>
    Promise.all(PARTS.map((name) => part(skill, name)))));
}

async function fetchPart(name, { signal, onProgress }) {
  const path = `${FOLDER}/${name}`;
  const refuse = (reason) => refuseFetch(signal, path, reason);
  const url = new URL(`../../${path}`, import.meta.url);
  const response = await fetch(url, { signal }).catch((cause) => refuse(cause.message));
  if (!response.ok) refuse(`its host answered ${response.status}`);
  const { headers } = response;
  // A packed transfer tells its own length, not the file's.
  const totalBytes = headers.has("content-encoding") ? 0 : Number(headers.get("content-length"));
  const reader = response.body.getReader();
  const pieces = [];
  for (let doneBytes = 0; ;) {
    const { done, value } = await reader.read().catch((cause) => refuse(cause.message));
    if (done) return new Blob(pieces);
    pieces.push(value);
    doneBytes += value.length;
    onProgress({ phase: "fetch", doneBytes, totalBytes });
  }
}

/** A stop stays a stop; what else goes wrong is the demo's. */
function refuseFetch(signal, path, reason) {
  signal.throwIfAborted();
  throw Object.assign(new Error(`${path} cannot be fetched: ${reason}`), { kind: "demo" });
}
