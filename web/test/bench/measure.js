/**
 * The page's half of a measurement: starts a fresh worker for one job and hands back its result.
 * The page itself does nothing meanwhile, as a page should.
 */
import { Cultivar } from "../../runtime/cultivar.js";
import { promptIds } from "./job.js";

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
const now = () => performance.now();

/** Milliseconds of one run by the kit. */
async function runOne({ pkg }, seed, nth) {
  const began = now();
  const session = await pkg.createSession({ max_tokens: N_TOKENS, ignore_stop: true });
  for await (const _ of session.generate(promptIds(32, seed, nth)));
  await session.close();
  return now() - began;
}

/**
 * Two workers of the kit, each with an instance of its own: a run of each alone, and of both at
 * once, warm and in turn. Answers how many runs per time two give, as a multiple of one.
 */
export async function measureWorkers({ module, url, seed }) {
  const blob = await (await fetch(url)).blob();
  const kits = [];
  for (let i = 0; i < 2; i += 1) {
    const cultivar = await Cultivar.open({ module });
    kits.push({ cultivar, pkg: await cultivar.openPackage(blob) });
  }
  for (const [i, kit] of kits.entries()) await runOne(kit, seed, i);
  const alone = [];
  const both = [];
  for (let turn = 1; turn <= 2; turn += 1) {
    for (const [i, kit] of kits.entries()) alone.push(await runOne(kit, seed, turn * 8 + i));
    const began = now();
    await Promise.all(kits.map((kit, i) => runOne(kit, seed, turn * 8 + 4 + i)));
    both.push(now() - began);
  }
  for (const { cultivar } of kits) cultivar.close();
  const sum = (list) => list.reduce((total, ms) => total + ms, 0);
  return { figures: { two_workers_x: sum(alone) / sum(both) } };
}
