/**
 * The page's half of a measurement: starts a fresh worker for one job and hands back its report.
 * The page itself does nothing meanwhile, as a page should.
 */

/**
 * @param {{module: string, url: string, promptIds: number[], nTokens: number}} job `module` is
 *   "scalar", "simd128" or "relaxed"; `url` a package below this origin
 * @returns {Promise<object>} the run's report, schema `cultivar.run.v1`
 */
export function measure(job) {
  const worker = new Worker(new URL("./measure-worker.js", import.meta.url), { type: "module" });
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => {
      worker.terminate();
      if (data.error) reject(new Error(data.error));
      else resolve(data.report);
    };
    worker.onerror = (event) => reject(new Error(event.message ?? "the worker did not start"));
    worker.postMessage(job);
  });
}
