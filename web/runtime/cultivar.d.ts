/**
 * Cultivar's embeddable kit: open a model package in a page and generate text.
 *
 * ```js
 * import { Cultivar } from "./runtime/cultivar.js";
 * const cultivar = await Cultivar.open();
 * const model = await cultivar.openPackage(file);
 * const session = await model.createSession({ max_tokens: 64 });
 * for await (const { text } of session.generate("Once upon a time")) output.append(text);
 * console.log((await session.report()).run_digest);
 * ```
 *
 * All work happens in a worker. Nothing is fetched but the module files and the URLs that you
 * pass. Every rejection is a `CultivarError`.
 */

import type { Adapter, WeightedAdapter } from "./adapter.js";
import type {
  CacheStats, Card, ChatPrompt, MemoryStats, Replayed, ReplayRecord, Report, StopReason, Token,
} from "./answers.js";
import type {
  AdapterImportOptions, BakeOptions, Compatibility, ExtractOptions, Made, MadeWith, MergeOptions,
  ValidateOptions, Weighted,
} from "./breeding.js";
import type {
  ExportedFiles, ImportOptions, OpenPackageHooks, PackageSink, PackageSource, TransferOptions,
} from "./packages.js";
import type { PackagePool } from "./package-pool.js";
import type {
  ChatMessage, Constraint, EngineInfo, Limits, OpenOptions, PoolOptions, ReplayOptions, Settings,
} from "./settings.js";
export type { Adapter, WeightedAdapter } from "./adapter.js";
export type { PackagePool } from "./package-pool.js";
export type * from "./answers.js";
export type * from "./breeding.js";
export * from "./packages.js";
export type * from "./settings.js";

/** The engine in its worker. */
export class Cultivar {
  private constructor();

  /**
   * Starts the engine. With "auto" the relaxed-SIMD module is taken where the browser runs it and
   * its self test passes there, else the simd128 module; both give the same bits.
   */
  static open(options?: OpenOptions): Promise<Cultivar>;

  /**
   * One package in `workers` engines (default: 2), each in a worker with an instance and memory of
   * its own. Nothing is shared, so no special headers are needed; every engine holds the whole
   * package. The source is read once.
   */
  static openPool(source: PackageSource, options?: PoolOptions): Promise<PackagePool>;

  /** What was started. */
  readonly info: EngineInfo;

  /**
   * Called when the worker had to be replaced, after a defect (trap) or because it did not answer
   * a stop within a second. Calls that were under way have been rejected, sessions are lost;
   * packages open themselves again when they are next used.
   */
  onReplaced: ((reason: CultivarError) => void) | null;

  /**
   * Opens a package, streaming it straight into the engine's memory. Resolves when every digest
   * has been compared and every value checked; on any error nothing stays allocated and what was
   * open before is untouched. An ArrayBuffer is copied into a Blob first. A function is asked for
   * the Blob each time that the package is read, also when a worker had to be replaced.
   */
  openPackage(source: PackageSource, hooks?: OpenPackageHooks): Promise<Package>;

  /**
   * Imports foreign model files, in any order, into a package file: a GGUF file or its parts, the
   * files of a Hugging Face folder, or a llama2.c checkpoint with its tokenizer. It runs beside the
   * engine, in a worker of its own: a defect there rejects this call and touches nothing else.
   * Resolves to the package or, with a sink, to its length in bytes.
   */
  importPackage(files: File[], options: ImportOptions & { sink: PackageSink }): Promise<number>;
  importPackage(files: File[], options?: ImportOptions): Promise<Blob>;

  /**
   * Makes files of other programs: one GGUF file (its name is empty), or safetensors with
   * `config.json` and, where it can be made, `tokenizer.model`. Runs beside the engine too.
   */
  exportPackage(
    source: PackageSource, format: "gguf" | "safetensors", options?: TransferOptions,
  ): Promise<ExportedFiles>;

  /** The table of a constraint; sessions make theirs from `settings.constraint` themselves. */
  compileConstraint(constraint: Constraint): Promise<Uint8Array>;
  /** LoRA files (PEFT's folder, or a GGUF file) into an adapter (`.sla`) for a base package. */
  importAdapter(files: File[], options: AdapterImportOptions): Promise<Made>;

  /**
   * All that is checked before an adapter is used, field by field; nothing is changed. Base plus
   * deltas is checked at the adapter's weight, on top of `stack`, in the format of the base.
   * Resolves for an adapter that is refused too: see `verdict`.
   */
  validateAdapter(adapter: Weighted, options: ValidateOptions): Promise<Compatibility>;

  /** A stack of adapters into one adapter. Files that are made go to `sink`, where one is given. */
  mergeAdapters<O extends MergeOptions>(adapters: Weighted[], options: O): Promise<MadeWith<O>>;

  /** The adapter that leads from a base to another model with the same tensors. */
  extractAdapter<O extends ExtractOptions>(child: Blob, options: O): Promise<MadeWith<O>>;

  /** A stack of adapters added to a copy of their base, which stays as it is. */
  bake<O extends BakeOptions>(base: Blob, adapters: Weighted[], options?: O): Promise<MadeWith<O>>;

  /** Memory of the engine. */
  memory(): Promise<MemoryStats>;

  /** Ends a worker in a trap, so that a page can test what it does then. Always rejects. */
  testTrap(part?: "engine" | "text" | "packer" | "exporter" | "breeder"): Promise<never>;

  /** Ends the workers. Every pending and later call rejects with kind "closed". */
  close(): void;
}

/** Pauses and resumes the one call that it was given to within 50 ms; a stop works meanwhile. */
export class Pauser {
  readonly isPaused: boolean;
  pause(): void;
  resume(): void;
}

/** An open package. */
export class Package {
  private constructor();

  /** What the package is. */
  readonly card: Card;

  /** Token ids of a text. */
  tokenize(text: string, options?: EncodeOptions): Promise<Uint32Array>;

  /** Text of token ids. Bytes that are no UTF-8 become U+FFFD. */
  detokenize(ids: Uint32Array | number[]): Promise<string>;

  /** The package as files of another program; see `Cultivar.exportPackage`. */
  exportAs(format: "gguf" | "safetensors", options?: TransferOptions): Promise<ExportedFiles>;

  /**
   * Opens a session, with adapters in this order. Each prompt takes pages of keys and values for
   * itself and its output: of `card.memory.kv_bytes`, a whole context's.
   */
  createSession(settings?: Settings, adapters?: WeightedAdapter[]): Promise<Session>;

  /**
   * Opens an adapter (`.sla`) for this package and checks it wholly: identities, targets, finite
   * values, and base plus delta. One that does not fit is refused and nothing changes.
   */
  openAdapter(source: PackageSource, hooks?: { signal?: AbortSignal }): Promise<Adapter>;

  /** The assembly identity of this package with these adapters in order: 64 hex digits. */
  assembly(adapters?: WeightedAdapter[]): Promise<string>;

  /**
   * Opens the session of a snapshot, with the open adapters that it names: it goes on with the
   * same bits. What is of another model or adapters, or damaged, is refused by name (358 to 361).
   */
  restore(snapshot: Blob): Promise<Session>;

  /**
   * Computes a record again, with the open adapters that it names, and compares tokens and logits
   * step by step. Prompts that it leaves out are taken from `prompts`; others are refused (364).
   */
  replay(record: ReplayRecord, options?: ReplayOptions): Promise<Replayed>;

  /**
   * The prompt of a conversation in the package's own chat format, or in a plain one where that is
   * not known. Markers of the format become their ids; in a message they stay text. Give `ids` to
   * `generate`, and `stop_strings` and `stop_tokens` to the session's settings.
   */
  renderChat(
    messages: ChatMessage[],
    options?: { addGeneration?: boolean },
  ): Promise<ChatPrompt>;

  /**
   * Runs all prompts together, a step of each in one pass over the weights, and resolves to their
   * reports in order. Each gives the bits that it would have given alone.
   */
  generateBatch(
    prompts: (string | Uint32Array | number[])[],
    settings?: Settings | Settings[],
    options?: EncodeOptions & { signal?: AbortSignal },
  ): Promise<Report[]>;

  /** Sets what a batch and the cache of keys and values may take; what is absent stays. */
  setLimits(limits: Limits): Promise<void>;

  /** What a batch and the cache of keys and values may take, and take now. */
  cache(): Promise<CacheStats>;

  /** Closes the package and its sessions, and gives their memory back. */
  close(): Promise<void>;
}

/** One conversation: prompts and what followed them. */
export class Session {
  private constructor();

  /** Why the last generation ended; `null` before the first has. */
  readonly stopReason: StopReason | null;

  /**
   * Continues the session with a prompt and yields its tokens as they come. Leaving the loop
   * early stops the run, and tokens that you have not seen are taken back. A stop by the signal
   * takes effect within about 50 ms and throws an error whose name is "AbortError"; the tokens
   * until then stay in the session. Ids are used as they are, without a begin token; `null` goes
   * on where the session stands, after a rewind.
   */
  generate(
    prompt: string | Uint32Array | number[] | null,
    options?: GenerateOptions,
  ): AsyncGenerator<Token, void, undefined>;

  /** What was asked, what came out, its digest and its diagnostics, for the last prompt. */
  report(): Promise<Report>;

  /** Logits that gave the last token: `[vocab_size]`. Only until another session computes. */
  logits(): Promise<Float32Array>;

  /** The session as a file, bound to model and adapters; see `Package.restore`. */
  snapshot(): Promise<Blob>;

  /**
   * All turns so far as a record that `Package.replay` and `cultivar replay` compute again.
   * `redactPrompts` leaves the prompts out but for their SHA-256; `steps` adds a digest after each
   * token, so that the first step that differs can be named.
   */
  record(options?: { redactPrompts?: boolean; steps?: boolean }): Promise<ReplayRecord>;

  /**
   * Gives the session's adapter at place `idx` another weight, also while it generates: the next
   * token uses it, what was read before stays as it was read. The change is part of the run's
   * digest and record.
   */
  setWeight(idx: number, weight: number): Promise<void>;

  /** The same for the whole stack: adapters may come, go and move between any two tokens. */
  setAdapters(adapters: WeightedAdapter[]): Promise<void>;

  /** Reads all tokens again with the weights as they are now, before the next one is made. */
  reread(): Promise<void>;

  /** Goes back to the first `n` tokens of prompts and outputs; the bits that follow are the same
   * as if the session had never gone further. */
  rewind(n: number): Promise<void>;

  /** A session that continues from here on its own; the cache's pages are shared. */
  fork(): Promise<Session>;

  /** Gives the session's memory back. */
  close(): Promise<void>;
}

/** What every call rejects with. */
export class CultivarError extends Error {
  /** "AbortError" when a signal stopped the call, else "CultivarError". */
  readonly name: "AbortError" | "CultivarError";
  /** The engine's code (see docs/abi.md), or 0. */
  readonly code: number;
  /**
   * Who refused: "stopped", "trap", "replaced", "session_lost", "closed", "busy", "network",
   * "quota" (a sink has no room), "unsupported", "bad_argument", "internal"; of the engine:
   * "stale_handle", "out_of_memory", "package", "config", "model", "tokenizer", "session",
   * "kv_cache", "adapter", "grammar", "import", "json" and others.
   */
  readonly kind: string;
}

export interface TokenProgress {
  phase: "prefill";
  doneTokens: number;
  totalTokens: number;
}

export interface EncodeOptions {
  /** Markers such as `<s>` in the text become their tokens. Default: false. */
  special?: boolean;
  /** Begin with the begin-of-sequence token. Default: as the package says. */
  bos?: boolean;
}

export interface GenerateOptions extends EncodeOptions {
  signal?: AbortSignal;
  /** Rows of the prompt per step. Default: as many as a stop within 50 ms allows. */
  chunk?: number;
  /** How far a long prompt is read. */
  onProgress?: (progress: TokenProgress) => void;
}
