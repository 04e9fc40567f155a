//! The sizes of a model as the forward pass uses them.

use super::rope;
use crate::kv_cache::KvShape;
use crate::package::config::ModelConfig;

/// Sizes in elements, all at least 1, as validated with the package's config.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dims {
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of the feed-forward layer.
    pub d_ff: usize,
    /// Transformer blocks.
    pub n_layers: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key/value heads; each serves `n_heads / n_kv_heads` query heads.
    pub n_kv_heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Positions that the model was made for.
    pub context_len: usize,
    /// Elements of a head that are rotated.
    pub rotary_dim: usize,
    /// Ways to rotate that layers differ in; 0 where positions enter otherwise.
    pub n_rotations: usize,
    /// Whether attention and feed-forward layer read the same input.
    pub is_parallel: bool,
}

impl Dims {
    /// The sizes of a validated config.
    pub fn new(config: &ModelConfig) -> Self {
        Self {
            d_model: config.d_model,
            d_ff: config.d_ff,
            n_layers: config.n_layers,
            n_heads: config.n_heads,
            n_kv_heads: config.n_kv_heads,
            head_dim: config.head_dim,
            vocab_size: config.vocab_size,
            context_len: config.context_len,
            rotary_dim: config.rotary_dim(),
            n_rotations: rope::n_tables(config),
            is_parallel: config.parallel_residual,
        }
    }

    /// Elements of all query heads of a position.
    pub fn d_q(&self) -> usize {
        self.n_heads * self.head_dim
    }

    /// Elements of all key (or value) heads of a position.
    pub fn d_kv(&self) -> usize {
        self.n_kv_heads * self.head_dim
    }

    /// The widest row that any matrix reads.
    pub fn max_d_in(&self) -> usize {
        self.d_model.max(self.d_ff).max(self.d_q())
    }

    /// What the cache stores of a position.
    pub fn kv_shape(&self) -> KvShape {
        KvShape {
            n_layers: self.n_layers,
            n_kv_heads: self.n_kv_heads,
            head_dim: self.head_dim,
        }
    }
}
