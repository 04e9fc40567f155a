//! The configuration of a model: every option that shapes its function, with its default.
//!
//! This is the Config of Config / Weights / Workspace: plain numbers, no tensors. A default never
//! changes, and a new option's default is what models did before it existed, so that no identity
//! changes when options are added. `config_keys` stores it, `config_check` says what is valid.

pub use super::config_options::{
    Activation, FfnKind, NormKind, NormPlace, PositionKind, QkNorm, RopeScalingKind,
};
use alloc::vec::Vec;

/// The six numbers that every model must give; all other options have defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelSize {
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of the feed-forward layer.
    pub d_ff: usize,
    /// Transformer blocks.
    pub n_layers: usize,
    /// Query heads of a block.
    pub n_heads: usize,
    /// Token ids.
    pub vocab_size: usize,
    /// Positions that the model was trained for.
    pub context_len: usize,
}

/// Every option of a model. Field names are the keys that packages store.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Width of the residual stream. Required.
    pub d_model: usize,
    /// Width of the feed-forward layer. Required.
    pub d_ff: usize,
    /// Transformer blocks. Required.
    pub n_layers: usize,
    /// Query heads of a block. Required.
    pub n_heads: usize,
    /// Token ids. Required.
    pub vocab_size: usize,
    /// Positions that the model was trained for. Required; not part of `architecture`.
    pub context_len: usize,
    /// Key and value heads of a block; divides `n_heads`. Default `n_heads`.
    pub n_kv_heads: usize,
    /// Width of one head. Default `d_model / n_heads` where that is whole, else required.
    pub head_dim: usize,
    /// How activations are normalized. Default `rms`.
    pub norm_kind: NormKind,
    /// Where a block normalizes. Default `pre`.
    pub norm_place: NormPlace,
    /// Added to the mean square before its root. Default 1e-5.
    pub norm_eps: f64,
    /// Nonlinearity of the feed-forward layer. Default `silu`.
    pub activation: Activation,
    /// Shape of the feed-forward layer. Default `gated`.
    pub ffn_kind: FfnKind,
    /// How positions enter. Default `rope`.
    pub position_kind: PositionKind,
    /// Base of the rotary frequencies. Default 10000.
    pub rope_theta: f64,
    /// `rope_theta` of each layer, if layers differ: `[n_layers]`. Default empty.
    pub rope_theta_per_layer: Vec<f64>,
    /// How rotary frequencies are stretched. Default `none`.
    pub rope_scaling_kind: RopeScalingKind,
    /// By how much. Default 1.
    pub rope_scaling_factor: f64,
    /// Further numbers that the kind of scaling needs, see [`RopeScalingKind`]. Default empty.
    pub rope_scaling_params: Vec<f64>,
    /// Per layer 0 (not stretched) or 1 (stretched): `[n_layers]`. Default empty: all are.
    pub rope_scaling_layers: Vec<u32>,
    /// The part of each head that is rotated. Default 1.
    pub rotary_fraction: f64,
    /// Per layer 0 (full) or 1 (sliding): `[n_layers]`. Default empty: all full.
    pub attention_kinds: Vec<u32>,
    /// Positions that a sliding layer sees, its own included. Default 0: there is none.
    pub sliding_window: usize,
    /// Factor on queries times keys; 0 stands for `1 / sqrt(head_dim)`. Default 0.
    pub attention_scale: f64,
    /// Attention scores s become `cap * tanh(s / cap)`; 0 is off. Default 0.
    pub attention_softcap: f64,
    /// Logits l become `cap * tanh(l / cap)`; 0 is off. Default 0.
    pub logits_softcap: f64,
    /// Normalization of queries and keys. Default `none`.
    pub qk_norm: QkNorm,
    /// Whether w_q, w_k and w_v have biases. Default false.
    pub qkv_bias: bool,
    /// Whether w_o has a bias. Default false.
    pub attention_out_bias: bool,
    /// Whether the feed-forward matrices have biases. Default false.
    pub ffn_bias: bool,
    /// Whether attention and feed-forward read the same input. Default false.
    pub parallel_residual: bool,
    /// Factor on embedded tokens. Default 1.
    pub embedding_scale: f64,
    /// Whether `token_embedding` is the output matrix too. Default false.
    pub tied_output: bool,
}

impl ModelConfig {
    /// A plain Llama of this size: every other option at its default.
    pub fn new(size: ModelSize) -> Self {
        let ModelSize {
            d_model,
            d_ff,
            n_layers,
            n_heads,
            vocab_size,
            context_len,
        } = size;
        ModelConfig {
            d_model,
            d_ff,
            n_layers,
            n_heads,
            vocab_size,
            context_len,
            n_kv_heads: n_heads,
            head_dim: default_head_dim(d_model, n_heads),
            norm_kind: NormKind::Rms,
            norm_place: NormPlace::Pre,
            norm_eps: 1e-5,
            activation: Activation::Silu,
            ffn_kind: FfnKind::Gated,
            position_kind: PositionKind::Rope,
            rope_theta: 10000.0,
            rope_theta_per_layer: Vec::new(),
            rope_scaling_kind: RopeScalingKind::None,
            rope_scaling_factor: 1.0,
            rope_scaling_params: Vec::new(),
            rope_scaling_layers: Vec::new(),
            rotary_fraction: 1.0,
            attention_kinds: Vec::new(),
            sliding_window: 0,
            attention_scale: 0.0,
            attention_softcap: 0.0,
            logits_softcap: 0.0,
            qk_norm: QkNorm::None,
            qkv_bias: false,
            attention_out_bias: false,
            ffn_bias: false,
            parallel_residual: false,
            embedding_scale: 1.0,
            tied_output: false,
        }
    }

    /// Whether layer `layer_idx` sees only the last `sliding_window` positions.
    pub fn is_sliding(&self, layer_idx: usize) -> bool {
        self.attention_kinds.get(layer_idx) == Some(&1)
    }

    /// Base of the rotary frequencies of layer `layer_idx`.
    pub fn layer_rope_theta(&self, layer_idx: usize) -> f64 {
        let of_layer = self.rope_theta_per_layer.get(layer_idx);
        of_layer.copied().unwrap_or(self.rope_theta)
    }

    /// How the rotary frequencies of layer `layer_idx` are stretched.
    pub fn layer_rope_scaling(&self, layer_idx: usize) -> RopeScalingKind {
        match self.rope_scaling_layers.get(layer_idx) {
            Some(0) => RopeScalingKind::None,
            _ => self.rope_scaling_kind,
        }
    }

    /// The six required numbers of this configuration.
    pub fn size(&self) -> ModelSize {
        ModelSize {
            d_model: self.d_model,
            d_ff: self.d_ff,
            n_layers: self.n_layers,
            n_heads: self.n_heads,
            vocab_size: self.vocab_size,
            context_len: self.context_len,
        }
    }

    /// Width of all query heads together: rows of `w_q`, columns of `w_o`.
    pub fn q_dim(&self) -> usize {
        self.n_heads * self.head_dim
    }

    /// Width of all key heads together: rows of `w_k` and of `w_v`.
    pub fn kv_dim(&self) -> usize {
        self.n_kv_heads * self.head_dim
    }
}

/// `d_model / n_heads`, or 0 (which no valid configuration has) where that is not whole.
fn default_head_dim(d_model: usize, n_heads: usize) -> usize {
    match d_model.checked_rem(n_heads) {
        Some(0) => d_model / n_heads,
        _ => 0,
    }
}
