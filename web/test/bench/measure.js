/**
 * The page's half of a measurement: starts a fresh worker for one job and hands back its result.
 * The page itself does nothing meanwhile, as a page should.
 */
import { Cultivar } from "../../runtime/cultivar.js";
import { promptIds } from "./job.js";
import { median } from "./median.js";

/**
 * @param {{file: string, url: string, phases: string[], seed: number}} job module file, package
 *   below this origin, phases of job.js
 */
export const measure = (job) => inWorker("./measure-worker.js", job);

/** A profile, of one of the bench's own modules. */
export const measureProfile = (job) => measure({ ...job, isProfile: true });

/** Times the roofline's loops. */
export const measureRoofline = (job) => inWorker("./roofline-worker.js", job);

function inWorker(script, job) {
  const worker = new Worker(new URL(script, import.meta.url), { type: "module" });
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => {
      worker.terminate();
      if (data.error) reject(new Error(data.error));
      else resolve(data.result);
    };
    worker.onerror = (event) => reject(new Error(event.message ?? "the worker did not start"));
    worker.postMessage(job);
  });
}

/** Tokens of each of the independent runs. */
const N_TOKENS = 96;
/** How often one and both are measured. */
const N_TURNS = 3;
const now = () => performance.now();

/** A run by the kit; answers its milliseconds. */
async function runOne(pkg, seed, nth) {
  const began = now();
  const session = await pkg.createSession({ max_tokens: N_TOKENS, ignore_stop: true });
  for await (const _ of session.generate(promptIds(32, seed, nth)));
  await session.close();
  return now() - began;
}

/**
 * The kit's pool of two engines: a run in each alone, and in both at once, warm and in turn.
 * Answers how many runs per time two give, as a multiple of one.
 */
export async function measureWorkers({ module, url, seed }) {
  const blob = await (await fetch(url)).blob();
  const pool = await Cultivar.openPool(blob, { module, workers: 2 });
  const { packages } = pool;
  for (const [i, pkg] of packages.entries()) await runOne(pkg, seed, i);
  const ratios = [];
  for (let turn = 1; turn <= N_TURNS; turn += 1) {
    let alone = 0;
    for (const [i, pkg] of packages.entries()) alone += await runOne(pkg, seed, turn * 8 + i);
    const began = now();
    await pool.map([4, 5], (pkg, nth) => runOne(pkg, seed, turn * 8 + nth));
    ratios.push(alone / (now() - began));
  }
  pool.close();
  return { figures: { two_workers_x: median(ratios) } };
}
