/**
 * The module and the engine object: the table is what is exported, refusals are codes after which
 * everything goes on, runs give the golden digests on every module.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { STATUS } from "../../runtime/abi.js";
import { importFiles } from "../../runtime/import-runner.js";
import { loadPackage } from "../../runtime/package-loader.js";
import { queuePrompt, runSession } from "../../runtime/session-runner.js";
import {
  TINY, engineOf, foreignFiles, golden, goldenBlob, goldenBytes, moduleOf, namesOf,
  newSession, openText, runnable,
} from "./kit-fixtures.mjs";

const open = (engine, file) => loadPackage(engine, goldenBlob(file));
const quiet = { onTokens: () => {} };

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

for (const part of ["text", "packer", "exporter", "breeder"]) {
  test(`the ${part}: imports nothing, exports its own verbs and no session's`, async () => {
    const module = await moduleOf(part);
    assert.deepEqual(WebAssembly.Module.imports(module), []);
    const exported = WebAssembly.Module.exports(module).filter(({ kind }) => kind === "function");
    assert.deepEqual(exported.map(({ name }) => name).sort(), namesOf(part));
    assert.ok(!namesOf(part).some((name) => name.startsWith("session")));
    assert.equal((await engineOf(part)).info.abi_version, 2);
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

test("what is wrong has its own code", async () => {
  const [engine, packer] = [await engineOf(), await engineOf("packer")];
  const { handle } = await open(engine);
  const session = newSession(engine, handle);
  const bytes = (list) => Uint8Array.from(list);
  const put = (list) => engine.put(bytes(list));
  const { module } = engine.encoder;
  const text = openText(engine, goldenBytes());
  const tokenize = (handle, list, flags) =>
    module.call("tokenize", handle, module.put(bytes(list)), flags);
  const rows = [
    [STATUS.not_a_handle, () => engine.call("session_step", handle, 1)],
    [STATUS.not_a_handle, () => engine.call("package_describe", session)],
    [STATUS.stale_handle, () => engine.call("package_describe", handle + 4096)],
    [STATUS.not_a_handle, () => tokenize(handle, [65], 0)],
    [STATUS.stale_handle, () => tokenize(text + 4096, [65], 0)],
    [STATUS.bad_length, () => module.call("tokenize", text, module.put(bytes([65])) + 9, 0)],
    [STATUS.bad_utf8, () => tokenize(text, [65, 0xff], 0)],
    [STATUS.unknown_option, () => tokenize(text, [65], 6)],
    [STATUS.unknown_option, () => tokenize(text, [65], 8)],
    [STATUS.bad_json, () => module.call("chat_prompt", text, module.putText("{}"))],
    [112, () => openText(engine, goldenBytes().map((byte, i) => (i === 200 ? ~byte : byte)))],
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
  assert.equal(engine.call("session_package", session), handle);
  assert.ok(engine.call("session_prompt_ids", session, put([65, 0, 0, 0]) / 4) > 0);
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
  const said = { kind: "trap", message: /failed in test_trap/ };
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
