/** What the drivers of the matrix page share: its address, and what its outcome must be. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { cells } from "./matrix.js";

const { CULTIVAR_URL, CULTIVAR_DATA } = process.env;
const LIST = new URL("../../../fixtures/matrix/digests.json", import.meta.url);

/** Why there is no page to drive, or false: the value of a test's `skip`. */
export const noSite = CULTIVAR_URL ? false : "CULTIVAR_URL is not set: run `cargo xtask test`";

/** The page that goes through all cells with one module. */
export const matrixUrl = (module) => `${CULTIVAR_URL}sources/test/matrix/page.html?${module}`;

/** Cells that a page has to go through: of all runs whose models the server has. */
function cellsExpected() {
  const { files, models } = JSON.parse(readFileSync(LIST, "utf8"));
  const isServed = (path) => CULTIVAR_DATA || !path.startsWith("data/");
  const here = models.filter(({ name }) => files[name].every(isServed));
  return cells.length * here.reduce((n, { runs }) => n + runs.length, 0);
}

/**
 * One digest in every cell, and no cell left out; says how many there were. Only where `mayLack`
 * names the module may a browser say that it cannot run it, and then the test says so.
 */
export function checkOutcome(t, text, module, { mayLack } = {}) {
  const outcome = JSON.parse(text);
  if (outcome.skipped && mayLack === module) {
    t.skip(outcome.skipped);
    return;
  }
  assert.equal(outcome.skipped, undefined);
  assert.deepEqual(outcome.wrong, [], outcome.error);
  assert.equal(outcome.backend, module);
  assert.equal(outcome.nCells, cellsExpected());
  t.diagnostic(`${outcome.nCells} cells with ${module}`);
}
