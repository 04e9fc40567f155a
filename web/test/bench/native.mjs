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
    const { diagnostics } = report(cli, path, promptIds(128, seed, "128"), 1);
    figures.prefill_128 = diagnostics.prefill_tokens_per_s;
  }
  if (wanted.has("load") || wanted.has("first") || wanted.has("decode")) {
    const prompt = promptIds(8, seed, "decode");
    const { diagnostics, run_digest: digest } = report(cli, path, prompt, 128);
    const { load_ms: load, first_token_ms: first } = diagnostics;
    if (wanted.has("load")) figures.load_ms = load;
    if (wanted.has("first")) {
      figures.first_cold_ms = first;
      figures.load_to_first_ms = load + first;
    }
    if (!wanted.has("decode")) return { figures };
    figures.decode_128 = diagnostics.decode_tokens_per_s;
    return { figures, digest };
  }
  return { figures };
}
