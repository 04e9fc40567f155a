/**
 * Measures the native command line and the wasm modules in Chromium, in interleaved rounds, and
 * prints one table of medians. Started by `cargo xtask bench`, which builds all of it and passes
 * the plan in BENCH_PLAN. Every measurement has a fresh process or a fresh browser.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { rowsBelowFloor } from "./floor.mjs";
import { environmentLine, table } from "./table.mjs";

/** As many prompt tokens as the prefill figure is defined for. */
const PROMPT_LEN = 128;
const BROWSER_FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const plan = JSON.parse(process.env.BENCH_PLAN ?? "{}");
const promptIds = Array.from({ length: PROMPT_LEN }, (_, i) => 300 + ((i * 7919) % 997));

/** Prefill and decode in tokens per second from a run's diagnostics. */
function rates(report) {
  const { diagnostics } = report;
  return {
    prefill: diagnostics.prefill_tokens_per_s,
    decode: diagnostics.decode_tokens_per_s,
    runDigest: report.run_digest,
  };
}

function measureNative(model) {
  const args = ["run", model.path, "--json", "--ignore-stop"];
  args.push("--prompt-ids", promptIds.join(","), "--max-tokens", String(model.decode));
  const out = execFileSync(plan.cli, args, { encoding: "utf8", maxBuffer: 1 << 26 });
  return rates(JSON.parse(out));
}

async function measureBrowser(model, module) {
  const require = createRequire(`${process.env.CULTIVAR_TOOLS}/`);
  const puppeteer = require("puppeteer-core");
  const profile = mkdtempSync(path.join(os.tmpdir(), "cultivar-bench-"));
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM,
    headless: true,
    userDataDir: profile,
    args: BROWSER_FLAGS,
    protocolTimeout: 20 * 60 * 1000,
  });
  try {
    const page = await browser.newPage();
    await page.goto(`${process.env.CULTIVAR_URL}test/bench/page.html`);
    const asked = { module, url: model.url, promptIds, nTokens: model.decode };
    const report = await page.evaluate(async (job) => {
      const { measure } = await import("./measure.js");
      return measure(job);
    }, asked);
    return { ...rates(report), browser: await browser.version() };
  } finally {
    await browser.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

/** One result per (round, model, engine); a failed one carries its reason. */
async function runRounds() {
  const results = [];
  for (let round = 1; round <= plan.rounds; round += 1) {
    for (const model of plan.models) {
      for (const engine of plan.engines) {
        const result = { round, model: model.name, engine };
        try {
          const measured =
            engine === "native" ? measureNative(model) : await measureBrowser(model, engine);
          Object.assign(result, measured);
        } catch (error) {
          result.error = String(error.message ?? error).slice(0, 400);
        }
        const shown = result.error
          ? `failed: ${result.error}`
          : `prefill ${result.prefill.toFixed(1)}, decode ${result.decode.toFixed(1)} tokens/s`;
        console.log(`round ${round}  ${model.name}  ${engine}: ${shown}`);
        results.push(result);
      }
    }
  }
  return results;
}

/** All engines must have written the same run: a fast wrong answer is no measurement. */
function disagreements(results) {
  const wrong = [];
  for (const model of plan.models) {
    const digests = results
      .filter((one) => one.model === model.name && one.runDigest)
      .map((one) => one.runDigest);
    if (new Set(digests).size > 1) wrong.push(model.name);
  }
  return wrong;
}

const results = await runRounds();
const environment = environmentLine(results.find((one) => one.browser)?.browser);
console.log(`\n${environment}\n`);
console.log(table(results, plan.models.map((model) => model.name), plan.engines));
if (plan.json) {
  const record = { schema: "cultivar.bench.v1", environment, prompt_len: PROMPT_LEN, results };
  writeFileSync(plan.json, `${JSON.stringify(record, null, 1)}\n`);
}
const differing = disagreements(results);
if (differing.length > 0) console.error(`run digests differ between engines: ${differing}`);
// One quick round says whether it runs, not how fast.
const slow = plan.quick ? [] : rowsBelowFloor(results, plan.models.map((model) => model.name));
for (const row of slow) console.error(`too slow: ${row}`);
const failed = results.some((one) => one.error);
process.exit(failed || differing.length > 0 || slow.length > 0 ? 1 : 0);
