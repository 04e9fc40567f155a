/**
 * Measurements of the native command line: a process for each, and what it reports itself.
 */
import { execFileSync } from "node:child_process";
import { STACKS } from "./adapters.js";
import { promptIds } from "./job.js";
import { median } from "./median.js";

/** Runs `cultivar run` on one thread; answers its report. */
function report(cli, path, prompt, nTokens, adapters = []) {
  const ids = prompt.join(",");
  const args = ["run", path, "--json", "--ignore-stop", "--without-text"];
  args.push("--prompt-ids", ids, "--max-tokens", String(nTokens));
  for (const file of adapters) args.push("--adapter", `${file}=0.5`);
  // What it says beside its report is shown only if it fails.
  const options = { encoding: "utf8", maxBuffer: 1 << 26, stdio: "pipe" };
  return JSON.parse(execFileSync(cli, args, options));
}

/** Figures as job.js names them, and the digest of the run that decodes. */
export function measureNative(cli, { path, phases, seed, adapter }) {
  const wanted = new Set(phases);
  const figures = {};
  if (wanted.has("prefill")) {
    for (const n of [128, 512]) {
      const { diagnostics } = report(cli, path, promptIds(n, seed, String(n)), 1);
      figures[`prefill_${n}`] = diagnostics.prefill_tokens_per_s;
    }
  }
  if (wanted.has("adapters")) Object.assign(figures, adapterCosts(cli, { path, seed, adapter }));
  if (["load", "first", "decode", "memory"].some((phase) => wanted.has(phase))) {
    const prompt = promptIds(8, seed, "decode");
    const { diagnostics, run_digest: digest } = report(cli, path, prompt, 128);
    const { load_ms: load, first_token_ms: first } = diagnostics;
    if (wanted.has("load")) figures.load_ms = load;
    if (wanted.has("first")) {
      figures.first_cold_ms = first;
      figures.load_to_first_ms = load + first;
    }
    // What the engine itself took: weights, keys and values, workspace.
    if (wanted.has("memory")) figures.memory_mib = diagnostics.memory.peak_bytes / 2 ** 20;
    if (!wanted.has("decode")) return { figures };
    figures.decode_128 = diagnostics.decode_tokens_per_s;
    return { figures, digest };
  }
  return { figures };
}

/** Processes of each stack, in turn, each timing its own tokens. */
function adapterCosts(cli, { path, seed, adapter }) {
  const times = STACKS.map(() => []);
  for (let turn = 0; turn < 3; turn += 1) {
    for (const [at, n] of STACKS.entries()) {
      const adapters = Array.from({ length: n }, () => adapter);
      const { diagnostics } = report(cli, path, promptIds(8, seed, turn), 64, adapters);
      times[at].push(1e3 / diagnostics.decode_tokens_per_s);
    }
  }
  const [bare, ...mixed] = times.map(median);
  const figures = { adapters_0_token_ms: bare };
  for (const [i, ms] of mixed.entries()) figures[`adapters_${STACKS[i + 1]}_x`] = ms / bare;
  return figures;
}
