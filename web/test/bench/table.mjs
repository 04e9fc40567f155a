/**
 * The bench's table: medians per model and engine, and the ratios that matter. Pure text from
 * numbers, so that a test can check it without measuring anything.
 */
import os from "node:os";

/** Middle value; the mean of the two middle ones for an even count; undefined for none. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle];
  return sorted.length === 0 ? undefined : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Ratios shown where both engines were measured: [title, above, below]. */
const RATIOS = [
  ["simd128 / scalar", "simd128", "scalar"],
  ["relaxed / simd128", "relaxed", "simd128"],
  ["simd128 / native", "simd128", "native"],
];

/** Markdown table: a row per model and phase, a column per engine, then ratios. */
export function table(results, models, engines) {
  const ratios = RATIOS.filter(([, a, b]) => engines.includes(a) && engines.includes(b));
  const titles = engines.map((engine) => (engine === "native" ? engine : `wasm ${engine}`));
  const head = ["model", "tokens/s", ...titles, ...ratios.map(([title]) => title)];
  const rows = [head, head.map((_, i) => (i < 2 ? "---" : "--:"))];
  for (const model of models) {
    for (const phase of ["prefill", "decode"]) {
      const of = (engine) =>
        median(
          results
            .filter((one) => one.model === model && one.engine === engine && !one.error)
            .map((one) => one[phase]),
        );
      const ratio = ([, above, below]) => {
        const value = of(above) / of(below);
        return Number.isFinite(value) ? value.toFixed(2) : "-";
      };
      const figures = engines.map((engine) => of(engine)?.toFixed(1) ?? "-");
      rows.push([model, phase, ...figures, ...ratios.map(ratio)]);
    }
  }
  return rows.map((row) => `| ${row.join(" | ")} |`).join("\n");
}

/** The machine and the browser, in one line. */
export function environmentLine(browser) {
  const cpus = os.cpus();
  const cpu = `${cpus[0]?.model.trim() ?? "unknown CPU"}, ${cpus.length} cores`;
  return `${cpu}; ${os.type()} ${os.release()}; ${browser ?? "no browser"}; 1 thread`;
}
