/**
 * The table of targets: ratios of medians of one session, each with the least that it is to be
 * and the goal. Pure, so that a test can check it without measuring anything.
 */
import { median, short, valuesOf } from "./table.mjs";

const WLLAMA = "wllama";
const NATIVE = "llama.cpp";
/** Engines that stand for one name: the better one counts. */
const GROUPS = { [WLLAMA]: ["wllama2", "wllama3"], "wllama or ort": ["wllama2", "wllama3", "ort"] };

const of = (name, figure, ours, ...against) => ({ name, figure, ours, against });
const kit = (module) => `kit ${module}`;

/** Case, figure, our column, and per peer the bar and the goal; `null` where there is none. */
const RATES = [
  of("135m q8_0", "decode_128", kit("relaxed"), [WLLAMA, 3.5, 5], ["ort", 2, null],
    [NATIVE, null, 1]),
  of("135m q4_0", "decode_128", kit("relaxed"), [WLLAMA, 4, 6], [NATIVE, null, 1.2]),
  of("135m q8_0", "prefill_128", kit("relaxed"), [WLLAMA, 8, 12], ["ort", 1.2, 2],
    [NATIVE, null, 0.9]),
  of("135m q4_0", "prefill_128", kit("relaxed"), [WLLAMA, 6, 10], [NATIVE, null, 0.9]),
  of("15m q8_0", "decode_128", kit("relaxed"), ["wllama or ort", 4, 6], [NATIVE, null, 1]),
  of("15m q8_0", "prefill_128", kit("relaxed"), ["wllama or ort", 3, 5], [NATIVE, null, 0.9]),
  of("135m q8_0", "decode_128", kit("simd128"), [WLLAMA, 3, 4.5]),
  of("135m q8_0", "prefill_128", kit("simd128"), [WLLAMA, 5, 9]),
];

const [WEIGHTS, PRODUCTS] = ["weights_gbs", "products_gmacs"];
const ours = (module) => `chromium ${module}`;
const loop = (name, unit) => ["roofline", "chromium", `${name}, 256 MiB, ${unit}`];

/** What is measured, what it is divided by, bar and goal; each `[case, engine, figure]`. */
const SHARES = [
  ...["135m", "600m"].flatMap((shape) => ["relaxed", "simd128"].map((module) => [
    `${shape} q4_k decode ${module} / q4_0`,
    [`${shape} q4_k`, ours(module), "decode_128"],
    [`${shape} q4_0`, ours(module), "decode_128"], 0.8, 1,
  ])),
  ...["q8", "q4"].map((format) => [
    `135m ${format}_0 batch of 16 / 4-token loop`,
    [`135m ${format}_0`, ours("relaxed"), `batch_16_${PRODUCTS}`],
    loop(`${format} 4 tokens relaxed`, "GMAC/s"), 0.55, 0.85,
  ]),
  ...["q8", "q4"].flatMap((format) => [["relaxed", "relaxed"], ["simd128", "plain"]].map(
    ([module, row]) => [
      `135m ${format}_0 decode ${module} / loop`,
      [`135m ${format}_0`, ours(module), `decode_${WEIGHTS}`],
      loop(`${format} ${row}`, "GB/s"), 0.7, 0.9,
    ])),
  [
    "135m q8_0 prefill / 4-token loop",
    ["135m q8_0", ours("relaxed"), `prefill_${PRODUCTS}`],
    loop("q8 4 tokens relaxed", "GMAC/s"), 0.55, 0.85,
  ],
];

/** Cases whose runs in two workers are compared with those in one. */
const IN_TWO = ["135m q8_0", "135m q4_0", "15m q8_0"];

/** Name, `[case, engine, figure]`, bar and goal of what is compared as it is; less is better. */
const LIMITS = [
  ...["relaxed", "simd128"].map((module) => [
    `module gzip ${module}, KiB`, ["module", module, "gzip_kib"], 160, 120,
  ]),
  ...["relaxed", "simd128"].map((module) => [
    `instantiate ${module}, ms`, ["135m q8_0", ours(module), "instantiate_ms"], 50, 15,
  ]),
  ...["135m q8_0", "135m q4_0"].flatMap((name) => [
    [`${name} memory over 1.15 x package + KV, MiB`,
      [name, ours("relaxed"), "over_1_15_package_mib"], 32, null],
    [`${name} memory over 1.05 x package + KV, MiB`,
      [name, ours("relaxed"), "over_1_05_package_mib"], null, 16],
  ]),
  ...["q8_0", "q4_0"].map((format) => [
    `135m ${format} second turn / empty context and attention`,
    [`135m ${format}`, ours("relaxed"), "second_turn_x"], 1.3, null,
  ]),
  ...["relaxed", "simd128"].flatMap((module) => [
    [`15m q8_0 with a grammar ${module} / free`,
      ["15m q8_0", ours(module), "constraint_x"], 1.05, null],
    [`15m q8_0 with a grammar ${module}, start, ms`,
      ["15m q8_0", ours(module), "constraint_start_ms"], 100, null],
  ]),
];

/** Whether the value reaches a bound. */
const verdict = (value, bar, goal, less = false) => {
  const reaches = (bound) => bound !== null && (less ? value <= bound : value >= bound);
  if (reaches(goal)) return "goal";
  return bar === null ? "-" : reaches(bar) ? "bar" : "MISSED";
};

/** Every row that the samples can say something about: `{ row, value, bar, goal, verdict }`. */
export function targetRows(samples) {
  const at = ([name, engine, figure]) => median(valuesOf(samples, { name, engine, figure }));
  const rows = [];
  const push = (row, value, bar, goal, less) => {
    if (!Number.isFinite(value)) return;
    rows.push({ row, value, bar, goal, verdict: verdict(value, bar, goal, less) });
  };
  for (const { name, figure, ours: engine, against } of RATES) {
    for (const [peer, bar, goal] of against) {
      const values = (GROUPS[peer] ?? [peer]).map((one) => at([name, one, figure]) ?? 0);
      const best = Math.max(...values) || NaN;
      push(`${name} ${figure}, ${engine} / ${peer}`, at([name, engine, figure]) / best, bar, goal);
    }
  }
  for (const [row, above, below, bar, goal] of SHARES) push(row, at(above) / at(below), bar, goal);
  for (const name of IN_TWO) {
    push(`${name}, 2 workers / 1`, at([name, ours("relaxed"), "two_workers_x"]), 1.7, 1.9);
  }
  const first = (engine) => at(["135m q8_0", engine, "load_to_first_ms"]);
  const wllama = Math.min(...GROUPS[WLLAMA].map(first).filter(Number.isFinite));
  push("135m q8_0 load to first token / wllama", first(kit("relaxed")) / wllama, 1, 0.5, true);
  for (const [row, which, bar, goal] of LIMITS) push(row, at(which), bar, goal, true);
  return rows;
}

/** The same as a table. */
export function targetTable(samples) {
  const cells = ({ row, value, bar, goal, verdict: said }) =>
    `| ${row} | ${short(value)} | ${bar ?? "-"} | ${goal ?? "-"} | ${said} |`;
  const head = "| target | measured | bar | goal | reached |\n|---|--:|--:|--:|---|";
  return [head, ...targetRows(samples).map(cells)].join("\n");
}
