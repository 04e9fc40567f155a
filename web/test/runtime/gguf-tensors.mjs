/**
 * Reads a GGUF file's tensors in tests: names, types, shapes and bytes, by the format's own
 * description; writes it in two parts. Test only; trusts its input.
 */

/** Bytes of one value of each type but text (8) and arrays (9). */
const VALUE_BYTES = [1, 1, 2, 2, 4, 4, 4, 1, null, null, 8, 8, 8];
/** By ggml's number of the type: elements and bytes of a block. */
const BLOCKS = { 0: [1, 4], 1: [1, 2], 2: [32, 18], 6: [32, 22], 8: [32, 34], 12: [256, 144],
  14: [256, 210], 30: [1, 2] };

/**
 * A Map from name to `{ type, shape, bytes, offsetAt }` of a GGUF file's bytes; `offsetAt` is where
 * the file says where the tensor is.
 */
export function tensorsOfGguf(file) {
  return readGguf(file).tensors;
}

function readGguf(file) {
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
  const values = file.subarray(24, at);
  const heads = Array.from({ length: n_tensors }, () => {
    const name = text();
    const shape = Array.from({ length: u32() }, u64);
    return { name, shape, type: u32(), offsetAt: at, offset: u64() };
  });
  const start = Math.ceil(at / alignment) * alignment;
  const tensors = new Map(heads.map(({ name, shape, type, offset, offsetAt }) => {
    const [per_block, block_bytes] = BLOCKS[type];
    const len = (shape.reduce((product, n) => product * n, 1) / per_block) * block_bytes;
    const bytes = file.subarray(start + offset, start + offset + len);
    return [name, { type, shape, bytes, offsetAt }];
  }));
  return { n_values, values, tensors };
}

/** A number of so many bytes, as GGUF writes it. */
export const number = (bytes, value) => {
  const written = Buffer.alloc(bytes);
  if (bytes === 8) written.writeBigUInt64LE(BigInt(value));
  else written.writeUIntLE(value, 0, bytes);
  return written;
};
/** A text as GGUF writes it. */
export const ggufText = (text) => Buffer.concat([number(8, text.length), Buffer.from(text)]);

/** The file as `gguf-split` would write it: all values in the first part, tensors in both. */
export function splitGguf(file) {
  const { n_values, values, tensors } = readGguf(file);
  const all = [...tensors];
  const half = all.length >> 1;
  return [all.slice(0, half), all.slice(half)].map((part, idx) => {
    const entries = [
      number(4, 2), number(2, idx), number(4, 2), number(2, 2), number(4, 5), number(4, all.length),
    ];
    const keys = ["split.no", "split.count", "split.tensors.count"].flatMap((key, at) =>
      [ggufText(key), ...entries.slice(2 * at, 2 * at + 2)]);
    let offset = 0;
    const heads = part.flatMap(([name, { shape, type, bytes }]) => {
      const dims = shape.map((dim) => number(8, dim));
      const place = number(8, offset);
      offset += Math.ceil(bytes.length / 32) * 32;
      return [ggufText(name), number(4, shape.length), ...dims, number(4, type), place];
    });
    const n = 3 + (idx === 0 ? n_values : 0);
    const head = Buffer.concat([Buffer.from("GGUF"), number(4, 3), number(8, part.length),
      number(8, n), ...(idx === 0 ? [values] : []), ...keys, ...heads]);
    const padded = (bytes) => [bytes, Buffer.alloc(-bytes.length & 31)];
    return Buffer.concat([head, ...part.map(([, { bytes }]) => bytes)].flatMap(padded));
  });
}
