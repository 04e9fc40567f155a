/**
 * The worker's half of a measurement: loads a module and a package by the kit's own parts, runs
 * once to warm up (the browser's optimizing compiler needs a few calls) and once to measure.
 */
import { Engine } from "../../runtime/engine.js";
import { MODULE_FILES } from "../../runtime/features.js";
import { loadPackage } from "../../runtime/package-loader.js";
import { runSession } from "../../runtime/session-runner.js";

/** The scalar module is built for measurements only, so the kit does not know it. */
const FILES = { ...MODULE_FILES, scalar: "cultivar-scalar.wasm" };
const WARM_PROMPT_LEN = 32;
const WARM_TOKENS = 16;

async function run(engine, handle, promptIds, nTokens) {
  const settings = { max_tokens: nTokens, ignore_stop: true };
  const text = JSON.stringify(settings);
  const session = engine.call("session_new", handle, engine.putText(text));
  await runSession(engine, session, promptIds, { onTokens: () => {} });
  const report = engine.json("session_report", session);
  engine.call("session_close", session);
  return report;
}

async function measure({ module, url, promptIds, nTokens }) {
  const address = new URL(`../../wasm/${FILES[module]}`, import.meta.url);
  const engine = await Engine.create(await WebAssembly.compileStreaming(fetch(address)));
  const { handle } = await loadPackage(engine, new URL(url, self.location.href).href);
  await run(engine, handle, promptIds.slice(0, WARM_PROMPT_LEN), WARM_TOKENS);
  return run(engine, handle, promptIds, nTokens);
}

self.onmessage = async ({ data }) => {
  try {
    self.postMessage({ report: await measure(data) });
  } catch (error) {
    self.postMessage({ error: String(error.message ?? error) });
  }
};
