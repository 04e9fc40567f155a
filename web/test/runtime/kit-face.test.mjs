/**
 * The kit's public face: what `cultivar.d.ts` declares is what the scripts have, no more and no
 * less. The TypeScript compiler checks the declarations themselves (`kit-types.ts`).
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import * as kit from "../../runtime/cultivar.js";

const source = new URL("../../runtime/cultivar.d.ts", import.meta.url);
const declarations = await readFile(source, "utf8");

/** Members of a declared class: `{ methods, statics, fields }`. */
function declared(name) {
  const body = declarations.split(`export class ${name} `)[1].split("\n}\n")[0];
  const names = (pattern) =>
    [...new Set(Array.from(body.matchAll(pattern), ([, member]) => member))].sort();
  return {
    methods: names(/^ {2}(\w+)[(<]/gm),
    statics: names(/^ {2}static (\w+)[(<]/gm),
    fields: names(/^ {2}(?:readonly )?(\w+):/gm),
  };
}

/** Names of an object's own functions, and of everything else that it has. */
function members(object, without = []) {
  const all = Object.entries(Object.getOwnPropertyDescriptors(object));
  const known = all.filter(([name]) => !without.includes(name));
  const names = (wanted) =>
    known.filter(([, { value }]) => (typeof value === "function") === wanted)
      .map(([name]) => name).sort();
  return { functions: names(true), others: names(false) };
}

for (const name of ["Cultivar", "Package", "Session"]) {
  test(`${name} has the methods that are declared`, () => {
    const { methods, statics, fields } = declared(name);
    const { prototype } = kit[name];
    const own = members(prototype, ["constructor"]);
    assert.deepEqual(own.functions, methods);
    // Only the kit itself opens packages.
    const inner = name === "Package" ? ["open"] : [];
    assert.deepEqual(members(kit[name], inner).functions, statics);
    const made = members(new kit[name]());
    for (const field of [...own.others, ...made.others]) assert.ok(fields.includes(field), field);
  });
}
