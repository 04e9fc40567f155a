/**
 * The demo family's matrix in a browser, through the kit as a page uses it: leaves the outcome in
 * the document. `page.html?all` goes through all cases instead of the sample.
 */
import { Cultivar } from "../../runtime/cultivar.js";
import { goThrough } from "./skills.js";

const folder = new URL("../../fixtures/family/", import.meta.url);

async function read(path) {
  const answer = await fetch(new URL(path, folder));
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.blob();
}

const kit = await Cultivar.open();
const outcome = await goThrough(kit, read, location.search === "?all")
  .catch((error) => ({ error: error.stack }));
document.body.dataset.outcome = JSON.stringify({ module: kit.info.module, ...outcome });
