/**
 * Decides what a handful of dropped files means: a package to open, a llama2.c pair to import,
 * one half of a pair to keep, or files to refuse. Pure: kinds in, a decision out.
 */

const ROLES = ["checkpoint", "tokenizer"];

/**
 * `files`: [{ file, kind: { kind, what, note } }]; `kept`: { role: { file, kind } } from before.
 * Returns `{ open, pair, kept, refused, ignored }`: `open` a File or null, `pair` both halves or
 * null, `kept` what stays waiting, `refused` entries no use can be found for, and `ignored`
 * usable ones beyond the first of their kind.
 */
export function sortFiles(files, kept) {
  const usable = ["package", ...ROLES];
  const refused = files.filter(({ kind }) => !usable.includes(kind.kind));
  const [first, ...others] = files.filter(({ kind }) => kind.kind === "package");
  if (first) {
    const rest = files.filter(({ kind }) => ROLES.includes(kind.kind));
    return { open: first, pair: null, kept, refused, ignored: [...others, ...rest] };
  }
  const halves = { ...kept };
  const ignored = [];
  const fresh = new Set();
  for (const entry of files.filter(({ kind }) => ROLES.includes(kind.kind))) {
    const role = entry.kind.kind;
    if (fresh.has(role)) ignored.push(entry);
    else halves[role] = entry;
    fresh.add(role);
  }
  const isPair = fresh.size > 0 && ROLES.every((role) => halves[role]);
  if (isPair) return { open: null, pair: halves, kept: {}, refused, ignored };
  return { open: null, pair: null, kept: halves, refused, ignored };
}

/** Name of the package an import makes: the checkpoint's name and the chosen format. */
export function packageName(checkpointName, format) {
  const stem = checkpointName.replace(/\.[^.]*$/, "") || "model";
  return format === "keep" ? `${stem}.slm` : `${stem}-${format}.slm`;
}
