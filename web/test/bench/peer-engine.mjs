/**
 * Cultivar as one of the engines of a bench of browser runtimes: what its page loads, drives and
 * times like any other. All of it by the kit, as a page would. `?module=simd128` in its address
 * names the module; without it the kit chooses.
 */
import { Cultivar } from "../../runtime/cultivar.js";

/** The bench's own package of the shape and format of a model `/models/name15m-q8_0.gguf`. */
export const fileFor = (model) => `/packages/${model.match(/\d+m-\w+(?=\.gguf$)/)[0]}.slm`;

const module = new URL(import.meta.url).searchParams.get("module") ?? "auto";

/** Opens a package; `nCtx` positions are held. */
export async function load({ blob, nCtx }) {
  const cultivar = await Cultivar.open({ module });
  const pkg = await cultivar.openPackage(blob);
  /** Runs a prompt of token ids; milliseconds to the first token and to the last. */
  const run = async (prompt, nTokens) => {
    const settings = { max_tokens: nTokens, ignore_stop: true, context_len: nCtx };
    const began = performance.now();
    const session = await pkg.createSession(settings);
    let firstMs;
    for await (const _ of session.generate(prompt)) firstMs ??= performance.now() - began;
    const ms = performance.now() - began;
    await session.close();
    return { firstMs, ms };
  };
  return {
    threads: 1,
    prefill: async (prompt) => (prompt.length * 1e3) / (await run(prompt, 1)).firstMs,
    decode: async (prompt, n) => {
      const { firstMs, ms } = await run(prompt, n);
      return { firstMs, tps: ((n - 1) * 1e3) / (ms - firstMs) };
    },
    exit: () => cultivar.close(),
  };
}
