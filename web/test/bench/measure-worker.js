/**
 * The worker's half of a measurement in a browser: fetches a module and a package, has them
 * measured, answers once.
 */
import { Job } from "./job.js";
import { measureParts } from "./parts.js";

const fetched = (url) => fetch(new URL(url, import.meta.url));

async function measure(job) {
  const module = await (await fetched(`../../wasm/${job.file}`)).arrayBuffer();
  const blob = await (await fetched(job.url)).blob();
  if (job.isProfile) return measureParts({ ...job, module, blob });
  const adapter = job.phases.includes("adapters") && await (await fetched(job.adapterUrl)).blob();
  return new Job(job).run(module, blob, adapter);
}

self.onmessage = async ({ data }) => {
  try {
    self.postMessage({ result: await measure(data) });
  } catch (error) {
    self.postMessage({ error: String(error.message ?? error) });
  }
};
