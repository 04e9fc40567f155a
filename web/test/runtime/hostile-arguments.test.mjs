/**
 * Every export of every module with numbers that might do harm: each is refused, and what is valid
 * works afterwards.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { EXPORTS } from "../../runtime/abi.js";
import { importFiles } from "../../runtime/import-runner.js";
import { loadPackage } from "../../runtime/package-loader.js";
import { runSession } from "../../runtime/session-runner.js";
import {
  TINY, engineOf, foreignFiles, golden, goldenBlob, goldenBytes, namesOf, newSession, openText,
} from "./kit-fixtures.mjs";

/** Calls every export of a part with every pair of numbers that might do harm. */
function callHostile(engine, part, handles) {
  const hostile = [0, -1, 1, 7, 0x7fffffff, -0x80000000, 4097, ...handles];
  const skipped = ["test_trap", "memory_reset_peak", "package_close", "session_close"];
  for (const name of namesOf(part)) {
    if ([...skipped, "text_close"].includes(name)) continue;
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
    assert.equal(engine.call("abi_version"), 2);
  }
  assert.ok(!engine.isDead);
}

test("every export with hostile arguments refuses, and the next valid call works", async () => {
  const engine = await engineOf();
  const { handle } = await loadPackage(engine, goldenBlob());
  const session = newSession(engine, handle, { max_tokens: 4 });
  callHostile(engine, "engine", [handle, session, handle + 1]);
  // One of those calls left the cache no byte, which is a valid wish.
  engine.call("package_limits", handle, 32, 1, Infinity, 0);
  const fresh = newSession(engine, handle, { max_tokens: 4 });
  const run = await runSession(engine, fresh, golden.prompt, { onTokens() {} });
  assert.equal(run.stopReason, "max_tokens");
});

test("the packer refuses hostile arguments too, and still imports", async () => {
  const packer = await engineOf("packer");
  const order = JSON.stringify({ sources: [{ name: "a.bin", bytes: 9999 }] });
  const job = packer.call("import_begin", packer.putText(order));
  callHostile(packer, "packer", [job, job + 1, job + 4096]);
  const blob = await importFiles(packer, foreignFiles(TINY), {});
  assert.equal((await loadPackage(await engineOf(), blob)).card.file_bytes, blob.size);
});

test("the text module refuses hostile arguments too, and still encodes", async () => {
  const engine = await engineOf();
  const { module } = engine.encoder;
  const text = openText(engine, goldenBytes());
  callHostile(module, "text", [text, text + 1, text + 4096]);
  assert.equal(module.call("text_close", text), 0);
  const again = openText(engine, goldenBytes());
  assert.ok(module.call("tokenize", again, module.putText("The cat"), 0) > 0);
});

test("the exporter refuses hostile arguments too", async () => {
  const exporter = await engineOf("exporter");
  const job = exporter.call("export_begin", exporter.putText("gguf"), goldenBytes().length);
  callHostile(exporter, "exporter", [job, job + 1, job + 4096]);
});

test("the breeder refuses hostile arguments too", async () => {
  const breeder = await engineOf("breeder");
  const sources = [1, 2].map((n) => ({ name: `${n}.slm`, bytes: 9999 }));
  const order = JSON.stringify({ job: "bake", sources });
  const job = breeder.call("job_begin", breeder.putText(order));
  callHostile(breeder, "breeder", [job, job + 1, job + 4096]);
});
