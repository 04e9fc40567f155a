/**
 * A measurement in Node: one job from the command line (JSON), its result on standard output.
 */
import { openAsBlob, readFileSync } from "node:fs";
import { Job } from "./job.js";

const job = JSON.parse(process.argv[2]);
const module = readFileSync(new URL(`../../wasm/${job.file}`, import.meta.url));
const [blob, adapter] = await Promise.all([openAsBlob(job.path), openAsBlob(job.adapter)]);
const result = await new Job(job).run(module, blob, adapter);
console.log(JSON.stringify(result));
