/**
 * Measures the native command line and the modules in Node and Chromium, in interleaved rounds,
 * and prints tables of medians. Started by `cargo xtask bench`, which builds all of it and passes
 * the plan in BENCH_PLAN. Every measurement has a fresh process or a fresh browser.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { MODULE_FILES } from "../../runtime/features.js";
import { inBrowser } from "./browser.mjs";
import { casesBelowFloor } from "./floor.mjs";
import { measureNative } from "./native.mjs";
import { measurePeer, peersOf } from "./peers.mjs";
import { measureRoofline } from "./roofline-run.mjs";
import { profileTable } from "./profile.mjs";
import { caseTable, environmentLine, short } from "./table.mjs";
import { targetTable } from "./targets.mjs";

/** The scalar module is built for measurements only, so the kit does not know it. */
const FILES = { ...MODULE_FILES, scalar: "cultivar-scalar.wasm" };

const plan = JSON.parse(process.env.BENCH_PLAN ?? "{}");
const nodeFlags = (process.env.CULTIVAR_NODE_FLAGS ?? "").split(" ").filter(Boolean);

/** Columns of the tables: the native program, or a host of wasm and a module. */
const engines = plan.engines.flatMap((engine) =>
  engine === "native" ? [engine] : plan.modules.map((module) => `${engine} ${module}`));

/** Modules that can be profiled: they import a clock. */
const PROFILED = { relaxed: "cultivar-bench-relaxed.wasm", simd128: "cultivar-bench.wasm" };
/** Phases of one browser; the others have one of their own. */
const APART = ["roofline", "profile", "workers"];

function measureNode(job) {
  const script = new URL("./measure-node.mjs", import.meta.url).pathname;
  const args = [...nodeFlags, script, JSON.stringify(job)];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

/** All phases, those that stand apart in browsers of their own. */
async function measureChromium(job) {
  const has = (phase) => job.phases.includes(phase);
  const parts = [];
  const hasOthers = job.phases.some((phase) => !APART.includes(phase));
  if (hasOthers) parts.push(await inBrowser("measure", job));
  const profiled = PROFILED[job.module];
  if (profiled && (has("profile") || has("chat"))) {
    parts.push(await inBrowser("measureProfile", { ...job, file: profiled }));
  }
  if (profiled && has("workers")) parts.push(await inBrowser("measureWorkers", job));
  const figures = Object.assign({}, ...parts.map((part) => part.figures));
  return Object.assign({}, ...parts, { figures });
}

function measure(engine, { path, shape, format, adapter }, round) {
  const url = `/packages/${shape}-${format}.slm`;
  const [host, module] = engine.split(" ");
  const adapterUrl = `/packages/${shape}-rank16.sla`;
  const files = { path, url, adapter, adapterUrl, file: FILES[module] };
  const job = { ...files, module, phases: plan.phases, seed: round };
  if (host === "native") return measureNative(plan.cli, job);
  return host === "node" ? measureNode(job) : measureChromium(job);
}

/** What a visitor fetches of a module, packed as the build and the tests pack it. */
function measureSize(module) {
  const file = new URL(`../../wasm/${FILES[module]}`, import.meta.url).pathname;
  const packed = spawnSync("gzip", ["-9", "-n", "-c", file], { maxBuffer: 2 ** 24 });
  return { figures: packed.status === 0 ? { gzip_kib: packed.stdout.length / 1024 } : {} };
}

/** What is measured in a round, one after the other: `{ case, engine, measure }`. */
function* jobs(round) {
  if (plan.phases.includes("instantiate") && plan.engines.some((engine) => engine !== "native")) {
    for (const module of round === 1 ? plan.modules : []) {
      yield { case: "module", engine: module, measure: () => measureSize(module) };
    }
  }
  if (plan.phases.includes("roofline") && plan.engines.includes("chromium")) {
    yield { case: "roofline", engine: "chromium", measure: measureRoofline };
  }
  for (const one of plan.cases) {
    const name = `${one.shape} ${one.format}`;
    for (const engine of engines) {
      yield { case: name, engine, measure: () => measure(engine, one, round) };
    }
    if (!plan.peers) continue;
    const folders = { folder: plan.peers, packages: path.dirname(one.path) };
    for (const { engine, model } of peersOf(plan.peers, one)) {
      yield { case: name, engine, measure: () => measurePeer(folders, engine, model) };
    }
  }
}

/** One sample per (round, case, engine); a failed one carries its reason. */
async function runRounds() {
  const samples = [];
  for (let round = 1; round <= plan.repeats; round += 1) {
    for (const { measure: run, ...sample } of jobs(round)) {
      Object.assign(sample, { round });
      try {
        Object.assign(sample, await run());
      } catch (error) {
        sample.error = String(error.message ?? error).slice(0, 400);
      }
      const { decode_128: decode, prefill_128: prefill } = sample.figures ?? {};
      const rates = `prefill ${short(prefill)}, decode ${short(decode)} tokens/s`;
      const shown = sample.error ? `failed: ${sample.error}` : rates;
      console.log(`round ${round}  ${sample.case}  ${sample.engine}: ${shown}`);
      samples.push(sample);
      write(samples);
    }
  }
  return samples;
}

/** Keeps what there is so far, so that a run that is stopped is not lost. */
function write(samples) {
  if (!plan.out) return;
  const browser = samples.find((one) => one.browser)?.browser;
  const environment = environmentLine(browser);
  const record = { schema: "cultivar.bench.v2", began, environment, plan, samples };
  writeFileSync(plan.out, `${JSON.stringify(record, null, 1)}\n`);
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
for (const name of new Set(samples.map((one) => one.case))) {
  const ofCase = new Set(samples.filter((one) => one.case === name).map((one) => one.engine));
  console.log(`\n${caseTable(samples, name, [...ofCase])}`);
}
for (const one of samples.filter((each) => each.profile)) {
  console.log(`\n${profileTable(one, samples)}`);
}
console.log(`\n${targetTable(samples)}`);
const differing = disagreements(samples);
for (const key of differing) console.error(`run digests differ between engines: ${key}`);
const slow = casesBelowFloor(samples);
for (const row of slow) console.error(`too slow: ${row}`);
const failed = samples.some((one) => one.error);
process.exitCode = failed || differing.length > 0 || slow.length > 0 ? 1 : 0;
