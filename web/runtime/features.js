/**
 * Which of the engine's modules this browser can run, found by validating tiny probe modules, and
 * how a module is fetched and compiled. It never guesses from the browser's name.
 */
import { CultivarError, KIND } from "./errors.js";

/** Makes ids of text, prompts of conversations and tables of constraints. */
export const TEXT_FILE = "cultivar-text.wasm";

/**
 * Modules that make files: the packer makes packages out of other programs' files, the exporter
 * the other way round, the breeder adapters and models out of adapters and models.
 */
export const FILE_MODULES = Object.freeze({
  packer: "cultivar-packer.wasm",
  exporter: "cultivar-exporter.wasm",
  breeder: "cultivar-breeder.wasm",
});

/** Engine files by backend, in order of preference. */
export const MODULE_FILES = Object.freeze({
  relaxed: "cultivar-relaxed.wasm",
  simd128: "cultivar.wasm",
});

/** `(func (result v128) i32.const 0; i8x16.splat)` */
const SIMD128_PROBE = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15,
  11,
];

/** The same followed by two splats more and `i32x4.relaxed_dot_i8x16_i7x16_add_s` (0xfd 0x113). */
const RELAXED_PROBE = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 19, 1, 17, 0, 65, 0, 253,
  15, 65, 0, 253, 15, 65, 0, 253, 15, 253, 147, 2, 11,
];

/** Whether the engine accepts the probe. */
function accepts(probe) {
  return typeof WebAssembly === "object" && WebAssembly.validate(Uint8Array.from(probe));
}

/** What this engine can run. */
export function detectFeatures() {
  return { simd128: accepts(SIMD128_PROBE), relaxed: accepts(RELAXED_PROBE) };
}

/** Backends to try, best first; `wanted` is "auto" or one of them. */
export function moduleCandidates(wanted, features = detectFeatures()) {
  const known = ["auto", ...Object.keys(MODULE_FILES)];
  if (!known.includes(wanted)) {
    const message = `module must be one of ${known.join(", ")}, not ${wanted}`;
    throw new CultivarError(message, { kind: KIND.badArgument });
  }
  const names = wanted === "auto" ? Object.keys(MODULE_FILES) : [wanted];
  const usable = names.filter((name) => features[name]);
  if (usable.length === 0) {
    const what = wanted === "relaxed" ? "relaxed SIMD" : "WebAssembly SIMD (simd128)";
    throw new CultivarError(`this browser lacks ${what}`, { kind: KIND.unsupported });
  }
  return usable;
}

/** Fetches and compiles one module file; `baseUrl` ends in a slash. */
export async function compileModule(file, baseUrl) {
  const url = new URL(file, baseUrl);
  const response = await fetch(url).catch((cause) => {
    throw new CultivarError(`${url} cannot be fetched: ${cause.message}`, { kind: KIND.network });
  });
  if (!response.ok) {
    throw new CultivarError(`${url} answered ${response.status}`, { kind: KIND.network });
  }
  const streams = response.headers.get("content-type")?.startsWith("application/wasm");
  return streams
    ? WebAssembly.compileStreaming(response)
    : WebAssembly.compile(await response.arrayBuffer());
}
