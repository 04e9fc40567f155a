//! Limits on everything that a package counts, and why each has its size.
//!
//! A count is checked against its limit, and against the bytes that are there, before anything is
//! reserved for it. `docs/package-format.md` repeats this table.

/// Sections of one package. Nine are known; the rest leaves room for what others add.
pub const SECTIONS_MAX: u32 = 64;

/// Bytes before the tensor data: a vocabulary of 2^20 pieces of 200 bytes still fits.
pub const HEAD_BYTES_MAX: u64 = 256 << 20;

/// Bytes behind the tensor data: a conversion record, a genome and signatures are text-sized.
pub const TAIL_BYTES_MAX: u64 = 64 << 20;

/// Bytes of one package: what a 32-bit wasm memory can hold next to a workspace (3.5 GiB).
pub const FILE_BYTES_MAX: u64 = 3584 << 20;

/// Bytes of one tensor: the largest single allocation where `usize` has 32 bits.
pub const TENSOR_BYTES_MAX: u64 = (1 << 31) - 1;

/// Records of one record section; the known sections have fewer than 64.
pub const RECORDS_MAX: u32 = 4096;

/// Bytes of a record's key.
pub const KEY_BYTES_MAX: usize = 64;

/// Tokens of a vocabulary: four times the largest in use.
pub const VOCAB_MAX: usize = 1 << 20;

/// Bytes of one piece of a vocabulary; real ones stay below 300.
pub const PIECE_BYTES_MAX: usize = 1024;

/// Merges of a tokenizer; real ones stay below their vocabulary.
pub const MERGES_MAX: usize = 1 << 21;

/// Named steps of a tokenizer's normalizer, pre-tokenizer or decoder; real ones have fewer than 10.
pub const STEPS_MAX: usize = 64;

/// Tensors of one package: 1024 layers of 64 tensors.
pub const TENSORS_MAX: u32 = 65536;

/// Bytes of a tensor's name.
pub const NAME_BYTES_MAX: usize = 256;

/// Dimensions of a tensor.
pub const DIMS_MAX: usize = 4;

/// One past the largest dimension: an index must fit 31 bits.
pub const DIM_LIMIT: u64 = 1 << 31;

/// Layers of a model: ten times the deepest in use.
pub const LAYERS_MAX: usize = 1024;

/// Attention heads of a layer.
pub const HEADS_MAX: usize = 1024;

/// Width of one attention head.
pub const HEAD_DIM_MAX: usize = 1024;

/// Width of the residual stream.
pub const D_MODEL_MAX: usize = 1 << 16;

/// Width of the feed-forward layer.
pub const D_FF_MAX: usize = 1 << 20;

/// Positions of a context.
pub const CONTEXT_MAX: usize = 1 << 20;

/// Components of one low-rank delta.
pub const RANK_MAX: u64 = 4096;

/// Every section, tensor and the tensor data begin at a multiple of this, a cache line.
pub const ALIGNMENT: u64 = 64;
