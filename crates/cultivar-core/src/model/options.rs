//! The options of a configuration as the forward pass asks for them, resolved when a model is
//! opened: nothing is looked up or decided per token.

use super::norm::Normalizer;
use crate::kernels::Backend;
use crate::kv_cache::View;
use crate::math::sqrt_f64;
use crate::memory::reserved;
use crate::package::{Activation, ModelConfig};
use alloc::vec::Vec;

/// What all layers share.
pub(super) struct Options {
    /// How rows are normalized.
    pub normalizer: Normalizer,
    /// The nonlinearity of the feed-forward layer.
    pub activation: Activation,
    /// Attention and feed-forward layer read the same input.
    pub is_parallel: bool,
    /// Factor on embedded tokens; 1 is none.
    pub embedding_scale: f32,
    /// Logits are capped at this; 0 is off.
    pub logits_softcap: f32,
    /// `[n_layers]`.
    pub layers: Vec<LayerOptions>,
}

/// What layers may differ in.
#[derive(Clone, Copy)]
pub(super) struct LayerOptions {
    /// Positions that a row sees, its own included.
    window: usize,
    scale: f32,
    softcap: f32,
}

impl LayerOptions {
    /// What a row at this position sees.
    #[inline]
    pub fn view(&self, position: usize) -> View {
        View {
            first: (position + 1).saturating_sub(self.window),
            scale: self.scale,
            softcap: self.softcap,
        }
    }
}

impl Options {
    /// The options of a validated configuration; `None` if memory cannot be had.
    pub fn new(config: &ModelConfig, backend: Backend) -> Option<Self> {
        let scale = match config.attention_scale {
            0.0 => 1.0 / sqrt_f64(config.head_dim as f64),
            scale => scale,
        };
        let mut layers = reserved(config.n_layers)?;
        for layer_idx in 0..config.n_layers {
            layers.push(LayerOptions {
                window: match config.is_sliding(layer_idx) {
                    true => config.sliding_window,
                    false => usize::MAX,
                },
                scale: scale as f32,
                softcap: config.attention_softcap as f32,
            });
        }
        Some(Self {
            normalizer: Normalizer {
                backend,
                kind: config.norm_kind,
                eps: config.norm_eps as f32,
            },
            activation: config.activation,
            is_parallel: config.parallel_residual,
            embedding_scale: config.embedding_scale as f32,
            logits_softcap: config.logits_softcap as f32,
            layers,
        })
    }
}
