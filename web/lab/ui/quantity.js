/**
 * Numbers as people read them, with their unit, the same in every locale. Byte sizes are binary
 * (1 MiB = 1,048,576 bytes).
 */

const BYTE_UNITS = ["bytes", "KiB", "MiB", "GiB"];
const COUNT_UNITS = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "K"]];

/** Three significant digits, without a trailing `.0`. */
function short(number) {
  if (number >= 100) return String(Math.round(number));
  return String(Number(number.toPrecision(3)));
}

/** 1056540 → "1.01 MiB". */
export function bytesText(bytes) {
  let size = bytes;
  let unit_idx = 0;
  while (size >= 1023.5 && unit_idx < BYTE_UNITS.length - 1) {
    size /= 1024;
    unit_idx += 1;
  }
  return `${short(size)} ${BYTE_UNITS[unit_idx]}`;
}

/** 260032 → "260 K"; whole numbers below a thousand stay as they are. */
export function countText(count) {
  const row = COUNT_UNITS.find(([least]) => count >= least);
  return row ? `${short(count / row[0])} ${row[1]}` : String(count);
}

/** 1234567 → "1,234,567". */
export function wholeText(count) {
  return String(count).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/** Milliseconds → "0.42 ms", "38 ms", "1.2 s", "2 min 5 s". */
export function durationText(ms) {
  if (ms < 1000) return `${short(ms)} ms`;
  if (ms < 59_950) return `${Number((ms / 1000).toFixed(1))} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** 1532.7 → "1,533 tokens/s"; slow rates keep a decimal. */
export function rateText(perSecond, unit) {
  const number = perSecond >= 20 ? wholeText(Math.round(perSecond)) : short(perSecond);
  return `${number} ${unit}/s`;
}

/** 0.423 → "42 %". */
export function shareText(share) {
  return `${Math.floor(share * 100)} %`;
}
