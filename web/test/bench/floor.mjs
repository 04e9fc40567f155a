/**
 * The speed that simd128 must keep: a multiple of scalar wasm, in every row of the table. Pure, so
 * that a test can check it without measuring anything.
 */
import { median } from "./table.mjs";

/** What simd128 must reach, as a multiple of scalar. */
export const SIMD_FLOOR = 3;

/**
 * One message per row in which simd128 is below the floor; rows that were not measured say
 * nothing, since a failed measurement is reported by itself.
 */
export function rowsBelowFloor(results, models) {
  const found = [];
  for (const model of models) {
    for (const phase of ["prefill", "decode"]) {
      const [simd, scalar] = ["simd128", "scalar"].map((engine) => {
        const ofRow = (one) => one.model === model && one.engine === engine && !one.error;
        return median(results.filter(ofRow).map((one) => one[phase]));
      });
      if (simd < SIMD_FLOOR * scalar) {
        const ratio = (simd / scalar).toFixed(2);
        found.push(`${model} ${phase}: simd128 / scalar is ${ratio}, below ${SIMD_FLOOR}`);
      }
    }
  }
  return found;
}
