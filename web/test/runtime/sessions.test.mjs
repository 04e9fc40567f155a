/**
 * What the kit's sessions can do beside going on: log-probabilities, chunks, drafts, batches,
 * snapshots, records, replays, chat prompts, limits. All of it in a worker, as a page does it.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { Cultivar } from "../../runtime/cultivar.js";
import { KitWorker, MODULES_URL, golden, goldenBlob, serveFiles } from "./kit-fixtures.mjs";

const sprout = new URL("../../../fixtures/family/sprout.slm", import.meta.url);
const SAMPLED = { max_tokens: 24, temperature: 0.9, seed: 7, ignore_stop: true };
let kit;
let model;

before(async () => {
  serveFiles();
  const spawnWorker = () => new KitWorker();
  kit = await Cultivar.open({ module: "simd128", baseUrl: MODULES_URL, spawnWorker });
  model = await kit.openPackage(goldenBlob());
});
after(() => kit.close());

async function run(session, prompt, options) {
  const tokens = [];
  for await (const token of session.generate(prompt, options)) tokens.push(token);
  return tokens;
}

async function digestOf(settings, prompt = golden.prompt, options) {
  const session = await model.createSession(settings);
  await run(session, prompt, options);
  const { run_digest } = await session.report();
  await session.close();
  return run_digest;
}

const refusal = (work) => work.then(() => null, (error) => error.code);

test("tokens carry log-probabilities and alternatives where asked", async () => {
  const session = await model.createSession({ ...SAMPLED, logprobs: 3 });
  const tokens = await run(session, golden.prompt);
  for (const { id, logprob, top } of tokens.filter((token) => token.id !== null)) {
    assert.ok(logprob <= 0);
    assert.equal(top.length, 3);
    const sorted = top.toSorted((a, b) => b.logprob - a.logprob || a.id - b.id);
    assert.deepEqual(top, sorted);
    const own = top.find((one) => one.id === id);
    assert.ok(own ? own.logprob === logprob : logprob <= top[2].logprob);
    assert.ok(top.every((one) => typeof one.text === "string"));
  }
  const plain = await run(await model.createSession(SAMPLED), golden.prompt);
  assert.ok(plain.every((token) => !("logprob" in token) && !("top" in token)));
  assert.deepEqual(plain.map(({ id }) => id), tokens.map(({ id }) => id));
});

test("chunks of a prompt, drafts and limits change no bit", async () => {
  const expected = await digestOf(SAMPLED);
  await model.setLimits({ rows: 64 });
  assert.equal((await model.cache()).max_rows, 64);
  for (const chunk of [1, 7, 64]) {
    await model.setLimits({ kvRetainedBytes: 0 });
    assert.equal(await digestOf(SAMPLED, golden.prompt, { chunk }), expected, `chunk ${chunk}`);
  }
  const session = await model.createSession({ ...SAMPLED, prompt_lookup: 4, temperature: 0 });
  await run(session, "a b c a b c a b c a b");
  const { diagnostics } = await session.report();
  assert.ok(diagnostics.n_drafted >= diagnostics.n_drafts_accepted);
  assert.ok((await model.cache()).max_logit_rows >= 5);
  assert.equal(await refusal(model.setLimits({ rows: 5000 })), 3);
  await model.setLimits({ kvRetainedBytes: 64 << 20 });
  await session.close();
});

test("too little memory evicts, then refuses by name, and every session lives on", async () => {
  const own = await kit.openPackage(goldenBlob());
  const start = async (settings) => {
    const session = await own.createSession({ ...SAMPLED, ...settings });
    await run(session, golden.prompt);
    return session;
  };
  const [first, other] = [await start(), await start({ seed: 8 })];
  await (await start({ seed: 9, max_tokens: 100 })).close();
  const { kv_bytes: bytes, kv_retained_bytes: retained } = await own.cache();
  assert.ok(retained > 0, "what nobody holds is kept");
  await own.setLimits({ kvBytes: bytes });
  // What is kept makes room for the first prompt; the second asks for more than all sessions leave.
  await run(other, "and then", { bos: false });
  const evicted = await own.cache();
  assert.ok(evicted.kv_bytes <= bytes && evicted.kv_retained_bytes < retained);
  const greedy = await own.createSession({ ...SAMPLED, max_tokens: 100 });
  const wide = golden.prompt.repeat(3);
  const refused = await run(greedy, wide).then(() => null, (error) => error);
  assert.equal(refused.code, 405);
  assert.match(refused.message, /budget of \d+/);
  assert.equal((await own.cache()).kv_retained_bytes, 0, "eviction comes before refusal");
  const expected = await digestOf(SAMPLED);
  assert.equal((await first.report()).run_digest, expected);
  await first.rewind((await first.report()).prompt_ids.length);
  await run(first, null);
  assert.equal((await first.report()).run_digest, expected, "the others go on");
  await own.setLimits({ kvBytes: Infinity });
  assert.equal((await own.cache()).kv_bytes_max, null);
  await run(greedy, wide);
  const { run_digest: late } = await greedy.report();
  assert.equal(late, await digestOf({ ...SAMPLED, max_tokens: 100 }, wide), "so does the refused");
  await own.close();
});

test("32 forks of a prefix of 224 tokens hold one copy of its pages", async () => {
  const family = await kit.openPackage(new Blob([readFileSync(sprout)]));
  const session = await family.createSession({ max_tokens: 1, ignore_stop: true });
  await run(session, Array.from({ length: 224 }, (_, i) => 3 + ((i * 7919) % 250)));
  const held = async () => (await family.cache()).kv_used_bytes;
  const prefix = await held();
  const forks = [];
  for (let i = 0; i < 32; i += 1) forks.push(await session.fork());
  assert.equal(await held(), prefix);
  for (const [i, fork] of forks.entries()) await run(fork, [5 + i, 6 + i]);
  const page = prefix / 7;
  console.log(`prefix ${prefix} bytes; with 32 forks ${await held()}, a page of ${page} each`);
  assert.equal(await held(), prefix + 32 * page);
  await family.close();
});

test("prompts run in one batch give what they give alone", async () => {
  const prompts = ["The cat", golden.prompt, "a", "one two three", [65, 66, 67]];
  const settings = prompts.map((_, i) => ({ ...SAMPLED, seed: i, max_tokens: 5 + 3 * i }));
  const reports = await model.generateBatch(prompts, settings);
  for (const [i, report] of reports.entries()) {
    assert.equal(report.output_ids.length, settings[i].max_tokens);
    assert.equal(report.run_digest, await digestOf(settings[i], prompts[i]), `prompt ${i}`);
  }
  assert.equal(await refusal(model.generateBatch(["a", ""], SAMPLED, { bos: false })), 352);
  assert.equal(await refusal(model.generateBatch(["a"], { top_k: 0 })), 350);
});

test("a snapshot goes on with the same bits, and only where it belongs", async () => {
  const expected = await digestOf({ ...SAMPLED, max_tokens: 12 });
  const session = await model.createSession({ ...SAMPLED, max_tokens: 12 });
  const seen = [];
  for await (const token of session.generate(golden.prompt)) {
    seen.push(token);
    if (seen.length === 5) break;
  }
  const snapshot = await session.snapshot();
  await session.close();
  const restored = await model.restore(snapshot);
  const before = await restored.report();
  assert.equal(before.output_ids.length, 5);
  await restored.rewind(before.prompt_ids.length + 5);
  assert.equal((await run(restored, null)).length, 7);
  assert.equal((await restored.report()).run_digest, expected);
  const whole = await model.createSession({ ...SAMPLED, max_tokens: 12 });
  await run(whole, golden.prompt);
  const again = await model.restore(await whole.snapshot());
  assert.equal((await again.report()).run_digest, expected);
  await run(whole, "and then");
  await run(again, "and then");
  assert.equal((await again.report()).run_digest, (await whole.report()).run_digest);
  const other = await kit.openPackage(goldenBlob("golden-f16.slm"));
  assert.equal(await refusal(other.restore(snapshot)), 361);
  assert.equal(await refusal(model.restore(snapshot.slice(0, snapshot.size - 1))), 360);
  assert.equal(await refusal(model.restore(new Blob(["hello"]))), 358);
  await other.close();
});

test("a record replays to the same bits, or to the first step that differs", async () => {
  const session = await model.createSession(SAMPLED);
  await run(session, golden.prompt);
  await run(session, " more");
  const record = await session.record({ steps: true });
  const same = await model.replay(JSON.parse(JSON.stringify(record)));
  assert.equal(same.same_bits, true);
  assert.equal(same.n_steps, 2 * SAMPLED.max_tokens);
  assert.equal(same.run_digest, record.run_digest);
  const changed = structuredClone(record);
  const recorded = (changed.turns[1].output_ids[3] ^= 1);
  const { first_difference: difference } = await model.replay(changed);
  assert.equal(difference.step, SAMPLED.max_tokens + 3);
  assert.equal(difference.recorded_token, recorded);
  assert.equal(difference.token, record.turns[1].output_ids[3]);
  assert.equal(difference.recorded_digest, difference.digest);
  const redacted = await session.record({ redactPrompts: true });
  assert.ok(redacted.turns.every((turn) => turn.prompt_ids === undefined));
  assert.equal(await refusal(model.replay(redacted)), 364);
  assert.equal(await refusal(model.replay(redacted, { prompts: [[1, 2], [3]] })), 364);
  const prompts = [await model.tokenize(golden.prompt), record.turns[1].prompt_ids];
  assert.equal((await model.replay(redacted, { prompts })).same_bits, true);
  assert.equal(await refusal(model.replay({ ...record, schema: "x" })), 362);
  assert.equal(await refusal(model.replay({ ...record, assembly: "0".repeat(64) })), 363);
  const stop = new AbortController();
  const stopped = model.replay(record, { signal: stop.signal }).catch((error) => error.name);
  stop.abort();
  assert.equal(await stopped, "AbortError");
});

test("a profile on demand tells time by operator and changes no bit", async () => {
  const options = { module: "simd128", baseUrl: MODULES_URL, spawnWorker: () => new KitWorker() };
  const profiling = await Cultivar.open({ ...options, profile: true });
  const own = await profiling.openPackage(goldenBlob());
  const session = await own.createSession(SAMPLED);
  await run(session, golden.prompt);
  const { run_digest, diagnostics } = await session.report();
  assert.equal(run_digest, await digestOf(SAMPLED));
  const { n_batches, n_rows, ...times } = diagnostics.profile;
  assert.ok(n_batches >= SAMPLED.max_tokens && n_rows > n_batches);
  assert.deepEqual(Object.keys(times), [
    "embedding_ms", "norm_ms", "qkv_ms", "rotary_ms", "attention_ms", "w_o_ms", "ffn_in_ms",
    "activation_ms", "w_down_ms", "output_ms",
  ]);
  assert.ok(Object.values(times).every((ms) => ms >= 0) && times.qkv_ms > 0);
  const plain = await model.createSession(SAMPLED);
  assert.equal((await plain.report()).diagnostics.profile, undefined, "only where asked for");
  profiling.close();
});

test("a conversation becomes a prompt by the package's format, or the plain one", async () => {
  const family = await kit.openPackage(new Blob([readFileSync(sprout)]));
  const messages = [
    { role: "system", content: "Be brief." },
    { role: "user", content: "Hello </s>" },
  ];
  const prompt = await family.renderChat(messages);
  assert.equal(prompt.format, "plain");
  assert.equal(prompt.is_recognised, false);
  assert.equal(prompt.text, "Be brief.\n\nUser: Hello </s>\nAssistant:");
  assert.deepEqual(prompt.stop_strings, ["\nUser:"]);
  const ids = await family.tokenize(prompt.text);
  assert.deepEqual(prompt.ids, [...ids], "the begin marker is the tokenizer's");
  const closed = await family.renderChat(messages, { addGeneration: false });
  assert.equal(closed.text, "Be brief.\n\nUser: Hello </s>\n");
  assert.equal(await refusal(family.renderChat([{ role: "robot", content: "" }])), 9);
  assert.equal(await refusal(family.renderChat("hello")), 9);
  const session = await family.createSession({ max_tokens: 8 });
  assert.ok((await run(session, prompt.ids)).length > 0);
  await family.close();
});
