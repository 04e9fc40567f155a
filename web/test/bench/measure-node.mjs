/**
 * A measurement in Node: one job from the command line (JSON), its result on standard output.
 */
import { openAsBlob, readFileSync } from "node:fs";
import path from "node:path";
import { Job } from "./job.js";

const job = JSON.parse(process.argv[2]);
const module = readFileSync(new URL(`../../wasm/${job.file}`, import.meta.url));
const [blob, adapter] = await Promise.all([openAsBlob(job.path), openAsBlob(job.adapter)]);
const constraint = job.phases.includes("constraint") && {
  gbnf: readFileSync(new URL("constraint.gbnf", import.meta.url), "utf8"),
  table: readFileSync(path.join(path.dirname(job.path), "constraint.table")),
};
const result = await new Job(job).run(module, blob, { adapter, constraint });
console.log(JSON.stringify(result));
