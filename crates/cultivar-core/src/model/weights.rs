//! Weights as they are stored: one buffer per tensor, read directly by the kernels.

use super::dims::Dims;
use super::linear::{Linear, Target};
use super::norm::Norm;
use crate::package::Head;
use crate::package::schema::TensorRole::{self, *};
use crate::tensor::{Format, TensorRef};
use crate::tokenizer::Detokenizer;
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

/// One transformer block; what a model's options do not call for is `None`.
pub struct LayerWeights {
    /// Before attention: `[d_model]`.
    pub attention_norm: Option<Norm>,
    /// `[n_heads * head_dim, d_model]`.
    pub w_q: Linear,
    /// `[n_kv_heads * head_dim, d_model]`.
    pub w_k: Linear,
    /// `[n_kv_heads * head_dim, d_model]`.
    pub w_v: Linear,
    /// RMSNorm factors of queries: `[head_dim]`, or of all heads together.
    pub q_norm: Option<Vec<f32>>,
    /// RMSNorm factors of keys: `[head_dim]`, or of all heads together.
    pub k_norm: Option<Vec<f32>>,
    /// `[d_model, n_heads * head_dim]`.
    pub w_o: Linear,
    /// After attention: `[d_model]`.
    pub attention_post_norm: Option<Norm>,
    /// Before the feed-forward layer: `[d_model]`.
    pub ffn_norm: Option<Norm>,
    /// `[d_ff, d_model]`; there is none in a plain feed-forward layer.
    pub w_gate: Option<Linear>,
    /// `[d_ff, d_model]`.
    pub w_up: Linear,
    /// `[d_model, d_ff]`.
    pub w_down: Linear,
    /// After the feed-forward layer: `[d_model]`.
    pub ffn_post_norm: Option<Norm>,
}

/// All weights of a model.
pub struct Weights {
    /// `[vocab_size, d_model]`, without bias: rows are looked up, and multiplied where tied.
    pub token_embedding: Linear,
    /// Learned positions: `[context_len, d_model]`.
    pub position_embedding: Option<Tensor>,
    /// In order of depth.
    pub layers: Vec<LayerWeights>,
    /// Before the output: `[d_model]`.
    pub final_norm: Norm,
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
            Some(_) => Target::new(Output, None),
            None => Target::new(TokenEmbedding, None),
        }
    }

    /// The tensor that does this; `None` if the model has none.
    pub(super) fn tensor(&self, role: TensorRole, layer: Option<usize>) -> Option<Stored<'_>> {
        if role.is_vector() {
            return self.vector(role, layer).map(Stored::Vector);
        }
        let of = layer.and_then(|layer| self.layers.get(layer));
        let matrix = match role {
            TokenEmbedding => &self.token_embedding.weight,
            PositionEmbedding => self.position_embedding.as_ref()?,
            Output => &self.output.as_ref()?.weight,
            Wq => &of?.w_q.weight,
            Wk => &of?.w_k.weight,
            Wv => &of?.w_v.weight,
            Wo => &of?.w_o.weight,
            WGate => &of?.w_gate.as_ref()?.weight,
            WUp => &of?.w_up.weight,
            WDown => &of?.w_down.weight,
            _ => return None,
        };
        Some(Stored::Matrix(matrix))
    }

    fn vector(&self, role: TensorRole, layer: Option<usize>) -> Option<&[f32]> {
        fn weight(norm: Option<&Norm>) -> Option<&Vec<f32>> {
            norm.map(|norm| &norm.weight)
        }
        fn bias(norm: Option<&Norm>) -> Option<&Vec<f32>> {
            norm.map(|norm| &norm.bias)
        }
        let of = layer.and_then(|layer| self.layers.get(layer));
        let vector = match role {
            FinalNorm => Some(&self.final_norm.weight),
            FinalNormBias => Some(&self.final_norm.bias),
            AttentionNorm => weight(of?.attention_norm.as_ref()),
            AttentionNormBias => bias(of?.attention_norm.as_ref()),
            AttentionPostNorm => weight(of?.attention_post_norm.as_ref()),
            AttentionPostNormBias => bias(of?.attention_post_norm.as_ref()),
            FfnNorm => weight(of?.ffn_norm.as_ref()),
            FfnNormBias => bias(of?.ffn_norm.as_ref()),
            FfnPostNorm => weight(of?.ffn_post_norm.as_ref()),
            FfnPostNormBias => bias(of?.ffn_post_norm.as_ref()),
            QNorm => of?.q_norm.as_ref(),
            KNorm => of?.k_norm.as_ref(),
            Bq => Some(&of?.w_q.bias),
            Bk => Some(&of?.w_k.bias),
            Bv => Some(&of?.w_v.bias),
            Bo => Some(&of?.w_o.bias),
            BGate => Some(&of?.w_gate.as_ref()?.bias),
            BUp => Some(&of?.w_up.bias),
            BDown => Some(&of?.w_down.bias),
            _ => None,
        };
        vector
            .map(Vec::as_slice)
            .filter(|vector| !vector.is_empty())
    }
}

/// A loaded and verified model.
pub struct Model {
    /// What the package says of itself: config, metadata, directory, identities.
    pub head: Head,
    /// Sizes.
    pub dims: Dims,
    /// What tokens mean.
    pub tokenizer: Detokenizer,
    /// Parameters.
    pub weights: Weights,
}
