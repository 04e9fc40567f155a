/**
 * The worker's half of a measurement in a browser: fetches a module and a package, has them
 * measured, answers once.
 */
import { Job } from "./job.js";
import { measureParts } from "./parts.js";

const fetched = (url) => fetch(new URL(url, import.meta.url));

async function measure(job) {
  const bytesOf = async (url) => new Uint8Array(await (await fetched(url)).arrayBuffer());
  const module = await bytesOf(`../../wasm/${job.file}`);
  const blob = await (await fetched(job.url)).blob();
  if (job.isProfile) return measureParts({ ...job, module, blob });
  const adapter = job.phases.includes("adapters") && await (await fetched(job.adapterUrl)).blob();
  const constraint = job.phases.includes("constraint") && {
    gbnf: await (await fetched("constraint.gbnf")).text(),
    table: await bytesOf(job.url.replace(/[^/]*$/, "constraint.table")),
  };
  return new Job(job).run(module, blob, { adapter, constraint });
}

self.onmessage = async ({ data }) => {
  try {
    self.postMessage({ result: await measure(data) });
  } catch (error) {
    self.postMessage({ error: String(error.message ?? error) });
  }
};
