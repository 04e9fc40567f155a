/** What the drivers of the matrix page share: its address, and what its outcome must be. */
import assert from "node:assert/strict";

const { CULTIVAR_URL } = process.env;

/** Why there is no page to drive, or false: the value of a test's `skip`. */
export const noSite = CULTIVAR_URL ? false : "CULTIVAR_URL is not set: run `cargo xtask test`";

/** The page that goes through all cells with one module. */
export const matrixUrl = (module) => `${CULTIVAR_URL}sources/test/matrix/page.html?${module}`;

/** One digest in every cell; says how many there were. */
export function checkOutcome(t, text, module) {
  const outcome = JSON.parse(text);
  if (outcome.skipped) {
    t.skip(outcome.skipped);
    return;
  }
  assert.deepEqual(outcome.wrong, [], outcome.error);
  assert.equal(outcome.backend, module);
  t.diagnostic(`${outcome.nCells} cells with ${module}`);
}
