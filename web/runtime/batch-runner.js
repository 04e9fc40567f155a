/**
 * Runs several prompts together, each step one pass over the weights for all of them. Every
 * session gives the bits that it would have given alone.
 */
import { SESSION_STEP } from "./abi.js";
import { statusError } from "./errors.js";
import { idBytes } from "./memory.js";
import { Budget, Turn } from "./pace.js";
import { queuePrompt } from "./session-runner.js";

/** Reports of `prompts` ({prompt, settings} each). Options: `signal`, flags of tokenizing. */
export async function runBatch(engine, handle, prompts, options) {
  const sessions = [];
  try {
    for (const { prompt, settings } of prompts) {
      const text = engine.putText(JSON.stringify(settings));
      sessions.push(engine.call("session_new", handle, text));
      queuePrompt(engine, sessions.at(-1), prompt, options);
    }
    await stepAll(engine, sessions, new Turn(options.signal));
    return sessions.map((session) => engine.json("session_report", session));
  } finally {
    if (!engine.isDead) sessions.forEach((session) => engine.call("session_close", session));
  }
}

async function stepAll(engine, left, turn) {
  const budget = new Budget(1, 1, 64);
  while (left.length > 0) {
    const began = performance.now();
    engine.call("batch_step", engine.put(idBytes(left)) / 4, budget.units);
    const ms = performance.now() - began;
    const outcomes = engine.memory.words(engine.call("buffer_ptr"), left.length);
    const refused = outcomes.find((outcome) => outcome > SESSION_STEP.waiting);
    if (refused) throw statusError(-(refused | 0), engine.text(engine.call("error_text")));
    if (outcomes.includes(SESSION_STEP.prefilling)) budget.note(ms);
    left.forEach((session) => engine.call("session_note_ms", session, ms));
    left = left.filter((_, i) => outcomes[i] !== SESSION_STEP.done);
    await turn.next();
  }
}
