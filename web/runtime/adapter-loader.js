/**
 * Opens an adapter for a package: its bytes in one piece, then base plus delta in steps. One
 * transaction: what does not fit is closed again.
 */
import { ByteStream } from "./byte-stream.js";
import { Budget, Turn } from "./pace.js";

/** `{ handle, card }` of a Blob. */
export async function loadAdapter(engine, base, source, signal) {
  const stream = await ByteStream.open(source, signal);
  const bytes = await stream.take(stream.size);
  const handle = engine.call("adapter_open", base, engine.put(bytes));
  const turn = new Turn(signal);
  const budget = new Budget(1 << 16, 1 << 10, 1 << 28);
  try {
    for (let isLeft = 1; isLeft; ) {
      await turn.next();
      const began = performance.now();
      isLeft = engine.call("adapter_check_step", handle, budget.units);
      budget.note(performance.now() - began);
    }
    return { handle, card: engine.json("adapter_describe", handle) };
  } catch (error) {
    if (!engine.isDead) engine.call("adapter_close", handle);
    throw error;
  }
}
