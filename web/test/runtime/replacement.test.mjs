/**
 * What the kit does around a replaced worker: closing a package that is being opened again, and
 * everything that was under way in the worker that failed.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Cultivar } from "../../runtime/cultivar.js";
import { KitWorker, MODULES_URL, golden, goldenBlob, serveFiles } from "./kit-fixtures.mjs";

const settle = (promise) => promise.then(() => null, (error) => error);

let kit;
before(async () => {
  serveFiles();
  kit = await Cultivar.open({ baseUrl: MODULES_URL, spawnWorker: () => new KitWorker() });
});
after(() => kit.close());

async function drain(session) {
  let n = 0;
  for await (const { id } of session.generate(golden.prompt)) n += id === null ? 0 : 1;
  return n;
}

test("a trap ends every generation that was under way, and each says so", async () => {
  const model = await kit.openPackage(goldenBlob());
  const settings = { max_tokens: 5000, ignore_stop: true, context_shift: 4 };
  const sessions = await Promise.all([1, 2].map(() => model.createSession(settings)));
  const runs = sessions.map((session) => settle(drain(session)));
  assert.equal((await settle(kit.testTrap())).kind, "trap");
  for (const error of await Promise.all(runs)) {
    assert.equal(error.kind, "trap");
    assert.match(error.message, /failed in test_trap/);
  }
  assert.equal(await drain(await model.createSession({ max_tokens: 4 })), 4);
  await model.close();
});

test("a package that is closed while it opens again leaves nothing behind", async () => {
  const empty = (await kit.memory()).usedBytes;
  const model = await kit.openPackage(goldenBlob());
  await settle(kit.testTrap());
  const tokenizing = settle(model.tokenize("a"));
  const session = settle(model.createSession());
  await model.close();
  assert.equal((await tokenizing).kind, "closed");
  assert.equal((await session).kind, "closed");
  assert.equal((await settle(model.tokenize("a"))).kind, "closed");
  assert.ok((await kit.memory()).usedBytes <= empty);
  await model.close();
});
