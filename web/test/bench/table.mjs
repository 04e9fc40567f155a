/**
 * The bench's tables: medians with their spread, a column per engine, and ratios. Pure text from
 * numbers, so that a test can check it without measuring anything.
 */
import os from "node:os";
import { median } from "./median.js";

export { median };

/** How far the values lie apart, as a share of their median. */
export function spread(values) {
  return (Math.max(...values) - Math.min(...values)) / Math.abs(median(values));
}

/** A number with three digits that say something. */
export function short(value) {
  if (!Number.isFinite(value)) return "-";
  const whole = Math.abs(value);
  return value.toFixed(whole >= 100 ? 0 : whole >= 10 ? 1 : 2);
}

/** All values of one figure, by case and engine; failed measurements have none. */
export function valuesOf(samples, { name, engine, figure }) {
  return samples
    .filter((one) => one.case === name && one.engine === engine)
    .map((one) => one.figures?.[figure])
    .filter(Number.isFinite);
}

/** A median, and the spread where it is more than a tenth. */
function cell(values) {
  if (values.length === 0) return "-";
  const apart = values.length > 1 ? spread(values) : 0;
  return short(median(values)) + (apart > 0.1 ? ` (${Math.round(apart * 100)} %)` : "");
}

function markdown(rows) {
  const [head, ...body] = rows;
  const line = head.map((_, i) => (i === 0 ? "---" : "--:"));
  return [head, line, ...body].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

/** One table for a case: a row per figure that was measured, a column per engine. */
export function caseTable(samples, name, engines) {
  const ofCase = samples.filter((one) => one.case === name);
  const figures = [...new Set(ofCase.flatMap((one) => Object.keys(one.figures ?? {})))];
  const rows = figures.map((figure) => [
    figure,
    ...engines.map((engine) => cell(valuesOf(samples, { name, engine, figure }))),
  ]);
  return markdown([[name, ...engines], ...rows]);
}

/** The machine, in one line. */
export function environmentLine(browser) {
  const cpus = os.cpus();
  const cpu = `${cpus[0]?.model.trim() ?? "unknown CPU"}, ${cpus.length} cores`;
  const system = `${os.type()} ${os.release()}; Node ${process.versions.node}`;
  const load = `load ${os.loadavg()[0].toFixed(2)}`;
  return `${cpu}; ${system}; ${browser ?? "no browser"}; ${load}; one thread`;
}
