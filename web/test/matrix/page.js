/**
 * The determinism matrix in a browser: fetches modules, models and expected digests from the test
 * server, and leaves the outcome of each module in the document, where any driver can read it.
 * `page.html?simd128` goes through one module.
 */
import {
  FILE_MODULES, MODULE_FILES, compileModule, detectFeatures,
} from "../../runtime/features.js";
import { goThrough } from "./matrix.js";

const root = new URL("../../", import.meta.url);
const at = (path) => new URL(path, root);
const fetchOk = async (path) => {
  const answer = await fetch(at(path));
  return answer.ok ? answer : null;
};

/** Checkpoint and tokenizer of a model; `null` where the server has no such files. */
async function filesOf(paths) {
  const answers = await Promise.all(paths.map(fetchOk));
  if (answers.includes(null)) return null;
  return Promise.all(answers.map(async (answer, i) =>
    ({ name: i === 0 ? "model.bin" : "tok.bin", blob: await answer.blob() })));
}

async function run(name) {
  if (!detectFeatures()[name]) return { skipped: `this browser has no ${name}` };
  const wasm = at("wasm/");
  const [engine, packer] = await Promise.all([
    compileModule(MODULE_FILES[name], wasm), compileModule(FILE_MODULES.packer, wasm),
  ]);
  const { models, files } = await (await fetchOk("fixtures/matrix/digests.json")).json();
  const found = new Map();
  for (const [model, paths] of Object.entries(files)) found.set(model, await filesOf(paths));
  const here = models.filter((model) => found.get(model.name));
  return goThrough({ engine, packer }, here, (model) => found.get(model));
}

const outcome = await run(location.search.slice(1)).catch((error) => ({ error: error.stack }));
document.body.dataset.outcome = JSON.stringify(outcome);
