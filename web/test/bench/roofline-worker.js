/**
 * Times the loops of roofline.mjs over buffers of several sizes: GB/s of weights and GMAC/s each.
 */
import { LOOPS, WEIGHTS_AT } from "./roofline.mjs";

/** How long a loop runs to be measured; a third of it before, for the optimizing compiler. */
const MS = 240;

function measure(run, { step, macs }, size) {
  const bytes = Math.floor(size / step) * step;
  const repeats = Math.max(1, Math.floor(4e6 / bytes));
  const during = (ms) => {
    let n = 0;
    const began = performance.now();
    while (performance.now() - began < ms) {
      run(bytes, repeats);
      n += repeats;
    }
    return n / (performance.now() - began) / 1e6;
  };
  during(MS / 3);
  const perNs = during(MS);
  return { gbs: perNs * bytes, gmacs: (perNs * bytes * macs) / step };
}

self.onmessage = async ({ data: { bytes, sizes } }) => {
  try {
    const { instance } = await WebAssembly.instantiate(Uint8Array.from(bytes));
    const { memory } = instance.exports;
    new Float32Array(memory.buffer, 0, WEIGHTS_AT / 4).fill(1);
    new Uint32Array(memory.buffer, WEIGHTS_AT).fill(0x01020304);
    const figures = {};
    for (const loop of LOOPS) {
      for (const [label, size] of Object.entries(sizes)) {
        const { gbs, gmacs } = measure(instance.exports[loop.name], loop, size);
        figures[`${loop.name}, ${label}, GB/s`] = gbs;
        if (loop.macs > 0) figures[`${loop.name}, ${label}, GMAC/s`] = gmacs;
      }
    }
    self.postMessage({ result: { figures } });
  } catch (error) {
    self.postMessage({ error: String(error.message ?? error) });
  }
};
