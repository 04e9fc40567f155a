/**
 * Has a module profiled by the parts of its forward pass. Only the bench's own modules can: they
 * ask their host for a clock, where no other module asks for anything. Runs in a worker.
 */
import { SESSION_STEP } from "../../runtime/abi.js";
import { Engine } from "../../runtime/engine.js";
import { loadPackage } from "../../runtime/package-loader.js";
import { queuePrompt } from "../../runtime/session-runner.js";
import { CHAT, WHOLE, promptIds } from "./job.js";

export async function measureParts({ module, blob, seed, phases }) {
  const engine = await Engine.create(await WebAssembly.compile(module));
  const { handle, card } = await loadPackage(engine, blob);
  return {
    figures: phases.includes("chat") ? turns(engine, { handle, card, seed }) : {},
    ...(phases.includes("profile") && { profile: profileOf(engine, { handle, card, seed }) }),
  };
}

/**
 * A second turn's time until its first token, as a multiple of what an empty context takes for as
 * many tokens plus what attention takes longer; the least of three each.
 */
function turns(engine, { handle, card, seed }) {
  const [nFirst, nAnswer, nSecond] = CHAT;
  if (card.config.context_len < nFirst + 2 * nAnswer + 2 * nSecond) return {};
  const open = () => engine.call("session_new", handle, engine.putText(
    JSON.stringify({ max_tokens: nAnswer, ignore_stop: true })));
  const first = (session, ids) => {
    engine.profile(handle);
    const began = performance.now();
    queuePrompt(engine, session, ids);
    while (engine.call("session_step", session, WHOLE) === SESSION_STEP.prefilling);
    const ms = performance.now() - began;
    const { attention_ms: attention } = engine.json("session_report", session).diagnostics.profile;
    return { ms, attention };
  };
  const chat = open();
  first(chat, promptIds(nFirst, seed, "chat"));
  while (engine.call("session_step", chat, WHOLE) !== SESSION_STEP.done);
  const ids = promptIds(nSecond, seed, "second");
  const tries = Array.from({ length: 3 }, () => {
    const second = first(chat, ids);
    engine.call("session_cancel", chat);
    engine.call("session_rewind", chat, nFirst + nAnswer);
    const session = open();
    const empty = first(session, ids);
    engine.call("session_close", session);
    return { second, empty };
  });
  const least = (which) => tries.map((one) => one[which]).sort((a, b) => a.ms - b.ms)[0];
  const [second, empty] = [least("second"), least("empty")];
  const attention = second.attention - empty.attention;
  return {
    second_turn_attention_ms: attention,
    second_turn_x: second.ms / (empty.ms + attention),
  };
}

/** `{ prefill, decode, card }`: parts in milliseconds of a prompt, and of 64 tokens behind it. */
function profileOf(engine, { handle, card, seed }) {
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
  return { ...profile, card };
}
