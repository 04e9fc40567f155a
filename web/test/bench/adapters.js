/**
 * What adapters cost: sessions of one package with none, one and four of them write token after
 * token in turn, so that whatever else the machine does slows all alike; and how long a change of
 * a weight takes with eight. Answers figures, compares nothing but medians of one run.
 */
import { SESSION_STEP } from "../../runtime/abi.js";
import { loadAdapter } from "../../runtime/adapter-loader.js";
import { queuePrompt } from "../../runtime/session-runner.js";
import { median } from "./median.js";

/** Adapters of the sessions that are compared with the first. */
export const STACKS = [0, 1, 4];
/** Adapters on the stack whose weights change. */
const N_CHANGED = 8;
const N_TOKENS = 64;
const N_WARM = 4;
const N_CHANGES = 64;
const WHOLE = 1 << 12;
const now = () => performance.now();

/**
 * `open(n_tokens)` gives a session of `package`, `ids` are its prompt. Opens the adapter in `blob`
 * eight times, each with memory of its own, as eight different ones would have.
 */
export async function adapterCosts({ engine, package: handle, open, ids, blob }) {
  const adapters = [];
  for (let i = 0; i < N_CHANGED; i += 1) {
    adapters.push((await loadAdapter(engine, handle, blob)).handle);
  }
  const start = (n, nTokens) => {
    const session = open(nTokens);
    const stack = adapters.slice(0, n).map((adapter) => ({ adapter, weight: 0.5 }));
    engine.call("session_adapters", session, engine.putText(JSON.stringify(stack)));
    queuePrompt(engine, session, ids);
    while (engine.call("session_step", session, WHOLE) === SESSION_STEP.prefilling);
    return session;
  };
  const token = (session) => {
    const began = now();
    engine.call("session_step", session, WHOLE);
    return now() - began;
  };
  const sessions = STACKS.map((n) => start(n, N_TOKENS + N_WARM + 1));
  const times = STACKS.map(() => []);
  for (let i = 0; i < N_WARM + N_TOKENS; i += 1) {
    for (const [at, session] of sessions.entries()) {
      const ms = token(session);
      if (i >= N_WARM) times[at].push(ms);
    }
  }
  const [bare, ...with_] = times.map(median);
  const figures = { adapters_0_token_ms: bare };
  for (const [i, ms] of with_.entries()) figures[`adapters_${STACKS[i + 1]}_x`] = ms / bare;

  const mixed = start(N_CHANGED, 2 * N_CHANGES + 1);
  const [changes, changed, unchanged] = [[], [], []];
  for (let i = 0; i < N_CHANGES; i += 1) {
    unchanged.push(token(mixed));
    const began = now();
    engine.call("session_weight", mixed, i % N_CHANGED, (i % 7) / 4 - 0.5);
    changes.push(now() - began);
    changed.push(token(mixed));
  }
  figures.weight_change_ms = median(changes);
  figures.weight_change_most_ms = changes.reduce((most, ms) => (ms > most ? ms : most), 0);
  figures.token_after_change_x = median(changed) / median(unchanged);
  for (const session of [...sessions, mixed]) engine.call("session_close", session);
  for (const adapter of adapters) engine.call("adapter_close", adapter);
  return figures;
}
