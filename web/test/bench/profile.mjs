/**
 * The profile's table: time of each part of the forward pass per token, and of the parts that are
 * products of matrices their rates and their share of the limit that the roofline's loops found in
 * the same session. Pure text from numbers.
 */
import { costs } from "./costs.js";
import { median, short, valuesOf } from "./table.mjs";

/** The loop that bounds a format's products in a module: of one row, and of several. */
function limit(samples, format, module, unit) {
  const kind = module === "relaxed" ? "relaxed" : "plain";
  const loop = `${format.startsWith("q8") ? "q8" : "q4"}${unit === "GMAC/s" ? " 4 tokens" : ""}`;
  const figure = `${loop} ${kind}, 256 MiB, ${unit}`;
  return median(valuesOf(samples, { name: "roofline", engine: "chromium", figure }));
}

/** One table for a sample's profile: prefill by products, decode by bytes. */
export function profileTable({ case: name, engine, profile }, samples) {
  const [format, module] = [name.split(" ")[1], engine.split(" ")[1]];
  const { parts } = costs(profile.card);
  const rows = [];
  for (const [phase, unit, of] of [["prefill", "GMAC/s", "macs"], ["decode", "GB/s", "bytes"]]) {
    const { n_rows: nRows, n_batches: nBatches, ...times } = profile[phase];
    const total = Object.values(times).reduce((sum, ms) => sum + ms, 0);
    for (const [key, ms] of Object.entries(times)) {
      const part = key.replace(/_ms$/, "");
      // The output is computed for the last row alone.
      const n = part === "output" && phase === "prefill" ? 1 : nRows;
      const rate = parts[part] ? (parts[part][of] * n) / ms / 1e6 : NaN;
      const share = (100 * rate) / limit(samples, format, module, unit);
      const cells = [phase, part, ((ms * 1e3) / nRows).toFixed(1), ((100 * ms) / total).toFixed(1)];
      rows.push([...cells, `${short(rate)} ${Number.isFinite(rate) ? unit : ""}`, short(share)]);
    }
    rows.push([phase, "all", ((total * 1e3) / nRows).toFixed(1), "100", `${nBatches} batches`, ""]);
  }
  const head = [`${name}, ${engine}`, "part", "µs per token", "% of time", "rate", "% of limit"];
  const lines = [head, head.map((_, i) => (i < 2 ? "---" : "--:")), ...rows];
  return lines.map((row) => `| ${row.join(" | ")} |`).join("\n");
}
