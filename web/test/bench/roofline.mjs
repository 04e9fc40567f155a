/**
 * What WebAssembly itself allows in an engine: loops that read weights and multiply them, with
 * nothing else around, written as text and assembled by binaryen. A loop keeps one row's partial
 * sums in a vector, folds a scale per block of 32, and need not give exact sums: it is a limit, no
 * kernel.
 *
 * A step is 8 blocks: their codes, then 8 f32 scales. `x` points to activations that stay in the
 * first cache and moves between two places, so that no load is taken out of the loop.
 */

const BLOCKS = [0, 1, 2, 3, 4, 5, 6, 7];
/** Activations from here on; weights begin behind the first 64 KiB. */
const X_AT = 4096;
export const WEIGHTS_AT = 65536;

const get = (name) => `(local.get $${name})`;
const set = (name, value) => `(local.set $${name} ${value})`;
const op = (name, ...args) => `(${name} ${args.join(" ")})`;
const vector = (base, at) => op(`v128.load offset=${at}`, get(base));
const splat = (base, at) => op(`v128.load32_splat offset=${at}`, get(base));
const wide = (base, at) => op(`v128.load8x8_s offset=${at}`, get(base));
const sum = (kind, parts) => parts.reduce((a, b) => op(`${kind}.add`, a, b));
const ZERO = "(v128.const i32x4 0 0 0 0)";

const relaxedDot = (x, codes, to) =>
  op("i32x4.relaxed_dot_i8x16_i7x16_add_s", x, codes, to);
const dot16 = (a, b) => op("i32x4.dot_i16x8_s", a, b);
/** `acc = acc + sums * scale`; the relaxed loops may round once. */
function fold(acc, sums, scale, relaxed) {
  const value = op("f32x4.convert_i32x4_s", sums);
  const next = relaxed
    ? op("f32x4.relaxed_madd", value, scale, get(acc))
    : op("f32x4.add", get(acc), op("f32x4.mul", value, scale));
  return set(acc, next);
}

const Q8_STEP = 8 * 32 + 32;
const Q4_STEP = 8 * 16 + 32;
const mask = (lanes, bits) => op("v128.and", get(lanes), `(v128.const i32x4 ${bits})`);
const BYTES = "0x0f0f0f0f 0x0f0f0f0f 0x0f0f0f0f 0x0f0f0f0f";
const WORDS = "0x000f000f 0x000f000f 0x000f000f 0x000f000f";

/** Sums of block `b` of q8_0 in registers `c0…` with a row of activations at `x + at`. */
const q8Relaxed = (b, at) =>
  relaxedDot(get("c1"), vector("x", at + 32 * b + 16),
    relaxedDot(get("c0"), vector("x", at + 32 * b), ZERO));
const q8Plain = (b, at) =>
  sum("i32x4", [0, 1, 2, 3].map((k) => dot16(get(`c${k}`), vector("x", at + 64 * b + 16 * k))));
const q4Relaxed = (b, at) =>
  relaxedDot(vector("x", at + 32 * b + 16), get("c1"),
    relaxedDot(vector("x", at + 32 * b), get("c0"), ZERO));
const q4Plain = q8Plain;

/** Loads the codes of block `b` into `c0…`. */
const load = {
  q8Relaxed: (b) => set("c0", vector("w", 32 * b)) + set("c1", vector("w", 32 * b + 16)),
  q8Plain: (b) => [0, 1, 2, 3].map((k) => set(`c${k}`, wide("w", 32 * b + 8 * k))).join(""),
  q4Relaxed: (b) =>
    set("c2", vector("w", 16 * b)) + set("c0", mask("c2", BYTES)) +
    set("c3", op("i16x8.shr_u", get("c2"), "(i32.const 4)")) + set("c1", mask("c3", BYTES)),
  q4Plain: (b) =>
    set("c3", vector("w", 16 * b)) + set("c0", mask("c3", WORDS)) +
    [1, 2].map((k) =>
      set("t", op("i16x8.shr_u", get("c3"), `(i32.const ${4 * k})`)) +
      set(`c${k}`, mask("t", WORDS))).join("") +
    set("c3", op("i16x8.shr_u", get("c3"), "(i32.const 12)")),
};

/** One row against `nTokens` rows of activations. */
function body({ loads, sums, scalesAt, relaxed, nTokens, rowBytes }) {
  return BLOCKS.map((b) => {
    const scale = splat("w", scalesAt + 4 * b);
    if (nTokens === 1) return loads(b) + fold(`a${b & 3}`, sums(b, 0), scale, relaxed);
    const rows = Array.from({ length: nTokens }, (_, t) => {
      const both = op("f32x4.mul", get("s"), splat("x", 2048 + 32 * t + 4 * b));
      return fold(`a${t}`, sums(b, rowBytes * t), both, relaxed);
    });
    return loads(b) + set("s", scale) + rows.join("");
  }).join("\n");
}

const loop = (name, format, relaxed, nTokens) => {
  const key = `${format}${relaxed ? "Relaxed" : "Plain"}`;
  const sums = { q8Relaxed, q8Plain, q4Relaxed, q4Plain }[key];
  const step = format === "q8" ? Q8_STEP : Q4_STEP;
  const rowBytes = relaxed ? 256 : 512;
  const given = { loads: load[key], sums, scalesAt: step - 32, relaxed, nTokens, rowBytes };
  return { name, step, macs: 256 * nTokens, code: body(given) };
};

/** Every loop: bytes and products of a step, and its code. */
export const LOOPS = [
  {
    name: "load_add",
    step: 128,
    macs: 0,
    code: BLOCKS.map((i) =>
      set(`a${i}`, op("i32x4.add", get(`a${i}`), vector("w", 16 * i)))).join(""),
  },
  loop("q8 relaxed", "q8", true, 1),
  loop("q8 plain", "q8", false, 1),
  loop("q4 relaxed", "q4", true, 1),
  loop("q4 plain", "q4", false, 1),
  loop("q8 4 tokens relaxed", "q8", true, 4),
  loop("q8 4 tokens plain", "q8", false, 4),
  loop("q4 4 tokens relaxed", "q4", true, 4),
  loop("q4 4 tokens plain", "q4", false, 4),
];

const LOCALS = ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "c0", "c1", "c2", "c3", "s", "t"];

/** A function `(bytes, repeats) -> i32` that goes over the weights `repeats` times. */
function text({ name, step, code }) {
  const all = LOCALS.slice(0, 8).map(get).reduce((a, b) => op("v128.xor", a, b));
  return `(func (export "${name}") (param $n i32) (param $repeats i32) (result i32)
    (local $w i32) (local $x i32) (local $end i32)
    ${LOCALS.map((local) => `(local $${local} v128)`).join(" ")}
    ${set("end", op("i32.add", `(i32.const ${WEIGHTS_AT})`, get("n")))}
    ${set("x", `(i32.const ${X_AT})`)}
    (loop $again
      ${set("w", `(i32.const ${WEIGHTS_AT})`)}
      (loop $steps
        ${code}
        ${set("x", op("i32.xor", get("x"), "(i32.const 8192)"))}
        ${set("w", op("i32.add", get("w"), `(i32.const ${step})`))}
        (br_if $steps (i32.lt_u ${get("w")} ${get("end")})))
      (br_if $again ${op("local.tee $repeats", op("i32.sub", get("repeats"), "(i32.const 1)"))}))
    (i32x4.extract_lane 0 ${all}))`;
}

/** The module's bytes, all loops with relaxed instructions or none. */
export function rooflineModule(binaryen) {
  const source = `(module (memory (export "memory") 4128) ${LOOPS.map(text).join("\n")})`;
  const module = binaryen.parseText(source);
  module.setFeatures(binaryen.Features.All);
  if (!module.validate()) throw new Error("the roofline's module is not valid");
  const bytes = module.emitBinary();
  module.dispose();
  return bytes;
}
