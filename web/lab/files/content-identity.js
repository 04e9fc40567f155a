/**
 * What names a package by all that it holds, from its header and section table (`content` in
 * docs/package-format.md, 13): for packages that are kept but too large to open, which only the
 * engine could verify. Never a proof that the bytes are whole.
 */

const SIGNATURES = 0xf0;
const ROW = 64;

/** Resolves to 64 hexadecimal digits; undefined where the browser has no digests. */
export async function contentIdentity(blob) {
  const subtle = globalThis.crypto?.subtle;
  if (!subtle) return undefined;
  const bytes = async (start, end) => new Uint8Array(await blob.slice(start, end).arrayBuffer());
  const head = await bytes(0, ROW);
  const table = await bytes(ROW, ROW * (1 + head[16]));
  const parts = ["cultivar.content.v1\0", head.slice(12, 16)];
  for (let at = 0; at < table.length; at += ROW) {
    if (table[at] === SIGNATURES) continue;
    const row = table.subarray(at, at + ROW);
    parts.push(row.slice(0, 8), row.slice(16, 24), row.slice(32));
  }
  const digest = await subtle.digest("SHA-256", await new Blob(parts).arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
