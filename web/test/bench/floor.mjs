/**
 * The speed that simd128 must keep: a multiple of scalar wasm, wherever both were measured. Pure,
 * so that a test can check it without measuring anything.
 */
import { median, valuesOf } from "./table.mjs";

/** What simd128 must reach, as a multiple of scalar. */
export const SIMD_FLOOR = 3;

/**
 * One message per case and figure in which simd128 is below the floor; what was not measured says
 * nothing, since a failed measurement is reported by itself.
 */
export function casesBelowFloor(samples) {
  const found = [];
  for (const name of new Set(samples.map((one) => one.case))) {
    for (const figure of ["prefill_128", "decode_128"]) {
      for (const host of ["node", "chromium"]) {
        const [simd, scalar] = ["simd128", "scalar"].map((module) =>
          median(valuesOf(samples, { name, engine: `${host} ${module}`, figure })));
        if (simd < SIMD_FLOOR * scalar) {
          const ratio = (simd / scalar).toFixed(2);
          found.push(`${name} ${figure}: ${host} simd128 / scalar is ${ratio}, not ${SIMD_FLOOR}`);
        }
      }
    }
  }
  return found;
}
