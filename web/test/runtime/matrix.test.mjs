/** The determinism matrix in Node, with every module that it runs exactly. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { cells, goThrough } from "../matrix/matrix.js";
import { moduleOf, runnable } from "./kit-fixtures.mjs";

const ROOT = new URL("../../../", import.meta.url);
const { CULTIVAR_DATA } = process.env;
const expected = JSON.parse(readFileSync(new URL("fixtures/matrix/digests.json", ROOT), "utf8"));

/** Where a path of the list lies here; reference data may be absent. */
function fileUrl(path) {
  if (!path.startsWith("data/")) return new URL(path, ROOT);
  return CULTIVAR_DATA ? new URL(path.slice(5), `file://${CULTIVAR_DATA}/`) : null;
}

const urlsOf = ({ name }) => expected.files[name].map(fileUrl);
const isHere = (model) => urlsOf(model).every((url) => url && existsSync(url));
const models = expected.models.filter(isHere);

function filesOf(name) {
  return urlsOf({ name }).map((url, i) =>
    ({ name: i === 0 ? "model.bin" : "tok.bin", blob: new Blob([readFileSync(url)]) }));
}

for (const module of runnable) {
  test(`${module}: one digest in all cells`, async () => {
    const parts = { engine: await moduleOf(module), packer: await moduleOf("packer") };
    const { backend, nCells, wrong } = await goThrough(parts, models, filesOf);
    assert.deepEqual(wrong, []);
    assert.equal(backend, module);
    assert.equal(nCells, cells.length * models.reduce((n, { runs }) => n + runs.length, 0));
  });
}

test("the models that the repository holds are all gone through", () => {
  const own = models.filter(({ name }) => name === "sprout").map(({ format }) => format);
  assert.deepEqual(own, ["q8_0", "q4_0", "q4_k"]);
});
