/** The mix: its state, its link, what of a drop is an adapter, what reaches running sessions. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { createMixCommands } from "../../lab/commands/mix.js";
import { sortAdapters } from "../../lab/commands/sort-files.js";
import { kindOfFile } from "../../lab/files/file-kind.js";
import { event } from "../../lab/state/events.js";
import {
  effectiveWeight, initialMix, mixKey, mixText, parseWeight, reduceMix,
} from "../../lab/state/mix.js";
import { initialState, reduce } from "../../lab/state/reducers.js";
import { createStore } from "../../lab/state/store.js";
import { readFragment, writeFragment } from "../../lab/state/url.js";

const identity = (digit) => String(digit).repeat(64);
const adapter = (id, fields = {}) => ({
  id, name: `a${id}`, weight: 1, typed: null, isMuted: false, isSolo: false, report: null,
  card: { weights: identity(id), deltas: [], file_bytes: 1, binding: {} }, ...fields,
});
const after = (events, mix = initialMix) =>
  events.reduce((state, [type, fields]) => reduceMix(state, event(type, fields)), mix);

test("weights are any real numbers, as people type them", () => {
  const rows = [
    ["1", 1], [" -0.5 ", -0.5], ["+2", 2], [".25", 0.25], ["1e-3", 0.001], ["−3", -3], ["40", 40],
    ["", null], ["-", null], ["1.2.3", null], ["1,5", null], ["NaN", null], ["1e39", null],
    ["0x10", null], ["Infinity", null],
  ];
  for (const [text, value] of rows) assert.equal(parseWeight(text), value, text);
});

test("muted ones do not count, and neither do others beside a solo", () => {
  const list = [adapter(1, { isMuted: true }), adapter(2, { weight: -2 }), adapter(3)];
  assert.deepEqual(list.map((one) => effectiveWeight(list, one)), [0, -2, 1]);
  const solo = [list[0], list[1], { ...list[2], isSolo: true }];
  assert.deepEqual(solo.map((one) => effectiveWeight(solo, one)), [0, 0, 1]);
  const both = [{ ...list[0], isSolo: true }, list[1]];
  assert.deepEqual(both.map((one) => effectiveWeight(both, one)), [0, 0]);
});

test("adapters come, move, change and go; another model begins anew", () => {
  const three = [1, 2, 3].map((id) => ["adapterOpened", { adapter: adapter(id) }]);
  const ids = ({ list }) => list.map(({ id }) => id);
  assert.deepEqual(ids(after(three)), [1, 2, 3]);
  assert.deepEqual(ids(after([...three, ["adapterMoved", { id: 3, to: 0 }]])), [3, 1, 2]);
  assert.deepEqual(ids(after([...three, ["adapterMoved", { id: 1, to: 2 }]])), [2, 3, 1]);
  const changed = after([...three, ["adapterChanged", { id: 2, change: { weight: 7 } }]]);
  assert.deepEqual(changed.list.map(({ weight }) => weight), [1, 7, 1]);
  assert.deepEqual(ids(after([...three, ["adapterRemoved", { id: 2 }]])), [1, 3]);
  assert.deepEqual(after([["modelOpened", { model: {} }]], changed), initialMix);
});

test("of adapters that were refused the last eight stay, until they are forgotten", () => {
  const refuse = (id) => ["adapterRefused", { refused: { id, name: `r${id}`, fields: [] } }];
  const mix = after([1, 2, 3, 4, 5, 6, 7, 8, 9].map(refuse));
  assert.deepEqual(mix.refused.map(({ id }) => id), [2, 3, 4, 5, 6, 7, 8, 9]);
  assert.equal(after([["adapterRemoved", { id: 5 }]], mix).refused.length, 7);
  assert.deepEqual([mix.list, mixText(mix)], [[], ""]);
});

test("mixes are told apart by adapters, order and the weights that count", () => {
  const keys = [
    [adapter(1), adapter(2)], [adapter(2), adapter(1)], [adapter(1), adapter(2, { weight: 2 })],
    [adapter(1), adapter(2, { isMuted: true })], [adapter(1)],
  ].map(mixKey);
  assert.equal(new Set(keys).size, keys.length);
  assert.equal(mixKey([adapter(1, { weight: 0 })]), mixKey([adapter(1, { isMuted: true })]));
});

test("a link carries the mix by identity, in order, before its adapters are there", () => {
  const mix = after([
    ["adapterOpened", { adapter: adapter(1, { weight: -0.5 }) }],
    ["adapterOpened", { adapter: adapter(2, { weight: 1.25, isMuted: true }) }],
  ]);
  const text = mixText(mix);
  assert.equal(text, `${identity(1).slice(0, 16)}*-0.5,${identity(2).slice(0, 16)}*0`);
  const fragment = `#${writeFragment({}, null, text)}`;
  assert.equal(readFragment(fragment).present, true);
  const linked = after([["linkRead", { fragment }]]);
  assert.equal(mixText(linked), text, "kept while nothing is there");
  const there = after([
    ["modelOpened", { model: {} }],
    ["adapterOpened", { adapter: adapter(3) }], ["adapterOpened", { adapter: adapter(2) }],
    ["adapterOpened", { adapter: adapter(1) }],
  ], linked);
  assert.deepEqual(there.list.map(({ id, weight }) => [id, weight]), [[1, -0.5], [2, 0], [3, 1]]);
  for (const bad of ["", "#mix=zz*1", "#mix=0123456789abcdef*x", "#mix=,,*"]) {
    assert.deepEqual(after([["linkRead", { fragment: bad }]]).wanted, []);
  }
});

test("adapters are told from models by their bytes; PEFT files find their settings", async () => {
  const family = (path) => new URL(`../../../fixtures/family/${path}`, import.meta.url);
  const files = [];
  for (const folder of ["add", "fact"]) {
    for (const name of ["adapter_model.safetensors", "adapter_config.json"]) {
      const bytes = await readFile(family(`adapters/${folder}/${name}`));
      files.push(Object.assign(new File([bytes], name), { folder }));
    }
  }
  const readme = new File(["---\nlicense: mit\n---\n"], "README.md");
  files.push(Object.assign(readme, { folder: "fact" }));
  files.push(new File([await readFile(family("hf/model.safetensors"))], "model.safetensors"));
  const gguf = (type) => new File([
    "GGUF", new Uint32Array([3, 0, 0, 1, 0]), "general.type", new Uint32Array([8, 7, 0]), type,
    new Uint8Array(64),
  ], `${type}.gguf`);
  const beside = Object.assign(gguf("adapter"), { folder: "add" });
  files.unshift(beside);
  files.push(gguf("adapter"), gguf("model"));
  const entries = await Promise.all(files.map(async (file) => (
    { file, kind: await kindOfFile(file) })));
  const { adapters, others } = sortAdapters(entries);
  assert.deepEqual(others.map(({ file }) => file.name), ["model.safetensors", "model.gguf"]);
  const named = adapters.foreign.map((group) => group.map(({ name, folder }) => folder ?? name));
  assert.deepEqual(named, [["add"], ["adapter.gguf"], ["add", "add"], ["fact", "fact", "fact"]]);
});

/** A package whose adapters and assemblies are noted. */
function setUp() {
  const store = createStore(reduce, initialState);
  const said = [];
  const opened = {
    openAdapter: async (blob) => {
      const name = await blob.text();
      if (name === "bad") throw Object.assign(new Error("no"), { code: 461, kind: "adapter" });
      return { card: adapter(name).card, name, close: async () => said.push(`close ${name}`) };
    },
    assembly: async (mix) => mix.map(({ adapter: one, weight }) => `${one.name}:${weight}`).join(),
  };
  const desk = { kit: null, opened, blob: null, name: "m.slm" };
  const commands = createMixCommands({ store, desk });
  store.dispatch(event("modelOpened", { model: { card: {} } }));
  const add = (...names) => commands.addAdapters({
    packages: names.map((name) => new File([name], name)), foreign: [],
  });
  return { store, commands, add, said };
}

const settled = () => new Promise((done) => setTimeout(done, 5));

test("weights, order and number reach running sessions at once; assembly follows", async () => {
  const { store, commands: { mix, removeAdapter }, add, said } = setUp();
  await add("1", "2");
  await settled();
  assert.equal(store.state.mix.assembly, "1:1,2:1");
  const session = {
    setWeight: async (idx, weight) => said.push(`${idx}=${weight}`),
    setAdapters: async (list) => said.push(list.map(({ id, weight }) => `${id}*${weight}`).join()),
  };
  const follow = () => mix.follow(session, mix.adapters());
  follow();
  const key = mix.key();
  const change = (id, fields) => store.dispatch(event("adapterChanged", { id, change: fields }));
  change(1, { isMuted: false });
  assert.deepEqual(said, []);
  assert.equal(mix.leave(session), key, "nothing changed for it");
  follow();
  change(1, { weight: 0.5 });
  change(2, { isSolo: true });
  store.dispatch(event("adapterMoved", { id: 2, to: 0 }));
  assert.deepEqual(said, ["0=0.5", "0=0", "2*1,1*0"]);
  assert.equal(mix.leave(session), null, "it must not be gone on from");
  follow();
  removeAdapter(2);
  await add("3");
  await settled();
  assert.deepEqual(said.slice(3), ["close 2", "1*0.5", "1*0.5,3*1"]);
  assert.equal(store.state.mix.assembly, "1:0.5,3:1");
  // One that was made before the last change hears of it when it begins to run.
  mix.follow(session, [{ ...mix.adapters()[0], weight: 1 }]);
  assert.deepEqual(said.slice(6), ["1*0.5,3*1"]);
  assert.equal(mix.leave(session), null);
});

test("an adapter that does not fit is a message by name, and the mix is as before", async () => {
  const { store, add } = setUp();
  await add("1", "bad");
  const [message] = store.state.messages.list;
  assert.match(message.title, /^bad was not added/);
  assert.match(message.advice, /another model/);
  assert.deepEqual(store.state.mix.list.map(({ name }) => name), ["1"]);
});
