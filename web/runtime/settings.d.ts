/**
 * What can be set of the engine, of a session (how it samples, stops, stores and reports), of a
 * package's limits and of a replay. The engine checks every value; `docs/numerics.md` says in which order the steps
 * of sampling come.
 */

/** Settings of a session; a value outside its range is refused by name. */
export interface Settings {
  /** Positions of the session. Default and most: the model's `context_len`. */
  context_len?: number;
  /** Storage of keys and values. Default: "f32". */
  kv?: "f32" | "f16" | "q8";
  /** Tokens after each prompt. Default: 256. */
  max_tokens?: number;
  /** 0 (the default) is greedy; at most 100. */
  temperature?: number;
  /** 1 to 1024 candidates. Default: 40. */
  top_k?: number;
  /** Above 0, up to 1. Default: 0.95. */
  top_p?: number;
  /** Names the random stream: a whole number below 2^64. Default: 0. */
  seed?: number | bigint | string;
  /** Go on past the model's own stop tokens. Default: false. */
  ignore_stop?: boolean;
  /** Keeps the candidates nearest to the expected surprise: above 0; 1 (the default) is off. */
  typical_p?: number;
  /** Drops what is less likely than this part of the likeliest: 0 (off, the default) to 1. */
  min_p?: number;
  /** Divides the logits of seen tokens: above 0, up to 100. Default: 1 (off). */
  repetition_penalty?: number;
  /** Subtracted once per time a token was seen: -100 to 100. Default: 0. */
  frequency_penalty?: number;
  /** Subtracted if a token was seen: -100 to 100. Default: 0. */
  presence_penalty?: number;
  /** Tokens back that penalties look; 0 is all. Default: 64. */
  penalty_window?: number;
  /** Added to the logits of tokens, by id: -1000 to 1000. */
  logit_bias?: Record<string, number>;
  /** Tokens that are never chosen. */
  banned_tokens?: number[];
  /** Tokens that end the output, beside the model's own; up to 16. */
  stop_tokens?: number[];
  /** Texts that end the output and are cut off; up to 16, of 1 to 256 bytes. */
  stop_strings?: string | string[];
  /** When the context is full, keep so many first tokens, drop half of the others and go on. */
  context_shift?: number | null;
  /** Tokens of a draft looked up in what came before: 0 (off) to 16. Changes speed alone. None is made with logprobs or a constraint. */
  prompt_lookup?: number;
  /** Log-probabilities with every token, and of so many of the likeliest: up to 20. */
  logprobs?: number | null;
  /** What random numbers are counted by. Default: "session". */
  random_stream?: "session" | "prompt";
  /** What the output must be a text of: any JSON object or array, a schema's, or a grammar's. */
  constraint?: Constraint | null;
}

export interface ReplayOptions {
  /** Token ids of the prompts that the record leaves out. */
  prompts?: (Uint32Array | number[])[];
  signal?: AbortSignal;
  /** How many tokens were compared so far. */
  onTokens?: (nTokens: number) => void;
}

export interface ChatMessage {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface Limits {
  /** Rows of one batch, 1 to 4096: more read a prompt faster and take memory. */
  rows?: number;
  /** Those of them that may want logits. Sessions with drafts and batches take what they need. */
  logitRows?: number;
  /** Bytes of keys and values in all; `Infinity` is no limit. What exceeds it is refused (405). */
  kvBytes?: number;
  /** Bytes that are kept for whoever comes to the same tokens. */
  kvRetainedBytes?: number;
}

export interface OpenOptions {
  /** Which module to use. Default: "auto". */
  module?: "auto" | "simd128" | "relaxed";
  /** Folder of the module files, ending in a slash. Default: `../wasm/` beside the kit. */
  baseUrl?: string | URL;
  /** Take a module that notes where time goes: reports then have `diagnostics.profile`. */
  profile?: boolean;
  /** Starts the kit's worker, where the page needs another way than `new Worker(worker.js)`. */
  spawnWorker?: () => Worker;
}

export interface PoolOptions extends OpenOptions {
  /** Engines. Default: 2. */
  workers?: number;
  /** Stops opening. */
  signal?: AbortSignal;
}

export interface EngineInfo {
  /** The module that runs. */
  module: "simd128" | "relaxed";
  /** What its kernels call themselves. */
  backend: string;
  /** Version of the engine. */
  version: string;
  abiVersion: number;
  /** Runs with the same number have the same bits everywhere. */
  numericsVersion: number;
  /** Comparisons that the self test made when the module was started. */
  selftestChecks: number;
  /** Why a better module was not taken, or `null`. */
  fallback: string | null;
}

/**
 * Any JSON object or array, a JSON text that satisfies a schema, or a text of the rule `root` of
 * a grammar in GBNF: docs/grammar.md. The kit compiles it. The long names are those of reports and
 * records.
 */
export type Constraint =
  | { json: true }
  | { schema: object | boolean }
  | { grammar: string }
  | { json_schema: object | boolean }
  | { gbnf: string };
