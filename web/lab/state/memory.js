/**
 * Whether a model fits in memory, judged before its weights are read: weights, keys and values at
 * the chosen context, workspace, against what a page can have. Pure; no wording.
 */

/** A page's module addresses no more. */
const MODULE_BYTES_MAX = 4 * 2 ** 30;
/** Of the memory that a device says it has, what one model may take: a guess. */
const DEVICE_SHARE = 0.75;
/** Bytes of keys and values against f32's; q8 has a scale per head beside. */
const KV_SHARE = { f32: 1, f16: 0.5, q8: 0.28 };
/** Bytes of a weight. */
const WEIGHT_BYTES = { q8_0: 34 / 32, q4_0: 18 / 32 };
/** A smaller context is no help. */
const CONTEXT_LEN_MIN = 64;

/** A card's memory at the settings chosen; the card's own is the whole context in f32. */
export function memoryOf({ memory, context_len }, { context_len: chosen, kv }) {
  const n_positions = chosen > 0 && chosen < context_len ? chosen : context_len;
  // Layers with a sliding window take no more for a longer context.
  const { kv_sliding_bytes: sliding = 0 } = memory;
  const full = ((memory.kv_bytes - sliding) * n_positions) / context_len;
  const kv_bytes = (full + sliding) * KV_SHARE[kv];
  const { weights_bytes, workspace_bytes } = memory;
  const total_bytes = weights_bytes + kv_bytes + workspace_bytes;
  return { weights_bytes, kv_bytes, workspace_bytes, total_bytes };
}

/**
 * Null if the model fits, else `{ need, limit_bytes, isSure, fits }`: the memory at these settings,
 * what there is, whether that is certain and not a guess, and what would fit: a `context_len`, a
 * `kv`, a weight `format`, each null where it does not help. `device_bytes` may be undefined.
 */
export function memoryDoubt(card, settings, device_bytes = Infinity) {
  const limit_bytes = Math.min(MODULE_BYTES_MAX, device_bytes * DEVICE_SHARE);
  const need = memoryOf(card, settings);
  if (need.total_bytes <= limit_bytes) return null;
  const fixed_bytes = need.total_bytes - need.kv_bytes;
  const left_bytes = limit_bytes - fixed_bytes;
  const whole = memoryOf(card, { ...settings, context_len: 0 }).kv_bytes;
  const sliding = (card.memory.kv_sliding_bytes ?? 0) * KV_SHARE[settings.kv];
  const share = (left_bytes - sliding) / (whole - sliding);
  const context_len = Math.floor(share * card.context_len);
  const isEnough = (kv_bytes, weights_bytes = need.weights_bytes) =>
    kv_bytes + weights_bytes + need.workspace_bytes <= limit_bytes;
  const fit = (list, isFit) => list.find(isFit) ?? null;
  return {
    need, limit_bytes,
    // Keys and values are taken when a run starts, so the settings can still be changed.
    isSure: fixed_bytes > MODULE_BYTES_MAX,
    fits: {
      context_len: context_len >= CONTEXT_LEN_MIN ? context_len : null,
      kv: fit(["f16", "q8"], (kv) => KV_SHARE[kv] < KV_SHARE[settings.kv]
        && isEnough(memoryOf(card, { ...settings, kv }).kv_bytes)),
      format: fit(["q8_0", "q4_0"], (format) => {
        const weights_bytes = card.n_parameters * WEIGHT_BYTES[format];
        return weights_bytes < need.weights_bytes && isEnough(need.kv_bytes, weights_bytes);
      }),
    },
  };
}
