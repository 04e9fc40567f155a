/** The middle of measured values: for tables and for the page that measures. Pure. */

/** Middle value; the mean of the two middle ones for an even count; undefined for none. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle];
  return sorted.length === 0 ? undefined : (sorted[middle - 1] + sorted[middle]) / 2;
}
