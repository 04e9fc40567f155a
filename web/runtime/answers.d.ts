/**
 * What the engine says about packages, runs and its memory: the JSON of the boundary, as the kit
 * hands it on. Key names carry their units; `schema` changes when a field changes its meaning.
 */

export type StopReason = "stop_token" | "stop_string" | "max_tokens" | "context_full" | "cancelled"
  | "grammar_end";

/** `cultivar.card.v1` */
export interface Card {
  schema: "cultivar.card.v1";
  kind: "model";
  name: string;
  author: string;
  license: string;
  source: string;
  notes: string;
  /** A line for people. */
  architecture: string;
  n_parameters: number;
  /** Number of tensors by format. */
  formats: Record<string, number>;
  context_len: number;
  tokenizer: { kind: string; vocab_size: number };
  has_chat_template: boolean;
  /** SHA-256 identities, hexadecimal. `content` is `null` until the whole file was read. */
  identities: {
    content: string | null;
    weights: string;
    architecture: string;
    tokenizer: string;
    tensor_schema: string;
  };
  file_bytes: number;
  /** What one session over the whole context takes with the default settings. */
  memory: {
    weights_bytes: number;
    kv_bytes: number;
    workspace_bytes: number;
    total_bytes: number;
  };
  config: Record<string, number | string | boolean>;
  /** In file order. */
  tensors: {
    name: string;
    format: string;
    shape: number[];
    offset: number;
    bytes: number;
    read_bytes: number;
    digest: string;
  }[];
  /** How the package was made from foreign files (JSON text), once the whole file was read. */
  conversion_record: string | null;
}

/** `cultivar.import_plan.v1`: what an import will make. */
export interface ImportPlan {
  schema: "cultivar.import_plan.v1";
  /** Empty where no file says. */
  name: string;
  license: string;
  source: string;
  architecture: string;
  n_parameters: number;
  context_len: number;
  vocab_size: number;
  /** Number of tensors by format. */
  formats: Record<string, number>;
  memory: Card["memory"];
}

/** `cultivar.export.v1` */
export interface ExportReport {
  schema: "cultivar.export.v1";
  n_tensors: number;
  weights_bytes: number;
  /** What could not stay as it is, a sentence each. */
  notes: string[];
}

/** `cultivar.run.v1` */
export interface Report {
  schema: "cultivar.run.v1";
  prompt_ids: number[];
  /** A stop token included. */
  output_ids: number[];
  text: string;
  stop_reason: StopReason | null;
  /** Equal wherever and however the same run is made. */
  run_digest: string;
  settings: Record<string, unknown>;
  diagnostics: Diagnostics;
}

/** `cultivar.diagnostics.v1`; durations in ms, `null` where there is nothing to measure. */
export interface Diagnostics {
  schema: "cultivar.diagnostics.v1";
  backend: string;
  engine_version: string;
  numerics_version: number;
  assembly: string;
  n_adapters: number;
  /** In the order of the stack. */
  adapters: RecordedAdapter[];
  load_ms: number;
  n_prompt_tokens: number;
  n_output_tokens: number;
  /** Milliseconds by operator (`attention_ms`, …) since the package was opened, if asked for. */
  profile?: Record<string, number>;
  /** Rows that were computed: prompts, outputs and drafts. */
  n_rows: number;
  /** Pages of prompts that the cache had, and had not. */
  n_pages_hit: number;
  n_pages_missed: number;
  n_context_shifts: number;
  /** Tokens of drafts that were computed, and how many were right. */
  n_drafted: number;
  n_drafts_accepted: number;
  prefill_ms: number;
  prefill_tokens_per_s: number | null;
  first_token_ms: number | null;
  decode_tokens_per_s: number | null;
  decode_ms_p50: number | null;
  decode_ms_p95: number | null;
  decode_ms: number;
  /** Where watts were stated: those, and what they make of the time per token. */
  energy_estimate?: { stated_watts: number; joules_per_token: number | null };
  /**
   * Bytes by class: `weights_bytes`, `adapter_bytes`, `kv_bytes`, `workspace_bytes` and
   * `buffers_bytes` (all else that is live) add up to `heap_used_bytes`; `heap_peak_bytes` is the
   * most there ever was. `total_bytes` is weights, K/V and workspace, `peak_bytes` the most of
   * that with adapters; of the K/V, `kv_used_bytes` are held by sessions, `kv_retained_bytes` kept
   * for prompts to come, `kv_peak_bytes` the most of both.
   */
  memory: Record<string, number>;
  warnings: { kind: string; count: number }[];
}

/** `cultivar.cache.v1` */
export interface CacheStats {
  schema: "cultivar.cache.v1";
  max_rows: number;
  max_logit_rows: number;
  /** `null`: no limit but memory. */
  kv_bytes_max: number | null;
  kv_retained_bytes_max: number;
  /** Bytes of all pages; of those that sessions use; of those kept for their content alone. */
  kv_bytes: number;
  kv_used_bytes: number;
  kv_retained_bytes: number;
  kv_peak_bytes: number;
}

/** `cultivar.chat_prompt.v1` */
export interface ChatPrompt {
  schema: "cultivar.chat_prompt.v1";
  /** The family of the format, or "plain". */
  format: string;
  /** Whether the package has a format of its own that is known. */
  is_recognised: boolean;
  ids: number[];
  text: string;
  /** Texts and tokens at which an answer ends. */
  stop_strings: string[];
  stop_tokens: number[];
}

/** An adapter of a run, by identity, with what weighed it. */
export interface RecordedAdapter {
  /** SHA-256. */
  weights: string;
  weight: number;
  /** A factor per layer, where there were some. */
  layer_weights?: number[];
  /** Factors by module, where there were some. */
  module_weights?: Record<string, number>;
}

/** `cultivar.replay.v1` */
export interface ReplayRecord {
  schema: "cultivar.replay.v1";
  engine_version: string;
  numerics_version: number;
  package: { name?: string; weights: string; tokenizer: string };
  assembly: string;
  adapters: RecordedAdapter[];
  settings: Record<string, unknown>;
  turns: {
    /** Absent where it was left out. */
    prompt_ids?: number[];
    n_prompt_tokens: number;
    prompt_sha256: string;
    output_ids: number[];
  }[];
  /** Changes of the mix: where they came, and the stack from there on. */
  events: {
    n_tokens: number; n_positions: number; assembly: string; adapters: RecordedAdapter[];
  }[];
  /** 16 hexadecimal digits after each token, where asked for. */
  step_digests?: string[];
  stop_reason: StopReason | null;
  run_digest: string;
}

/** `cultivar.replayed.v1` */
export interface Replayed {
  schema: "cultivar.replayed.v1";
  same_bits: boolean;
  /** Tokens that were as recorded. */
  n_steps: number;
  run_digest: string;
  /** `null` with the same bits, and where the record has no digests to tell the step. */
  first_difference: {
    step: number;
    recorded_token: number | null;
    token: number | null;
    recorded_digest: string | null;
    digest: string;
  } | null;
}

/** `cultivar.adapter.v1` */
export interface AdapterCard {
  schema: "cultivar.adapter.v1";
  name: string;
  license: string;
  /** How the elements of sparse deltas were chosen; empty if nobody says. */
  mask: string;
  file_bytes: number;
  /** SHA-256 identities of the adapter. */
  weights: string;
  content: string;
  /** Identities of the base that it was made for. */
  binding: {
    architecture: string;
    tokenizer: string;
    tensor_schema: string;
    weights?: string;
    exact_base: boolean;
  };
  deltas: {
    target: string;
    kind: "raw" | "sparse" | "low_rank";
    /** Of a low-rank delta. */
    rank?: number;
    /** Of a sparse delta. */
    n_entries?: number;
    /** Which part of the target's elements that is, if its maker says so. */
    density?: number;
    /** Of a raw delta. */
    n_elements?: number;
    format: string;
    bytes: number;
  }[];
  /** How it was made (JSON text), if its maker says so. */
  genome: string | null;
}

export interface MemoryStats {
  /** Live allocations. */
  usedBytes: number;
  /** Most of them at a time. */
  peakBytes: number;
  /** The module's whole memory, which never shrinks. */
  memoryBytes: number;
}

/** One token of an output. */
export interface Token {
  /** `null` for a last piece of text that no token completed (an unfinished character). */
  id: number | null;
  /** What it adds to the text: whole characters, possibly none. */
  text: string;
  /** Its number within this generation, from 0. */
  index: number;
  /** ln p of the token by the model alone, where the setting `logprobs` asks for it. */
  logprob?: number;
  /** The likeliest tokens in its place, in descending order, where asked for. */
  top?: { id: number; logprob: number; text: string }[];
}
