/**
 * Measures the native command line and the modules in Node and Chromium, in interleaved rounds,
 * and prints tables of medians. Started by `cargo xtask bench`, which builds all of it and passes
 * the plan in BENCH_PLAN. Every measurement has a fresh process or a fresh browser.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { MODULE_FILES } from "../../runtime/features.js";
import { inBrowser } from "./browser.mjs";
import { casesBelowFloor } from "./floor.mjs";
import { measureNative } from "./native.mjs";
import { caseTable, environmentLine, short } from "./table.mjs";

/** The scalar module is built for measurements only, so the kit does not know it. */
const FILES = { ...MODULE_FILES, scalar: "cultivar-scalar.wasm" };

const plan = JSON.parse(process.env.BENCH_PLAN ?? "{}");
const nodeFlags = (process.env.CULTIVAR_NODE_FLAGS ?? "").split(" ").filter(Boolean);

/** Columns of the tables: the native program, or a host of wasm and a module. */
const engines = plan.engines.flatMap((engine) =>
  engine === "native" ? [engine] : plan.modules.map((module) => `${engine} ${module}`));

function measureNode(job) {
  const script = new URL("./measure-node.mjs", import.meta.url).pathname;
  const args = [...nodeFlags, script, JSON.stringify(job)];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

async function measureChromium(job) {
  const phases = job.phases.filter((phase) => phase !== "workers");
  const result = phases.length > 0 ? await inBrowser("measure", job) : { figures: {} };
  if (!job.phases.includes("workers") || job.module === "scalar") return result;
  const { figures, browser } = await inBrowser("measureWorkers", job);
  return { ...result, browser, figures: { ...result.figures, ...figures } };
}

function measure(engine, { path, shape, format }, round) {
  const url = `/packages/${shape}-${format}.slm`;
  const [host, module] = engine.split(" ");
  const job = { path, url, module, file: FILES[module], phases: plan.phases, seed: round };
  if (host === "native") return measureNative(plan.cli, job);
  return host === "node" ? measureNode(job) : measureChromium(job);
}

/** One sample per (round, case, engine); a failed one carries its reason. */
async function runRounds() {
  const samples = [];
  for (let round = 1; round <= plan.repeats; round += 1) {
    for (const one of plan.cases) {
      for (const engine of engines) {
        const sample = { round, case: `${one.shape} ${one.format}`, engine };
        try {
          Object.assign(sample, await measure(engine, one, round));
        } catch (error) {
          sample.error = String(error.message ?? error).slice(0, 400);
        }
        const { decode_128: decode, prefill_128: prefill } = sample.figures ?? {};
        const rates = `prefill ${short(prefill)}, decode ${short(decode)} tokens/s`;
        const shown = sample.error ? `failed: ${sample.error}` : rates;
        console.log(`round ${round}  ${sample.case}  ${engine}: ${shown}`);
        samples.push(sample);
      }
    }
  }
  return samples;
}

/** All engines must have written the same run: a fast wrong answer is no measurement. */
function disagreements(samples) {
  const digests = new Map();
  for (const { round, case: name, digest } of samples) {
    if (!digest) continue;
    const key = `${name}, round ${round}`;
    digests.set(key, (digests.get(key) ?? new Set()).add(digest));
  }
  return [...digests].filter(([, of]) => of.size > 1).map(([key]) => key);
}

const began = environmentLine();
const samples = await runRounds();
const environment = environmentLine(samples.find((one) => one.browser)?.browser);
console.log(`\nbefore: ${began}\nafter: ${environment}`);
const names = plan.cases.map(({ shape, format }) => `${shape} ${format}`);
for (const name of names) console.log(`\n${caseTable(samples, name, engines)}`);
if (plan.out) {
  const record = { schema: "cultivar.bench.v2", began, environment, plan, samples };
  writeFileSync(plan.out, `${JSON.stringify(record, null, 1)}\n`);
}
const differing = disagreements(samples);
for (const key of differing) console.error(`run digests differ between engines: ${key}`);
const slow = casesBelowFloor(samples);
for (const row of slow) console.error(`too slow: ${row}`);
const failed = samples.some((one) => one.error);
process.exitCode = failed || differing.length > 0 || slow.length > 0 ? 1 : 0;
