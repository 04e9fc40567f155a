/**
 * How packages come in and go out: opening, importing, exporting. Part of `cultivar.d.ts`.
 */

import type { Card, ExportReport, ImportPlan } from "./answers.js";
import type { CultivarError, Pauser } from "./cultivar.js";

/**
 * Packages kept in the browser's own storage: files of the origin, or its database where a browser
 * lacks these. What was not committed is cleared away at the next start.
 *
 * ```js
 * const library = await Library.open();
 * const sink = await library.create();
 * const bytes = await cultivar.importPackage(files, { sink });
 * const model = await cultivar.openPackage(() => library.blob(sink.id)); // verifies it
 * await library.commit(sink.id, { name: "mine", bytes, added: Date.now() });
 * ```
 */
export class Library {
  private constructor();

  /** Rejects where the browser keeps nothing for the page, as in some private windows. */
  static open(options?: { spawnWorker?: () => Worker }): Promise<Library>;

  /** What is kept, newest (by `added`) first. */
  list(): Promise<LibraryRecord[]>;

  /** A new place to write to. Where there is no room, writing rejects with kind "quota". */
  create(): Promise<Required<PackageSink> & { id: string }>;

  /** Writes a whole package to a new place; resolves to its id. */
  copy(blob: Blob, options?: TransferOptions): Promise<string>;

  /**
   * Lists what was written to a place; resolves to its id. The record may hold what you like. Where
   * a listed record has the same `content`, this place is deleted and that one's id is the answer.
   */
  commit(id: string, record: Omit<LibraryRecord, "id">): Promise<string>;

  /** The package, read from storage as it is used; valid until `commit` or `remove`. */
  blob(id: string): Promise<Blob>;

  /** Deletes a package, listed or not. */
  remove(id: string): Promise<void>;

  /** Ends its worker. */
  close(): void;
}

export interface LibraryRecord {
  id: string;
  /** Milliseconds since 1970. */
  added: number;
  /** `card.identities.content`: two with the same one are never listed. */
  content?: string;
  [field: string]: unknown;
}

/** Where a package is read from. */
export type PackageSource = Blob | File | URL | string | ArrayBuffer | ArrayBufferView
  | (() => Blob | Promise<Blob>);

/**
 * Where a package is written to, in any order, the head last; each call is waited for. What
 * `FileSystemFileHandle.createWritable()` gives is one.
 */
export interface PackageSink {
  write(range: { type: "write"; position: number; data: Uint8Array }): void | Promise<void>;
  /** All is written. */
  close?(): void | Promise<void>;
  /** What was being made ended early; what was written is of no use. */
  abort?(reason: CultivarError): void | Promise<void>;
}

export interface OpenPackageHooks {
  signal?: AbortSignal;
  pauser?: Pauser;
  /**
   * The card, as soon as the head is read and before memory is taken for weights. What it answers
   * is waited for; if it rejects, opening ends with that error.
   */
  onCard?: (card: Card) => void | Promise<void>;
  onProgress?: (progress: ByteProgress) => void;
}

export interface ByteProgress {
  /** "read" and "verify" when opening, "import", "export", and "keep" for `Library.copy`. */
  phase: "read" | "verify" | "import" | "export" | "keep";
  doneBytes: number;
  totalBytes: number;
}

export interface ImportOptions {
  /** How matrices are stored. Default: "keep". */
  format?:
    | "keep" | "f32" | "f16" | "bf16" | "q8_0" | "q6_k" | "q5_0" | "q4_k" | "q4_0"
    | "q4_k_m" | "q4_k_l";
  /** Texts for the package's metadata. */
  name?: string;
  license?: string;
  source?: string;
  notes?: string;
  /** Pass over files of no known kind instead of refusing them. Default: false. */
  skip_unrecognised?: boolean;
  /** Takes the package as it is made, so that it is never held in memory. */
  sink?: PackageSink;
  /**
   * What is known when all headers are read and no weight is, memory included. What it answers is
   * waited for; if it rejects, the import ends with that error.
   */
  onPlan?: (plan: ImportPlan) => void | Promise<void>;
  signal?: AbortSignal;
  pauser?: Pauser;
  onProgress?: (progress: ByteProgress) => void;
}

export interface TransferOptions {
  signal?: AbortSignal;
  pauser?: Pauser;
  onProgress?: (progress: ByteProgress) => void;
}

export interface ExportedFiles {
  files: { name: string; blob: Blob }[];
  report: ExportReport;
}
