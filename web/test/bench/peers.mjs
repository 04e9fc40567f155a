/**
 * Other runtimes beside ours: a folder with a bench of browser runtimes (`bench.mjs`), one of
 * native llama.cpp (`llamacpp.py`) and their models, driven one measurement at a time. Ours runs
 * there as one engine more, by the kit, timed by the same code, on a package of the same shape and
 * format with other random weights.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";

const WEB = new URL("../../", import.meta.url).pathname;
const OURS = "/cultivar/test/bench/peer-engine.mjs?module=";
/** Columns, and what each is to that bench. */
const ENGINES = {
  "kit relaxed": `${OURS}relaxed`,
  "kit simd128": `${OURS}simd128`,
  wllama2: "wllama2",
  wllama3: "wllama3",
  ort: "ort",
};
const MODELS = { "15m": "stories15m", "135m": "smol135m", "360m": "smol360m" };

/** What the peers can measure of a case: `{ engine, model }` for each that has a file of it. */
export function peersOf(folder, { shape, format }) {
  const model = `${MODELS[shape]}-${format}`;
  const has = (file) => existsSync(path.join(folder, "models", file));
  const files = { ort: `${model.replace(/_0$/, "")}.onnx` };
  return [...Object.keys(ENGINES), "llama.cpp"]
    .filter((engine) => has(`${model}.gguf`) && has(files[engine] ?? `${model}.gguf`))
    .map((engine) => ({ engine, model }));
}

/** Figures of one run as that bench writes it. */
export function figuresOf({ load, cold1st, warm1st, pp128, tg, peakMB }) {
  return {
    load_ms: load,
    first_cold_ms: cold1st,
    load_to_first_ms: load + cold1st,
    first_warm_ms: warm1st,
    prefill_128: pp128,
    decode_128: tg,
    renderer_mb: peakMB,
  };
}

/** Figures of the one row that `llamacpp.py` prints. */
export function figuresOfTable(text) {
  const row = text.trim().split("\n").at(-1).split("|").map((cell) => cell.trim());
  const [prefill, decode] = [row[3], row[5]].map((cell) => Number(cell.replace("~", "")));
  return { prefill_128: prefill, decode_128: decode };
}

function native(folder, model) {
  const own = path.join(folder, "venv/bin/python");
  const args = ["llamacpp.py", `models/${model}.gguf`, "--threads", "1", "--reps", "1"];
  const python = existsSync(own) ? own : "python3";
  return figuresOfTable(execFileSync(python, args, { cwd: folder, encoding: "utf8" }));
}

function inBrowser({ folder, packages }, engine, model) {
  const scratch = mkdtempSync(path.join(os.tmpdir(), "cultivar-peers-"));
  const out = path.join(scratch, "out.json");
  try {
    // A moment's time is one run: their bench asks the clock before each.
    const args = ["bench.mjs", "--engines", ENGINES[engine], "--models", model, "--threads", "1"];
    args.push("--reps", "1", "--minutes", "0.001", "--pp512-rounds", "0");
    args.push("--mount", `cultivar=${WEB}`, "--mount", `packages=${packages}`, "--out", out);
    const said = execFileSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
    const [run] = JSON.parse(readFileSync(out, "utf8"))[0].runs;
    if (!run) throw new Error(said.slice(0, 400));
    return figuresOf(run);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** One measurement of one of [peersOf]; `packages` is the folder of ours. */
export function measurePeer({ folder, packages }, engine, model) {
  const isNative = engine === "llama.cpp";
  const figures = isNative ? native(folder, model) : inBrowser({ folder, packages }, engine, model);
  return { figures };
}
