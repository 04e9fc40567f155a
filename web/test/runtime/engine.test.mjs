/**
 * The module and the engine object: the table is what is exported, refusals are codes after which
 * everything goes on, runs give the golden digests on every module.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { EXPORTS, STATUS } from "../../runtime/abi.js";
import { importFiles } from "../../runtime/import-runner.js";
import { loadPackage } from "../../runtime/package-loader.js";
import { queuePrompt, runSession } from "../../runtime/session-runner.js";
import {
  engineOf, foreignFiles, golden, goldenBlob, goldenBytes, moduleOf, runnable,
} from "./kit-fixtures.mjs";

const open = (engine, file) => loadPackage(engine, goldenBlob(file));
const newSession = (engine, handle, settings = {}) =>
  engine.call("session_new", handle, engine.putText(JSON.stringify(settings)));
const quiet = { onTokens: () => {} };
const TINY = { dim: 32, hidden: 64, nLayers: 2, nHeads: 4, vocab: 300, contextLen: 32 };

function code(work) {
  try {
    work();
    return 0;
  } catch (error) {
    assert.equal(error.name, "CultivarError", error.stack);
    assert.ok(error.message.length > 5, "a refusal has a sentence");
    return error.code;
  }
}

/** Names of the exports that a part has, sorted. */
const namesOf = (part) =>
  Object.keys(EXPORTS).filter((name) => ["every", part].includes(EXPORTS[name].split(" ")[0]))
    .sort();

for (const part of ["packer", "breeder"]) {
  test(`the ${part}: imports nothing, exports its own verbs and no session's`, async () => {
    const module = await moduleOf(part);
    assert.deepEqual(WebAssembly.Module.imports(module), []);
    const exported = WebAssembly.Module.exports(module).filter(({ kind }) => kind === "function");
    assert.deepEqual(exported.map(({ name }) => name).sort(), namesOf(part));
    assert.ok(!namesOf(part).some((name) => name.startsWith("session")));
    assert.equal((await engineOf(part)).info.abi_version, 1);
  });
}

for (const name of runnable) {
  test(`${name}: imports nothing, exports the table, passes its self test`, async () => {
    const module = await moduleOf(name);
    assert.deepEqual(WebAssembly.Module.imports(module), []);
    const exported = WebAssembly.Module.exports(module).filter(({ kind }) => kind === "function");
    const names = exported.map((one) => one.name);
    assert.deepEqual(names.sort(), namesOf("engine"));
    const engine = await engineOf(name);
    assert.equal(engine.info.backend, name);
    assert.ok(engine.call("selftest") > 200);
  });

  test(`${name}: golden digests`, async () => {
    const engine = await engineOf(name);
    const handles = new Map();
    for (const { file, settings, run_digest: expected } of golden.runs) {
      if (!handles.has(file)) handles.set(file, (await open(engine, file)).handle);
      const session = newSession(engine, handles.get(file), settings);
      await runSession(engine, session, golden.prompt, quiet);
      const report = engine.json("session_report", session);
      assert.equal(report.run_digest, expected, `${file} ${JSON.stringify(settings)}`);
      const { heap_used_bytes: used, heap_peak_bytes: peak, ...bytes } = report.diagnostics.memory;
      const classes = ["weights", "adapter", "kv", "workspace", "buffers"];
      const sum = classes.reduce((total, name) => total + bytes[`${name}_bytes`], 0);
      assert.ok(bytes.buffers_bytes > 0 && sum === used && peak >= used);
      engine.call("session_close", session);
    }
  });
}

test("texts of tokens add up; sessions side by side do not disturb each other", async () => {
  const engine = await engineOf();
  const { handle } = await open(engine);
  const texts = [];
  const digests = await Promise.all([1, 2, 3].map(async (seed) => {
    const session = newSession(engine, handle, { max_tokens: 30, temperature: 1.5, seed });
    let text = "";
    const onTokens = (tokens) => (text += tokens.map((token) => token.text).join(""));
    await runSession(engine, session, golden.prompt, { onTokens });
    const report = engine.json("session_report", session);
    assert.equal(text, report.text);
    texts.push(text);
    return report.run_digest;
  }));
  assert.equal(new Set(digests).size, 3);
  const alone = newSession(engine, handle, { max_tokens: 30, temperature: 1.5, seed: 2 });
  await runSession(engine, alone, golden.prompt, quiet);
  assert.equal(engine.json("session_report", alone).run_digest, digests[1]);
});

test("fork, rewind and logits", async () => {
  const engine = await engineOf();
  const { handle, card } = await open(engine);
  const session = newSession(engine, handle, { max_tokens: 8 });
  await runSession(engine, session, golden.prompt, quiet);
  const first = engine.json("session_report", session);
  const n = engine.call("session_logits", session);
  assert.equal(n, card.tokenizer.vocab_size);
  const fork = engine.call("session_fork", session);
  assert.equal(code(() => engine.call("session_logits", fork)), STATUS.out_of_order);
  engine.call("session_rewind", fork, first.prompt_ids.length);
  for (let step = 0; step !== 2; ) step = engine.call("session_step", fork, 64);
  const again = engine.json("session_report", fork);
  assert.deepEqual(again.output_ids, first.output_ids);
  assert.equal(again.text, first.text);
  assert.equal(code(() => engine.call("session_logits", session)), STATUS.out_of_order);
  assert.equal(code(() => engine.call("session_rewind", fork, 100000)), 356);
});

/** Calls every export of a part with every pair of numbers that might do harm. */
function callHostile(engine, part, handles) {
  const hostile = [0, -1, 1, 7, 0x7fffffff, -0x80000000, 4097, ...handles];
  const skipped = ["test_trap", "memory_reset_peak", "package_close", "session_close"];
  for (const name of namesOf(part)) {
    if (skipped.includes(name)) continue;
    const args = EXPORTS[name].split(" ").slice(2);
    for (let round = 0; round < 10 ** Math.min(args.length, 2); round += 1) {
      const values = args.map((_, i) => hostile[Math.floor(round / 10 ** i) % 10]);
      if (name === "buffer_reserve" && values[0] > 4097) continue;
      try {
        engine.call(name, ...values);
      } catch (error) {
        assert.notEqual(error.kind, "trap", `${name}(${values}): ${error.message}`);
      }
    }
    assert.equal(engine.call("abi_version"), 1);
  }
  assert.ok(!engine.isDead);
}

test("every export with hostile arguments refuses, and the next valid call works", async () => {
  const engine = await engineOf();
  const { handle } = await open(engine);
  const session = newSession(engine, handle, { max_tokens: 4 });
  callHostile(engine, "engine", [handle, session, handle + 1]);
  // One of those calls left the cache no byte, which is a valid wish.
  engine.call("package_limits", handle, 32, 1, Infinity, 0);
  const fresh = newSession(engine, handle, { max_tokens: 4 });
  assert.equal((await runSession(engine, fresh, golden.prompt, quiet)).stopReason, "max_tokens");
});

test("the packer refuses hostile arguments too, and still imports", async () => {
  const packer = await engineOf("packer");
  const order = JSON.stringify({ sources: [{ name: "a.bin", bytes: 9999 }] });
  const job = packer.call("import_begin", packer.putText(order));
  callHostile(packer, "packer", [job, job + 1, job + 4096]);
  const blob = await importFiles(packer, foreignFiles(TINY), {});
  assert.equal((await loadPackage(await engineOf(), blob)).card.file_bytes, blob.size);
});

test("the breeder refuses hostile arguments too", async () => {
  const breeder = await engineOf("breeder");
  const sources = [1, 2].map((n) => ({ name: `${n}.slm`, bytes: 9999 }));
  const order = JSON.stringify({ job: "bake", sources });
  const job = breeder.call("job_begin", breeder.putText(order));
  callHostile(breeder, "breeder", [job, job + 1, job + 4096]);
});

test("what is wrong has its own code", async () => {
  const [engine, packer] = [await engineOf(), await engineOf("packer")];
  const { handle } = await open(engine);
  const session = newSession(engine, handle);
  const put = (bytes) => engine.put(Uint8Array.from(bytes));
  const rows = [
    [STATUS.not_a_handle, () => engine.call("session_step", handle, 1)],
    [STATUS.not_a_handle, () => engine.call("package_describe", session)],
    [STATUS.stale_handle, () => engine.call("package_describe", handle + 4096)],
    [STATUS.bad_length, () => engine.call("tokenize", handle, put([65]) + 9, 0)],
    [STATUS.bad_utf8, () => engine.call("tokenize", handle, put([65, 0xff]), 0)],
    [STATUS.unknown_option, () => engine.call("tokenize", handle, put([65]), 6)],
    [STATUS.unknown_option, () => engine.call("tokenize", handle, put([65]), 8)],
    [STATUS.out_of_memory, () => engine.call("buffer_reserve", 0x7fffffff)],
    [STATUS.out_of_memory, () => engine.call("buffer_reserve", -1)],
    [STATUS.bad_json, () => packer.call("import_begin", packer.putText("{"))],
    [STATUS.bad_json, () => packer.call("import_begin", packer.putText("{}"))],
    [STATUS.out_of_order, () => engine.call("session_token", session)],
    [STATUS.out_of_order, () => engine.call("package_tail", handle, 0)],
    [STATUS.out_of_order, () => engine.call("package_head_bytes", handle)],
    [350, () => newSession(engine, handle, { top_k: 0 })],
    [350, () => newSession(engine, handle, { colour: 1 })],
    [351, () => newSession(engine, handle, { context_len: 1 << 30 })],
    [352, () => engine.call("session_prompt_ids", session, 0)],
    [353, () => engine.call("session_step", session, 1)],
    [355, () => engine.call("session_prompt_ids", session, put([255, 255, 255, 127]) / 4)],
  ];
  for (const [expected, work] of rows) assert.equal(code(work), expected, String(work));
  assert.equal(engine.call("session_prompt_text", session, put([65]), 0) > 0, true);
});

test("closing a package makes it and its sessions stale, and nothing else", async () => {
  const engine = await engineOf();
  const [a, b] = [await open(engine), await open(engine, "golden-f16.slm")];
  const [onA, onB] = [newSession(engine, a.handle), newSession(engine, b.handle)];
  assert.equal(engine.call("package_close", a.handle), 1);
  assert.equal(code(() => engine.call("session_len", onA)), STATUS.stale_handle);
  assert.equal(code(() => engine.call("package_close", a.handle)), STATUS.stale_handle);
  assert.equal(engine.call("session_len", onB), 0);
  const again = await open(engine);
  assert.notEqual(again.handle, a.handle);
  assert.equal(code(() => engine.call("package_describe", a.handle)), STATUS.stale_handle);
});

test("sessions beyond the limit are refused and leave no memory behind", async () => {
  const engine = await engineOf();
  const { handle } = await open(engine);
  const settings = { context_len: 16 };
  const first = newSession(engine, handle, settings);
  const handles = [first];
  for (;;) {
    const refused = code(() => handles.push(newSession(engine, handle, settings)));
    if (refused === 0) continue;
    assert.equal(refused, STATUS.too_many);
    break;
  }
  assert.equal(handles.length, 1024);
  const full = engine.json("memory_stats").used_bytes;
  for (let i = 0; i < 20; i += 1) code(() => newSession(engine, handle, settings));
  assert.ok(engine.json("memory_stats").used_bytes <= full + 4096);
  engine.call("session_close", first);
  newSession(engine, handle, settings);
});

test("memory that cannot be had is a refusal; a smaller wish is served", async () => {
  const engine = await engineOf();
  // Keys and values of this context would take 16 GiB.
  const shape = { dim: 256, hidden: 64, nLayers: 8, nHeads: 64, vocab: 300, contextLen: 1 << 20 };
  const packer = await engineOf("packer");
  const blob = await importFiles(packer, foreignFiles(shape), { format: "q4_0" });
  const { handle, card } = await loadPackage(engine, blob);
  assert.ok(card.memory.kv_bytes > 2 ** 33);
  const before = engine.json("memory_stats");
  const greedy = newSession(engine, handle, { max_tokens: 1 << 20 });
  assert.equal(code(() => queuePrompt(engine, greedy, "w300")), 404);
  engine.call("session_close", greedy);
  const after = engine.json("memory_stats");
  assert.ok(after.used_bytes <= before.used_bytes + 65536, "what was had is given back");
  const session = newSession(engine, handle, { context_len: 64, max_tokens: 2 });
  assert.equal((await runSession(engine, session, "w300", quiet)).stopReason, "max_tokens");
});

test("a trap says where it was, and the instance refuses from then on", async () => {
  const engine = await engineOf();
  const said = { kind: "trap", message: /test_trap was called with 7/ };
  assert.throws(() => engine.call("test_trap", 7), said);
  assert.ok(engine.isDead);
  assert.throws(() => engine.call("abi_version"), (error) => error.kind === "trap");
});

test("an import becomes a package that opens; bad files are refused by name", async () => {
  const packer = await engineOf("packer");
  const files = foreignFiles(TINY);
  const seen = [];
  const blob = await importFiles(packer, files.toReversed(), { format: "q8_0", name: "tiny" }, {
    onProgress: (progress) => seen.push(progress),
  });
  const { card } = await loadPackage(await engineOf(), blob);
  assert.equal(card.name, "tiny");
  assert.equal(card.file_bytes, blob.size);
  assert.match(card.conversion_record, /random\.bin/);
  const refused = async (list, options) => {
    const error = await importFiles(packer, list, options).then(() => null, (e) => e);
    return error?.code;
  };
  assert.equal(await refused([files[0]], {}), 506);
  assert.equal(await refused([{ name: "a.txt", blob: new Blob(["hello"]) }], {}), 503);
  assert.equal(await refused(files, { format: "q9" }), 522);
  assert.equal(await refused(files, { colour: "red" }), STATUS.unknown_option);
  const cut = { name: "cut.bin", blob: files[0].blob.slice(0, 5000) };
  assert.ok((await refused([cut, files[1]], {})) >= 500);
  const again = await importFiles(packer, files, { format: "q8_0", name: "tiny" });
  assert.deepEqual(await again.arrayBuffer(), await blob.arrayBuffer());
});

test("bytes of the golden package are what the repository holds", () => {
  assert.deepEqual([...goldenBytes().slice(0, 4)], [0x89, 0x53, 0x4c, 0x4d]);
});
