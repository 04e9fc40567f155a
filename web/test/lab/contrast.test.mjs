/**
 * Contrast of the colour tokens, computed from the style sheet itself, by WCAG 2.2 (success
 * criteria 1.4.3 and 1.4.11).
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";

const sheet = await readFile(new URL("../../styles/tokens.css", import.meta.url), "utf8");

/** Text on its grounds needs 4.5; edges and marks that carry meaning need 3. */
const TEXT = 4.5;
const MARK = 3;
const GROUNDS = ["ground", "surface", "sunken"];
const PAIRS = [
  ...GROUNDS.map((ground) => ["ink", ground, TEXT]),
  ...GROUNDS.map((ground) => ["ink-soft", ground, TEXT]),
  ...GROUNDS.map((ground) => ["accent", ground, TEXT]),
  ...GROUNDS.map((ground) => ["line-strong", ground, MARK]),
  ["accent-ink", "accent", TEXT], ["accent", "accent-wash", TEXT],
  ["danger", "surface", TEXT], ["danger", "danger-wash", MARK], ["ink", "danger-wash", TEXT],
  ["note", "note-wash", MARK], ["ink", "note-wash", TEXT], ["note", "surface", MARK],
  ...["weights", "kv", "workspace"].map((part) => [`part-${part}`, "surface", MARK]),
];

/** Relative luminance of `#rrggbb`. */
function luminance(hex) {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const share = parseInt(hex.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}

function colour(name, theme_idx) {
  const found = sheet.match(new RegExp(`--${name}: light-dark\\((#\\w{6}), (#\\w{6})\\);`));
  assert.ok(found, `--${name} is not light-dark(#rrggbb, #rrggbb)`);
  return found[1 + theme_idx];
}

test("black on white has the contrast the standard says", () => {
  assert.equal(contrast("#000000", "#ffffff"), 21);
});

for (const [theme_idx, theme] of ["light", "dark"].entries()) {
  test(`every pair of colours can be told apart in ${theme}`, () => {
    for (const [front, back, least] of PAIRS) {
      const found = contrast(colour(front, theme_idx), colour(back, theme_idx));
      assert.ok(found >= least, `${front} on ${back}: ${found.toFixed(2)} < ${least}`);
    }
  });
}
