/** The settings table: parsing, ranges, and the link it is written to and read from. */
import assert from "node:assert/strict";
import test from "node:test";
import { event } from "../../lab/state/events.js";
import { initialSettings, reduceSettings } from "../../lab/state/settings.js";
import { SETTINGS, parseSetting, settingRow } from "../../lab/state/setting-table.js";
import { readFragment, writeFragment } from "../../lab/state/url.js";

const WEIGHTS = "ab".repeat(32);

/** Rows of [setting, typed text, value or null for refused]. */
const TYPED = [
  ["temperature", "0", 0], ["temperature", " 0.8 ", 0.8], ["temperature", ".5", 0.5],
  ["temperature", "0.", 0], ["temperature", "100", 100], ["temperature", "100.1", null],
  ["temperature", "-1", null], ["temperature", "", null], ["temperature", "1e1", null],
  ["temperature", "NaN", null], ["temperature", "Infinity", null], ["temperature", "0x1", null],
  ["top_k", "1", 1], ["top_k", "1024", 1024], ["top_k", "0", null], ["top_k", "1025", null],
  ["top_k", "1.5", null], ["top_p", "1", 1], ["top_p", "0", null], ["top_p", "1.01", null],
  ["seed", "7", "7"], ["seed", "007", "7"],
  ["seed", "18446744073709551615", "18446744073709551615"],
  ["seed", "18446744073709551616", null], ["seed", "99999999999999999999999", null],
  ["seed", "-1", null], ["max_tokens", "1", 1], ["max_tokens", "0", null],
  ["frequency_penalty", "-1.5", -1.5], ["frequency_penalty", "-101", null], ["min_p", "-0", null],
  ["logprobs", "", ""], ["logprobs", "5", 5], ["logprobs", "21", null],
  ["stop_strings", "a\n\nb", "a\n\nb"], ["stop_strings", "x".repeat(257), null],
  ["stop_strings", "x\n".repeat(17), null], ["context_len", "0", null],
  ["kv", "f16", "f16"], ["kv", "q4", null], ["format", "q8_0", "q8_0"], ["format", "q9", null],
  ["logit_bias", "7:1, 42:-3.5", "7:1, 42:-3.5"], ["logit_bias", "7", null],
  ["banned_tokens", "1 2,3", "1 2,3"], ["banned_tokens", "1:2", null], ["stop_tokens", "-1", null],
  ["ignore_stop", "yes", "yes"], ["ignore_stop", "true", null], ["random_stream", "x", null],
  ["prompt", "", ""], ["prompt", "a&b=c #\n🌱", "a&b=c #\n🌱"],
];

test("typed text is read by its row, and refused with a sentence that names the range", () => {
  for (const [name, text, expected] of TYPED) {
    const { value, problem } = parseSetting(settingRow(name), text);
    assert.equal(value ?? null, expected, `${name} "${text}"`);
    if (expected === null) assert.match(problem, /must be .*\.$/);
  }
});

test("every initial value is a valid one", () => {
  for (const row of SETTINGS) {
    assert.deepEqual(parseSetting(row, String(row.initial)), { value: row.initial });
  }
});

test("what is typed and not valid stays beside the last valid value", () => {
  const change = (settings, name, text) =>
    reduceSettings(settings, event("settingChanged", { name, text }));
  const bad = change(initialSettings, "top_k", "9000");
  assert.equal(bad.values.top_k, 40);
  assert.equal(bad.invalid.top_k.text, "9000");
  const good = change(bad, "top_k", "9");
  assert.equal(good.values.top_k, 9);
  assert.deepEqual(good.invalid, {});
  assert.equal(change(good, "no_such_setting", "1"), good);
});

test("a link gives back exactly the values it was made of", () => {
  const prompts = ["", "Once upon a time", "a&b=c#d%e+f", "tab\tline\nend", "🌱 ünï", "\"<>'"];
  for (const prompt of prompts) {
    const values = {
      ...initialSettings.values, prompt, temperature: 0.1 + 0.2, seed: "18446744073709551615",
      top_k: 3, kv: "q8",
    };
    const link = readFragment(`#${writeFragment(values, WEIGHTS)}`);
    const read = { ...initialSettings.values, ...link.values };
    assert.deepEqual([link.present, read, link.weights], [true, values, WEIGHTS.slice(0, 16)]);
  }
});

test("a damaged link gives defaults for what cannot be read, and never fails", () => {
  for (const fragment of ["", "#", "#%E0%A4%A", "#v=2&seed=4", "#seed=4", "#&&&=="]) {
    assert.equal(readFragment(fragment).present, false, fragment);
  }
  const link = readFragment("#v=1&seed=-4&top_k=5&weights=xyz&other=1&temperature=hot");
  assert.deepEqual(link, { present: true, values: { top_k: 5 }, weights: null });
  const read = (fragment) => reduceSettings(initialSettings, event("linkRead", { fragment }));
  assert.equal(read("#nothing"), initialSettings);
  assert.equal(read("#v=1&top_k=5").values.top_k, 5);
  assert.equal(read("#v=1&top_k=5").values.seed, "0");
});

test("a lone surrogate cannot break the link", () => {
  const values = { ...initialSettings.values, prompt: "a\ud800b" };
  assert.equal(readFragment(writeFragment(values, null)).values.prompt, "a\ufffdb");
});
