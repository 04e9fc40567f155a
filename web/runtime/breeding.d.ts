/**
 * What the kit's calls on adapters take and give: stacks with weights, options, results. The
 * formulas behind them are in docs/breeding.md.
 */
import type { Pauser } from "./cultivar.js";
import type { PackageSink } from "./packages.js";

/** An adapter with its weight: 1 unless given, refined by factors per layer and per module. */
export type Weighted = Blob | {
  adapter: Blob;
  weight?: number;
  /** One factor per layer. */
  layerWeights?: number[];
  /** Factors by module, such as `{ w_q: 0.5 }`. */
  moduleWeights?: Record<string, number>;
};

/** A new file, and how it came about. */
export interface Made {
  blob: Blob;
  report: MadeReport;
}

/** What is made with these options: with a sink, the file is there and not here. */
export type MadeWith<Options> = Options extends { sink: PackageSink } ? Omit<Made, "blob"> : Made;

/** What jobs on adapters have in common. */
export interface JobOptions {
  /** Where the file goes, range by range, instead of into memory. */
  sink?: PackageSink;
  /** The base's package. */
  base: Blob;
  /** Name in the metadata of what is made. */
  name?: string;
  /** Its licence. Default: those of all that went into it, as docs/breeding.md says. */
  license?: string;
  signal?: AbortSignal;
  pauser?: Pauser;
  /** Tensors done and in all. */
  onProgress?: (progress: { phase: string; done: number; total: number }) => void;
}

/** What jobs have in common that make an adapter. */
export interface NewAdapterOptions extends JobOptions {
  /** Only the very weights of this base will do. Default: false. */
  exact_base?: boolean;
}

export interface AdapterImportOptions extends Omit<NewAdapterOptions, "sink"> {
  /** Texts for the metadata. */
  source?: string;
  notes?: string;
}

export interface ValidateOptions extends Omit<JobOptions, "name" | "license" | "sink"> {
  /** Adapters that are applied already, in order. */
  stack?: Weighted[];
}

export interface MergeOptions extends NewAdapterOptions {
  /** Default: "cat", which is exact. docs/breeding.md has the formulas. */
  method?: "cat" | "svd" | "blend" | "sum";
  /** svd: components, 1 to 4096. */
  rank?: number;
  /** blend: share of the first of two adapters. Default: 0.5. */
  alpha?: number;
  /** blend: bound of the noise, in parts of the delta's spread. Default: 0. */
  noise?: number;
  /** Names noise and sketches: a whole number below 2^64, as text beyond 2^53. Default: 0. */
  seed?: number | string;
  /** How low-rank factors are stored. Default: as they come. */
  factors?: "f32" | "f16" | "bf16" | "q8_0";
}

/** Either `rank` or `density`. */
export interface ExtractOptions extends NewAdapterOptions {
  /** Components per matrix, 1 to 4096. */
  rank?: number;
  /** Part of the elements that is kept, above 0 and up to 1. */
  density?: number;
  seed?: number | string;
}

export interface BakeOptions extends Omit<JobOptions, "base"> {
  /** How matrices are stored. Default: "keep", each tensor's own format. */
  format?: "keep" | "f32" | "f16" | "bf16" | "q8_0" | "q6_k" | "q5_0" | "q4_k" | "q4_0";
}

/** `cultivar.compatibility.v1`: what of an adapter fits a base. */
export interface Compatibility {
  schema: "cultivar.compatibility.v1";
  name: string;
  /** `weights` of the adapter and of the base. */
  adapter: string;
  base: string;
  n_targets: number;
  verdict: "matches" | "warning" | "refused";
  fields: {
    field: "architecture" | "tokenizer" | "tensor_schema" | "weights" | "values" | "targets"
      | "fused";
    status: "matches" | "warning" | "refused" | "not_checked";
    adapter?: string;
    base?: string;
    code?: number;
    message?: string;
    /** What to do where it does not match. */
    advice?: string;
  }[];
}

/** `cultivar.merge.v1`, `cultivar.bake.v1` or, of an adapter, `cultivar.import.v1`. */
export interface MadeReport {
  schema: string;
  file_bytes: number;
  /** Identities of what was made (merge, extract, bake). */
  weights?: string;
  content?: string;
  /** What was lost over all tensors, relative Frobenius norm (merge, extract). */
  relative_error?: number;
  /** The worst of all tensors (bake). */
  worst_relative_error?: number;
  tensors?: { name: string; relative_error: number; max_abs_error?: number; format?: string }[];
  [key: string]: unknown;
}
