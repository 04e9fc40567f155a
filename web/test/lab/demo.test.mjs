/** The demo's way from the host into the state, with a host that is made up. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test, { afterEach } from "node:test";
import { DEMO, fetchDemo } from "../../lab/commands/demo.js";
import { createJobs } from "../../lab/commands/jobs.js";
import { createFileCommands } from "../../lab/commands/open-files.js";
import { event } from "../../lab/state/events.js";
import { initialState, reduce } from "../../lab/state/reducers.js";
import { createStore } from "../../lab/state/store.js";
import { Cultivar } from "./fake-kit.js";

const trueFetch = globalThis.fetch;
afterEach(() => (globalThis.fetch = trueFetch));

const BYTES = new Uint8Array(3000).fill(7);

/** A host: answers with `pieces`, and notes what it was asked. */
function host(pieces, { status = 200, headers = { "content-length": "3000" } } = {}) {
  const asked = [];
  globalThis.fetch = async (url) => {
    asked.push(String(url));
    const waiting = [...pieces];
    const body = new ReadableStream({
      pull(controller) {
        const piece = waiting.shift();
        if (piece instanceof Error) controller.error(piece);
        else if (piece) controller.enqueue(piece);
        else controller.close();
      },
    });
    return new Response(body, { status, headers });
  };
  return asked;
}

async function setUp() {
  const store = createStore(reduce, initialState);
  const kit = await Cultivar.open();
  const desk = {
    kit: Promise.resolve(kit), settle: async () => {},
    replace(opened, source) {
      Object.assign(this, { opened, source });
    },
  };
  let clock = 0;
  const now = () => (clock += 1);
  const jobs = createJobs({ store, desk, now });
  return { store, desk, jobs, files: createFileCommands({ store, desk, now, jobs }) };
}

test("the demo is fetched when asked for, with progress, and proposes its run", async () => {
  const asked = host([BYTES.slice(0, 1000), BYTES.slice(1000)]);
  const { store, desk, files } = await setUp();
  const shares = [];
  store.subscribe(({ intake: { job } }) => {
    if (job?.phase === "fetch") shares.push([job.doneBytes, job.totalBytes]);
  });
  assert.deepEqual(asked, []);
  assert.equal(await files.openDemo(), true);
  assert.equal(asked.length, 1);
  assert.match(asked[0], /^file:.*\/web\/demo\/sprout\.slm$/);
  assert.deepEqual([shares[0], shares.at(-1)], [[1000, 3000], [3000, 3000]]);
  assert.equal(desk.source.size, 3000);
  assert.equal(store.state.model.name, DEMO.name);
  const { prompt, temperature, seed } = store.state.settings.values;
  const told = JSON.parse(await readFile(
    new URL("../../../fixtures/family/demo.json", import.meta.url), "utf8"));
  assert.deepEqual({ prompt, temperature, seed }, { prompt: told.prompt, ...told.settings });
});

test("what somebody typed, or a link said, stays", async () => {
  host([BYTES]);
  const { store, files } = await setUp();
  store.dispatch(event("settingChanged", { name: "seed", text: "9" }));
  await files.openDemo();
  assert.equal(store.state.settings.values.seed, "9");
  assert.equal(store.state.settings.values.prompt, "Once upon a time");
});

test("a packed transfer has no known end", async () => {
  host([BYTES], { headers: { "content-length": "30", "content-encoding": "br" } });
  const seen = [];
  const { signal } = new AbortController();
  const blob = await fetchDemo({ signal, onProgress: (progress) => seen.push(progress) });
  assert.deepEqual(seen, [{ phase: "fetch", doneBytes: 3000, totalBytes: 0 }]);
  assert.equal(blob.size, 3000);
});

test("a missing demo, a host out of reach and a broken transfer are told with advice", async () => {
  const { store, files } = await setUp();
  const cases = [
    [() => host([], { status: 404 }), /demo\/sprout\.slm.*404/],
    [() => (globalThis.fetch = () => Promise.reject(new TypeError("offline"))), /offline/],
    [() => host([BYTES, new Error("cut off")]), /cut off/],
  ];
  for (const [prepare, detail] of cases) {
    prepare();
    assert.equal(await files.openDemo(), false);
    const [message] = store.state.messages.list;
    assert.equal(message.title, "sprout.slm could not be opened");
    assert.match(message.detail, detail);
    assert.match(message.advice, /own/);
    assert.equal(store.state.intake.job, null);
    assert.equal(store.state.model, null);
  }
});

test("a stop while it is fetched is a stop", async () => {
  const { store, files, jobs } = await setUp();
  globalThis.fetch = (url, { signal }) => new Promise((_, refuse) => {
    signal.addEventListener("abort", () => refuse(signal.reason));
  });
  const opening = files.openDemo();
  jobs.stopJob();
  assert.equal(await opening, false);
  assert.equal(store.state.messages.list[0].detail, "You stopped it.");
  assert.equal(store.state.messages.list[0].tone, "note");
});
