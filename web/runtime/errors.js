/**
 * The one error type of the kit, and how it crosses from the worker to the page.
 * Every message is a sentence for a person; `code` and `kind` are for programs.
 * Must never carry anything that structured cloning would lose.
 */
import { ERROR_RANGES, STATUS } from "./abi.js";

/** Kinds that arise outside the module: they have code 0. */
export const KIND = Object.freeze({
  stopped: "stopped",
  trap: "trap",
  replaced: "replaced",
  sessionLost: "session_lost",
  closed: "closed",
  busy: "busy",
  network: "network",
  quota: "quota",
  unsupported: "unsupported",
  badArgument: "bad_argument",
  internal: "internal",
});

/** What every call of the kit rejects with. */
export class CultivarError extends Error {
  constructor(message, { code = 0, kind = KIND.internal } = {}) {
    super(message);
    this.name = kind === KIND.stopped ? "AbortError" : "CultivarError";
    this.code = code;
    this.kind = kind;
  }
}

/** The error of a call that was stopped by its signal. */
export function stoppedError() {
  return new CultivarError("stopped", { kind: KIND.stopped });
}

/** The error for a positive status code of the module and the module's sentence. */
export function statusError(code, text) {
  return new CultivarError(text, { code, kind: kindOfCode(code) });
}

/** The kind that a module's code belongs to: the status name, or the layer that refused. */
export function kindOfCode(code) {
  const own = Object.keys(STATUS).find((name) => STATUS[name] === code);
  if (own) return own;
  const range = ERROR_RANGES.find(({ first, last }) => code >= first && code <= last);
  return range ? range.kind : KIND.internal;
}

/** A plain object for postMessage. */
export function packError(error) {
  // A browser's own error may have a number too, which means something else.
  const { message, kind, code = 0 } = error;
  if (kind) return { message, code, kind };
  if (error.name !== "QuotaExceededError") return { message, code: 0, kind: KIND.internal };
  return { message: `the browser has no room for it: ${message}`, code: 0, kind: KIND.quota };
}

/** The error again, on the other side. */
export function unpackError({ message, code, kind }) {
  return new CultivarError(message, { code, kind });
}
