//! The sizes of a model as the forward pass uses them.

use super::rope;
use crate::kv_cache::{KvFormat, KvShape, Window, pages_at_once};
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
    /// How many positions sliding layers see; `None` if none slides.
    pub window: Window,
    /// Layers that slide.
    pub n_sliding: usize,
}

impl Dims {
    /// The sizes of a validated config.
    pub fn new(config: &ModelConfig) -> Self {
        let windows = windows(config);
        Self {
            window: windows.clone().flatten().next(),
            n_sliding: windows.flatten().count(),
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

    /// Bytes that keys and values of `len` positions take at once, with batches of `max_rows`: of
    /// layers that see everything, and of those that slide.
    pub fn kv_bytes(&self, len: usize, max_rows: usize, format: KvFormat) -> [u64; 2] {
        let n_full = self.n_layers - self.n_sliding;
        [(n_full, None), (self.n_sliding, self.window)].map(|(n_layers, window)| {
            let shape = KvShape {
                n_layers,
                ..self.kv_shape()
            };
            let n_pages = pages_at_once(window, len, max_rows) as u64;
            shape.page_bytes(format).saturating_mul(n_pages)
        })
    }
}

/// What each layer sees of the last positions; a window as long as the context is none.
pub(super) fn windows(config: &ModelConfig) -> impl Iterator<Item = Window> + Clone {
    let window = Some(config.sliding_window).filter(|window| *window < config.context_len);
    (0..config.n_layers).map(move |i| window.filter(|_| config.is_sliding(i)))
}
