/**
 * A consumer of the kit as TypeScript sees it: `cargo xtask test` compiles this against
 * `cultivar.d.ts` and runs nothing. Every call of the public face stands here once.
 */
import {
  Cultivar, CultivarError, Package, Session,
  type Card, type Constraint, type Diagnostics, type EngineInfo, type MemoryStats,
  type PackagePool, type Report,
  type Settings, type StopReason, type Token,
} from "../../runtime/cultivar.js";

const constraints: Constraint[] = [
  { json: true }, { schema: { type: "object" } }, { schema: true }, { grammar: 'root ::= "a"' },
];

const settings: Settings = {
  context_len: 64, kv: "q8", max_tokens: 8, temperature: 0.5, top_k: 10, top_p: 0.9, seed: 7n,
  stop_strings: ["\n"], logit_bias: { "5": -1 }, constraint: constraints[0] ?? null,
};

export async function evaluate(file: File, prompts: string[]): Promise<string[]> {
  const pool: PackagePool = await Cultivar.openPool(file, { workers: 4, module: "relaxed" });
  const digests = await pool.map(prompts, async (model: Package, prompt) => {
    const session = await model.createSession(settings);
    for await (const { text } of session.generate(prompt)) console.log(text);
    return (await session.report()).run_digest;
  });
  pool.close();
  return digests.slice(0, pool.packages.length);
}

export async function open(file: File, signal: AbortSignal): Promise<Package> {
  const kit = await Cultivar.open({ module: "auto", baseUrl: new URL("https://x.test/wasm/") });
  const info: EngineInfo = kit.info;
  kit.onReplaced = (reason: CultivarError) => console.log(reason.kind, reason.code, info.module);
  const stats: MemoryStats = await kit.memory();
  const used: number = stats.usedBytes;
  const made: Blob = await kit.importPackage([file], {
    format: "q8_0", skip_unrecognised: true, signal,
    onProgress: ({ phase, doneBytes, totalBytes }) => console.log(phase, doneBytes / totalBytes),
  });
  const model = await kit.openPackage(used > 0 ? made : new Uint8Array(8), {
    signal, onCard: (card: Card) => console.log(card.identities.weights),
  });
  await kit.testTrap("packer").catch((error: CultivarError) => error.name === "CultivarError");
  const table: Uint8Array = await kit.compileConstraint({ json: true });
  const files = await kit.exportPackage(table.length > 0 ? made : file, "gguf", { signal });
  console.log(files, await model.exportAs("safetensors"));
  kit.close();
  return model;
}

export async function write(model: Package): Promise<StopReason | null> {
  const ids: Uint32Array = await model.tokenize("a", { special: true, bos: false });
  const text: string = await model.detokenize([...ids]);
  const session: Session = await model.createSession(settings);
  for await (const token of session.generate(text, { onProgress: (p) => p.doneTokens })) {
    const { id, index }: Token = token;
    if (id !== null && index > 3) break;
  }
  const report: Report = await session.report();
  const diagnostics: Diagnostics = report.diagnostics;
  const logits: Float32Array = await session.logits();
  console.log(report.run_digest, diagnostics, logits.length);
  await session.rewind(1);
  const fork = await session.fork();
  for await (const { text } of fork.generate(Uint32Array.of(1))) console.log(text);
  await fork.close();
  await session.close();
  await model.close();
  return session.stopReason;
}

// What must not compile.
// @ts-expect-error sessions are made by packages
new Session();
// @ts-expect-error a misspelt setting
const misspelt: Settings = { topk: 5 };
// @ts-expect-error one constraint at a time is meant, and this is none
const none: Constraint = { xml: true };
console.log(misspelt, none);
