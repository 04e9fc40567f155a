/** Commands about packages that are kept: imported into storage, opened from it, saved, deleted. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { contentIdentity } from "../../lab/files/content-identity.js";
import { CultivarError } from "./fake-kit.js";
import { checkpointFile, packageFile, setUp, tokenizerFile, until } from "./lab-desk.js";

test("an import is kept and opens again without its files", async () => {
  const { store, files, library, keeping } = await setUp();
  await files.openFiles([checkpointFile(), tokenizerFile()]);
  const [record] = store.state.library.list;
  assert.equal(record.name, "stories.slm");
  assert.deepEqual([record.bytes, record.format], [64, "q8_0"]);
  assert.equal(store.state.model.id, record.id);
  await files.openFiles([packageFile("other.slm")]);
  assert.equal(store.state.model.id, null);
  await files.openStored(record);
  assert.deepEqual([store.state.model.name, store.state.model.id], ["stories.slm", record.id]);
  assert.deepEqual(store.state.model.imported.from, ["stories.bin", "tokenizer.bin"]);
  await keeping.deleteStored(record);
  assert.deepEqual(store.state.library.list, []);
  assert.equal(library.parts.size, 0);
});

test("a stopped import, one without room and one that does not open keep nothing", async () => {
  const { store, files, jobs, kit, library } = await setUp();
  kit.pace_ms = 5;
  const importing = files.openFiles([checkpointFile(), tokenizerFile()]);
  await until(store, (state) => state.intake.job?.card);
  jobs.stopJob();
  await importing;
  assert.match(store.state.messages.list[0].title, /was not imported/);
  library.room = 10;
  await files.importAgain();
  assert.match(store.state.messages.list[0].advice, /Delete models/);
  library.room = Infinity;
  kit.openPackage = () => Promise.reject(new CultivarError("the digest is wrong", 110, "package"));
  await files.importAgain();
  assert.match(store.state.messages.list[0].detail, /digest/);
  assert.deepEqual([library.parts.size, library.records.length], [0, 0]);
  kit.openPackage = () => Promise.reject(new CultivarError("out of memory", 251, "model"));
  await files.importAgain();
  assert.equal(store.state.library.list.length, 1, "what is whole is kept");
  assert.match(library.records[0].content, /^[0-9a-f]{64}$/, "and known again");
});

test("a package is named by its section table as the engine names it", async () => {
  const golden = new URL("../../../fixtures/golden/golden-f16.slm", import.meta.url);
  assert.equal(await contentIdentity(new Blob([await readFile(golden)])),
    "34e141dd258836e4192b30de9f26af2a3aff30e50fcb477845b6bd471e8f8233");
});

test("where nothing can be kept, an import still opens", async () => {
  const { store, files } = await setUp({ library: null });
  await files.openFiles([checkpointFile(), tokenizerFile()]);
  assert.equal(store.state.model.name, "stories.slm");
  assert.deepEqual([store.state.model.id ?? null, store.state.library.list], [null, null]);
});

test("the open package is kept when asked, and saved as other files", async () => {
  globalThis.document = { createElement: () => ({ click() {} }) };
  try {
    const { store, files, keeping, kit } = await setUp();
    await files.openFiles([packageFile("a.slm")]);
    await keeping.keepModel();
    assert.equal(store.state.library.list[0].name, "a.slm");
    assert.equal(store.state.model.id, store.state.library.list[0].id);
    for (const record of [undefined, store.state.library.list[0]]) {
      await keeping.savePackage("gguf", record);
      assert.deepEqual(kit.exported, { bytes: 113, format: "gguf" });
      assert.match(store.state.messages.list[0].detail, /became q8_0/);
      await keeping.savePackage("slm", record);
    }
    await keeping.savePackage("slm", { id: "gone", name: "gone.slm" });
  } finally {
    delete globalThis.document;
  }
});

test("an import that the storage may have no room for is asked about", async () => {
  const { store, files, jobs, desk } = await setUp();
  desk.storage = {
    estimate: async () => ({ usage: 5 * 2 ** 20, quota: 5.5 * 2 ** 20 }),
    persisted: async () => false,
  };
  await files.readLibrary();
  const importing = files.openFiles([checkpointFile(), tokenizerFile()]);
  await until(store, (state) => state.intake.job?.question);
  assert.match(store.state.intake.job.question, /takes about 1016 KiB.*has 512 KiB left/);
  jobs.goOn();
  await importing;
  assert.equal(store.state.model.name, "stories.slm");
  await files.openFiles([packageFile("opened, not kept.slm")]);
  assert.equal(store.state.model.name, "opened, not kept.slm");
});

test("a model that may not fit is asked about before its weights are read", async () => {
  const { store, files, jobs } = await setUp({ device_bytes: 2 ** 20 });
  const opening = files.openFiles([packageFile("a.slm")]);
  await until(store, (state) => state.intake.job?.question);
  assert.match(store.state.intake.job.question, /needs about 1\.7 MiB/);
  jobs.goOn();
  await opening;
  assert.equal(store.state.model.name, "a.slm");
  const importing = files.openFiles([checkpointFile(), tokenizerFile()]);
  await until(store, (state) => state.intake.job?.question);
  files.openFiles([packageFile("b.slm")]);
  await until(store, (state) => state.intake.job?.name === "b.slm" && state.intake.job.question);
  jobs.stopJob();
  assert.equal(store.state.model.name, "a.slm");
  importing.catch(() => {});
});
