/**
 * Measures what only the bench's own modules can do: decoding several sessions in one batch, and
 * a profile of the forward pass by its parts. They ask their host for a clock; no other module
 * asks for anything. Runs in a worker.
 */
import { Engine } from "../../runtime/engine.js";
import { queuePrompt } from "../../runtime/session-runner.js";
import { SESSION_STEP } from "../../runtime/abi.js";
import { loadPackage } from "../../runtime/package-loader.js";
import { promptIds } from "./job.js";
import { costs } from "./costs.js";

const BATCHES = [1, 4, 16];
const N_TOKENS = 32;
const WHOLE = 1 << 20;

async function open(bytes, blob) {
  const now = () => performance.now();
  const { instance } = await WebAssembly.instantiate(bytes, { bench: { now_ms: now } });
  const engine = new Engine(instance);
  const { handle, card } = await loadPackage(engine, blob);
  // These verbs are in no table, so they are called by name.
  const bench = (name, ...args) => JSON.parse(engine.text(instance.exports[name](handle, ...args)));
  return { engine, handle, card, bench, profile: () => instance.exports.bench_profile(handle) };
}

/** Parts of the profile of a prompt and of decoding behind it, in milliseconds. */
function profileOf({ engine, handle, profile }, seed) {
  const settings = JSON.stringify({ max_tokens: 65, ignore_stop: true });
  const session = engine.call("session_new", handle, engine.putText(settings));
  const report = () => engine.json("session_report", session).diagnostics.profile;
  const until = (wanted) => {
    while (engine.call("session_step", session, WHOLE) !== wanted);
    return report();
  };
  profile();
  queuePrompt(engine, session, promptIds(128, seed, 40));
  const prefill = until(SESSION_STEP.token);
  profile();
  const decode = until(SESSION_STEP.done);
  engine.call("session_close", session);
  return { prefill, decode };
}

/** `job`: bytes of the module and of the package, phases, seed. */
export async function measureBatches({ module, blob, phases, seed }) {
  const opened = await open(module, blob);
  const { macs } = costs(opened.card);
  const result = { figures: {} };
  opened.bench("bench_batch", 4, 16);
  if (phases.includes("batch")) {
    for (const n of BATCHES) {
      const { ms } = opened.bench("bench_batch", n, N_TOKENS);
      const rate = (n * N_TOKENS * 1e3) / ms;
      result.figures[`batch_${n}`] = rate;
      result.figures[`batch_${n}_products_gmacs`] = (rate * macs) / 1e9;
    }
  }
  if (phases.includes("profile")) {
    result.profile = { ...profileOf(opened, seed), card: opened.card };
  }
  return result;
}
