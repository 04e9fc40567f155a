/**
 * Reads the seven numbers that open a llama2.c checkpoint (version 0, all f32) and says whether
 * they describe a model. It only recognises; importing is the engine's work.
 * Source: llama2.c, `run.c`, struct Config, where a negative vocab_size means untied output.
 */

const FIELDS = [
  "d_model", "d_ff", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "context_len",
];
/** Wider than any model of this size class; keeps text and noise from passing as a header. */
const FIELD_MAX = 1 << 20;

/** `{ config, note }` of a plausible header, or null; `head` holds at least 28 bytes. */
export function checkpointShape(head) {
  if (head.length < 28) return null;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const numbers = FIELDS.map((_, idx) => view.getInt32(idx * 4, true));
  const isTied = numbers[5] > 0;
  numbers[5] = Math.abs(numbers[5]);
  if (numbers.some((number) => number <= 0 || number > FIELD_MAX)) return null;
  const config = Object.fromEntries(FIELDS.map((name, idx) => [name, numbers[idx]]));
  const { d_model, n_heads, n_kv_heads } = config;
  if (d_model % n_heads !== 0 || n_heads % n_kv_heads !== 0) return null;
  const { n_layers, vocab_size } = config;
  const output = isTied ? "" : ", own output matrix";
  const note = `${n_layers} layers, width ${d_model}, vocabulary ${vocab_size}${output}`;
  return { config: { ...config, isTied }, note };
}
