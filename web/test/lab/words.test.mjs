/** Numbers and measures in words: units, rounding, and the diagnostics table. */
import assert from "node:assert/strict";
import test from "node:test";
import { lastSentenceEnd } from "../../lab/ui/announcer.js";
import { diagnosticRows } from "../../lab/ui/diagnostic-rows.js";
import {
  bytesText, countText, durationText, rateText, shareText, wholeText,
} from "../../lab/ui/quantity.js";

/** Rows of [function, argument, expected]. */
const ROWS = [
  [bytesText, 0, "0 bytes"], [bytesText, 1023, "1023 bytes"], [bytesText, 1024, "1 KiB"],
  [bytesText, 1056540, "1.01 MiB"], [bytesText, 3.5 * 2 ** 30, "3.5 GiB"],
  [bytesText, 2 ** 20 - 1, "1 MiB"], [bytesText, 2 ** 44, "16384 GiB"],
  [countText, 12, "12"], [countText, 260032, "260 K"], [countText, 1.1e9, "1.1 B"],
  [wholeText, 0, "0"], [wholeText, 999, "999"], [wholeText, 1234567, "1,234,567"],
  [durationText, 0.4234, "0.423 ms"], [durationText, 38.2, "38.2 ms"],
  [durationText, 1234, "1.2 s"], [durationText, 125_000, "2 min 5 s"],
  [durationText, 59_960, "1 min 0 s"],
  [shareText, 0, "0 %"], [shareText, 0.999, "99 %"], [shareText, 1, "100 %"],
];

test("quantities read well at every size", () => {
  for (const [words, argument, expected] of ROWS) {
    assert.equal(words(argument), expected, `${words.name}(${argument})`);
  }
  assert.equal(rateText(1532.7, "tokens"), "1,533 tokens/s");
  assert.equal(rateText(3.14159, "tokens"), "3.14 tokens/s");
});

test("diagnostics become groups of rows with units from the names", () => {
  const groups = diagnosticRows({
    schema: "s.v1",
    engine: { backend: "simd128", abiVersion: 1 },
    model: { memory: { weights_bytes: 1048576 }, load_ms: 12.5 },
    run: { diagnostics: { decode_tokens_per_s: 1404.2, decode_ms_p50: 0.71, absent: null } },
    ids: [1, 2, 3],
    nothing: null,
  });
  assert.deepEqual(groups, [
    ["general", [["schema", "s.v1"], ["ids", "3 values"]]],
    ["engine", [["backend", "simd128"], ["abi version", "1"]]],
    ["model", [["load", "12.5 ms"]]],
    ["model · memory", [["weights", "1 MiB"]]],
    ["run · diagnostics", [["decode tokens", "1,404 tokens/s"], ["decode p50", "0.71 ms"]]],
  ]);
});

test("announcements are cut at the end of a sentence", () => {
  assert.equal(lastSentenceEnd("no end yet"), 0);
  assert.equal(lastSentenceEnd("One. Two! Thr"), 9);
  assert.equal(lastSentenceEnd("a\nb"), 2);
});
