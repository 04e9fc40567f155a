/**
 * Has a module profiled by the parts of its forward pass. Only the bench's own modules can: they
 * ask their host for a clock, where no other module asks for anything. Runs in a worker.
 */
import { SESSION_STEP } from "../../runtime/abi.js";
import { Engine } from "../../runtime/engine.js";
import { loadPackage } from "../../runtime/package-loader.js";
import { queuePrompt } from "../../runtime/session-runner.js";
import { WHOLE, promptIds } from "./job.js";

/** `{ prefill, decode, card }`: parts in milliseconds of a prompt, and of 64 tokens behind it. */
export async function measureParts({ module, blob, seed }) {
  const engine = await Engine.create(await WebAssembly.compile(module));
  const { handle, card } = await loadPackage(engine, blob);
  const settings = JSON.stringify({ max_tokens: 65, ignore_stop: true });
  const profile = {};
  // The first turn warms up, the second is measured.
  for (const turn of [0, 1]) {
    const session = engine.call("session_new", handle, engine.putText(settings));
    const partsUntil = (wanted) => {
      engine.profile(handle);
      while (engine.call("session_step", session, WHOLE) !== wanted);
      return engine.json("session_report", session).diagnostics.profile;
    };
    queuePrompt(engine, session, promptIds(128, seed, turn));
    profile.prefill = partsUntil(SESSION_STEP.token);
    profile.decode = partsUntil(SESSION_STEP.done);
    engine.call("session_close", session);
  }
  return { figures: {}, profile: { ...profile, card } };
}
