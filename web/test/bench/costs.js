/**
 * What a token costs: bytes of weights that are read and products that are taken, by part of the
 * forward pass. Pure numbers from a package's card.
 */

/** Matrices of the parts of the profile, by the last word of a tensor's name. */
const PARTS = {
  w_q: "qkv",
  w_k: "qkv",
  w_v: "qkv",
  w_o: "w_o",
  w_gate: "ffn_in",
  w_up: "ffn_in",
  w_down: "w_down",
};

/** Bytes and products of one token: in all, and of each part that has a matrix. */
export function costs({ tensors, config }) {
  const total = { bytes: 0, macs: 0, parts: {} };
  for (const { name, shape, bytes } of tensors) {
    const word = name.split(".").at(-1);
    const isOutput = word === (config.tied_output ? "token_embedding" : "output");
    const part = isOutput ? "output" : PARTS[word];
    if (!part) continue;
    const macs = shape[0] * shape[1];
    const sums = (total.parts[part] ??= { bytes: 0, macs: 0 });
    for (const sum of [total, sums]) {
      sum.bytes += bytes;
      sum.macs += macs;
    }
  }
  return total;
}
