/** Kernels on shapes that seeds draw, in Chromium: the bits of scalar code in either module. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test, { after, before } from "node:test";
import { launch, noBrowser, openLab } from "./lab-browser.mjs";

const DIGESTS = new URL("../../../fixtures/kernels/digests.json", import.meta.url);
let chrome;
before(async () => {
  if (!noBrowser) chrome = await launch();
});
after(() => chrome?.close());

test("both modules give the digests of scalar code", { skip: noBrowser }, async () => {
  const digests = JSON.parse(await readFile(DIGESTS, "utf8"));
  const { page } = await openLab(chrome.browser);
  for (const file of ["cultivar-bench.wasm", "cultivar-bench-relaxed.wasm"]) {
    const found = await page.evaluate(async (url, n) => {
      const bytes = await (await fetch(url)).arrayBuffer();
      const { instance } = await WebAssembly.instantiate(bytes, { bench: { now_ms: () => 0 } });
      return Array.from({ length: n }, (_, seed) => instance.exports.bench_kernels(seed));
    }, `wasm/${file}`, digests.length);
    assert.deepEqual(found, digests, file);
  }
  await page.close();
});
