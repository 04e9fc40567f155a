/**
 * Measurements of the native command line: a process for each, and what it reports itself.
 */
import { execFileSync } from "node:child_process";
import { promptIds } from "./job.js";

/** Runs `cultivar run` on one thread; answers its report. */
function report(cli, path, prompt, nTokens) {
  const ids = prompt.join(",");
  const args = ["run", path, "--json", "--ignore-stop", "--without-text"];
  args.push("--prompt-ids", ids, "--max-tokens", String(nTokens));
  return JSON.parse(execFileSync(cli, args, { encoding: "utf8", maxBuffer: 1 << 26 }));
}

/** Figures as job.js names them, and the digest of the run that decodes. */
export function measureNative(cli, { path, phases, seed }) {
  const wanted = new Set(phases);
  const figures = {};
  if (wanted.has("prefill")) {
    for (const n of [128, 512]) {
      const { diagnostics } = report(cli, path, promptIds(n, seed, String(n)), 1);
      figures[`prefill_${n}`] = diagnostics.prefill_tokens_per_s;
    }
  }
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
