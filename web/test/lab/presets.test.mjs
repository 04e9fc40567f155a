/** Presets, and what of the settings reaches a session and a link. */
import assert from "node:assert/strict";
import test from "node:test";
import { event } from "../../lab/state/events.js";
import { PAGE_PRESETS, presetNameOf } from "../../lab/state/presets.js";
import { initialState, reduce } from "../../lab/state/reducers.js";
import { SETTINGS, parseSetting, sessionSettings } from "../../lab/state/setting-table.js";
import { readFragment, writeFragment } from "../../lab/state/url.js";

const play = (state, ...events) =>
  events.reduce((before, [type, fields]) => reduce(before, event(type, fields)), state);
const type = (name, text) => ["settingChanged", { name, text }];
const nameOf = ({ presets, settings }) => presetNameOf(presets, settings.values);

test("every preset is known by its values, which are valid", () => {
  for (const [name, values] of Object.entries(PAGE_PRESETS)) {
    const state = play(initialState, type("seed", "9"), ["presetChosen", { values }]);
    assert.equal(nameOf(state), name);
    assert.equal(state.settings.values.seed, "9");
    for (const row of SETTINGS.filter((one) => one.name in values)) {
      assert.deepEqual(parseSetting(row, String(values[row.name])), { value: values[row.name] });
    }
  }
  assert.equal(nameOf(play(initialState, type("top_k", "41"))), "");
});

test("a preset is saved, chosen, removed, and never in a page's preset's place", () => {
  const saved = play(initialState, type("top_k", "41"), ["presetSaved", { name: " Mine " }]);
  assert.equal(nameOf(saved), "Mine");
  assert.equal(play(saved, ["presetSaved", { name: " " }]).presets, saved.presets);
  assert.equal(play(saved, ["presetSaved", { name: "JSON" }]).presets, saved.presets);
  const other = play(saved, type("top_k", "2"),
    ["presetChosen", { values: saved.presets.Mine }]);
  assert.equal(other.settings.values.top_k, 41);
  assert.equal(nameOf(play(other, ["presetRemoved", { name: "Mine" }])), "");
});

test("what a browser kept is checked row by row", () => {
  const kept = { A: { top_k: 7, top_p: "high", evil: 1 }, JSON: { top_k: 1 }, B: null };
  const { presets } = play(initialState, ["presetsRead", { presets: kept }]);
  assert.deepEqual(Object.keys(presets), ["A", "B"]);
  assert.equal(presets.A.top_k, 7);
  assert.equal(presets.A.top_p, 0.95);
  assert.equal("evil" in presets.A, false);
  assert.deepEqual(play(initialState, ["presetsRead", { presets: null }]).presets, {});
});

test("a session gets what is open always, and of what is folded only what was changed", () => {
  const plain = sessionSettings(initialState.settings.values);
  assert.deepEqual(plain, { temperature: 0, top_k: 40, top_p: 0.95, seed: "0", max_tokens: 256 });
  const { settings } = play(initialState, type("stop_strings", "\\n\\nUser:\nEnd"),
    type("logprobs", "5"), type("context_shift", "4"), type("min_p", "0.1"),
    type("constrain", "json_schema"),
    type("rules", "{\"type\": \"object\"}"));
  assert.deepEqual(sessionSettings(settings.values), {
    ...plain, stop_strings: ["\n\nUser:", "End"], logprobs: 5,
    context_shift: 4, min_p: 0.1, constraint: { json_schema: { type: "object" } },
  });
  const lists = play(initialState, type("logit_bias", "7:1, 42:-3.5"),
    type("banned_tokens", "1 2"), type("stop_tokens", "3"), type("ignore_stop", "yes"),
    type("random_stream", "prompt"));
  assert.deepEqual(sessionSettings(lists.settings.values), {
    ...plain, logit_bias: { 7: 1, 42: -3.5 }, banned_tokens: [1, 2], stop_tokens: [3],
    ignore_stop: true, random_stream: "prompt",
  });
  const constraint = (...typed) =>
    sessionSettings(play(initialState, ...typed).settings.values).constraint;
  assert.deepEqual(constraint(type("constrain", "json")), { json: true });
  const grammar = [type("constrain", "gbnf"), type("rules", "root ::= \"a\"")];
  assert.deepEqual(constraint(...grammar), { gbnf: "root ::= \"a\"" });
  const broken = [type("constrain", "json_schema"), type("rules", "{")];
  assert.deepEqual(constraint(...broken), { json_schema: "{" });
});

test("a link leaves out what is off, and gives all else back", () => {
  const { values } = initialState.settings;
  assert.doesNotMatch(writeFragment(values, null), /min_p|system|logprobs/);
  assert.match(writeFragment(values, null), /top_k=40/);
  const set = { ...values, min_p: 0.1, stop_strings: "a\nb", mode: "chat", system: "Be brief." };
  assert.deepEqual(readFragment(writeFragment(set, null)).values,
    Object.fromEntries([...new URLSearchParams(writeFragment(set, null)).keys()]
      .filter((name) => name !== "v").map((name) => [name, set[name]])));
});
