/**
 * Reads a GGUF file's tensors in tests: names, types, shapes and bytes, by the format's own
 * description. Test only; trusts its input.
 */

/** Bytes of one value of each type but text (8) and arrays (9). */
const VALUE_BYTES = [1, 1, 2, 2, 4, 4, 4, 1, null, null, 8, 8, 8];
/** By ggml's number of the type: elements and bytes of a block. */
const BLOCKS = { 0: [1, 4], 1: [1, 2], 2: [32, 18], 6: [32, 22], 8: [32, 34], 12: [256, 144],
  14: [256, 210], 30: [1, 2] };

/** A Map from name to `{ type, shape, bytes }` of a GGUF file's bytes. */
export function tensorsOfGguf(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  let at = 8;
  const u32 = () => view.getUint32((at += 4) - 4, true);
  const u64 = () => Number(view.getBigUint64((at += 8) - 8, true));
  const text = () => {
    const len = u64();
    return new TextDecoder().decode(file.subarray(at, (at += len)));
  };
  let alignment = 32;
  function skip(type) {
    if (type === 8) text();
    else if (type === 9) for (let of = u32(), n = u64(); n > 0; n -= 1) skip(of);
    else at += VALUE_BYTES[type];
  }
  const [n_tensors, n_values] = [u64(), u64()];
  for (let idx = 0; idx < n_values; idx += 1) {
    const key = text();
    const type = u32();
    if (key === "general.alignment") alignment = view.getUint32(at, true);
    skip(type);
  }
  const heads = Array.from({ length: n_tensors }, () => {
    const name = text();
    const shape = Array.from({ length: u32() }, u64);
    return { name, shape, type: u32(), offset: u64() };
  });
  const start = Math.ceil(at / alignment) * alignment;
  return new Map(heads.map(({ name, shape, type, offset }) => {
    const [per_block, block_bytes] = BLOCKS[type];
    const len = (shape.reduce((product, n) => product * n, 1) / per_block) * block_bytes;
    const bytes = file.subarray(start + offset, start + offset + len);
    return [name, { type, shape, bytes }];
  }));
}
