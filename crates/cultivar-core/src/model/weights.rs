//! Weights as they are stored: one buffer per tensor, read directly by the kernels.

use super::dims::Dims;
use super::linear::{Linear, Target};
use crate::package::Head;
use crate::package::schema::TensorRole;
use crate::tensor::{Format, TensorRef};
use crate::tokenizer::Tokenizer;
use alloc::vec::Vec;

/// A matrix `[d_out, d_in]` in its package format.
pub struct Tensor {
    /// Dtype and layout.
    pub format: &'static Format,
    /// Rows.
    pub d_out: usize,
    /// Columns.
    pub d_in: usize,
    /// Stored bytes, never copied or expanded.
    pub bytes: Vec<u8>,
}

impl Tensor {
    /// The view that kernels take.
    #[inline]
    pub fn view(&self) -> TensorRef<'_> {
        TensorRef {
            format: self.format,
            d_out: self.d_out,
            d_in: self.d_in,
            bytes: &self.bytes,
        }
    }

    /// Whether activations must be quantized for it.
    #[inline]
    pub fn is_quantized(&self) -> bool {
        self.format.block_len > 1
    }
}

/// A tensor as the model holds it.
pub(super) enum Stored<'a> {
    /// Packed rows.
    Matrix(&'a Tensor),
    /// Floats.
    Vector(&'a [f32]),
}

/// One transformer block.
pub struct LayerWeights {
    /// RMSNorm factor before attention: `[d_model]`.
    pub attention_norm: Vec<f32>,
    /// `[n_heads * head_dim, d_model]`.
    pub w_q: Linear,
    /// `[n_kv_heads * head_dim, d_model]`.
    pub w_k: Linear,
    /// `[n_kv_heads * head_dim, d_model]`.
    pub w_v: Linear,
    /// `[d_model, n_heads * head_dim]`.
    pub w_o: Linear,
    /// RMSNorm factor before the feed-forward layer: `[d_model]`.
    pub ffn_norm: Vec<f32>,
    /// `[d_ff, d_model]`.
    pub w_gate: Linear,
    /// `[d_ff, d_model]`.
    pub w_up: Linear,
    /// `[d_model, d_ff]`.
    pub w_down: Linear,
}

/// All weights of a model.
pub struct Weights {
    /// `[vocab_size, d_model]`, without bias: rows are looked up, and multiplied where tied.
    pub token_embedding: Linear,
    /// In order of depth.
    pub layers: Vec<LayerWeights>,
    /// RMSNorm factor before the output: `[d_model]`.
    pub final_norm: Vec<f32>,
    /// `[vocab_size, d_model]`; absent where the token embedding serves.
    pub output: Option<Linear>,
}

impl Weights {
    /// The matrix that makes logits: `[vocab_size, d_model]`.
    pub fn output(&self) -> &Linear {
        self.output.as_ref().unwrap_or(&self.token_embedding)
    }

    /// The target whose deltas change that matrix.
    pub(super) fn output_target(&self) -> Target {
        match self.output {
            Some(_) => Target::new(TensorRole::Output, None),
            None => Target::new(TensorRole::TokenEmbedding, None),
        }
    }

    /// The tensor that does this; `None` if the model has none.
    pub(super) fn tensor(&self, role: TensorRole, layer: Option<usize>) -> Option<Stored<'_>> {
        let of_layer = layer.and_then(|layer| self.layers.get(layer));
        fn matrix(linear: &Linear) -> Stored<'_> {
            Stored::Matrix(&linear.weight)
        }
        match (role, of_layer) {
            (TensorRole::TokenEmbedding, None) => Some(matrix(&self.token_embedding)),
            (TensorRole::Output, None) => self.output.as_ref().map(matrix),
            (TensorRole::FinalNorm, None) => Some(Stored::Vector(&self.final_norm)),
            (TensorRole::AttentionNorm, Some(of)) => Some(Stored::Vector(&of.attention_norm)),
            (TensorRole::FfnNorm, Some(of)) => Some(Stored::Vector(&of.ffn_norm)),
            (TensorRole::Wq, Some(of)) => Some(matrix(&of.w_q)),
            (TensorRole::Wk, Some(of)) => Some(matrix(&of.w_k)),
            (TensorRole::Wv, Some(of)) => Some(matrix(&of.w_v)),
            (TensorRole::Wo, Some(of)) => Some(matrix(&of.w_o)),
            (TensorRole::WGate, Some(of)) => Some(matrix(&of.w_gate)),
            (TensorRole::WUp, Some(of)) => Some(matrix(&of.w_up)),
            (TensorRole::WDown, Some(of)) => Some(matrix(&of.w_down)),
            _ => None,
        }
    }
}

/// A loaded and verified model.
pub struct Model {
    /// What the package says of itself: config, metadata, directory, identities.
    pub head: Head,
    /// Sizes.
    pub dims: Dims,
    /// Text to tokens and back.
    pub tokenizer: Tokenizer,
    /// Parameters.
    pub weights: Weights,
}
