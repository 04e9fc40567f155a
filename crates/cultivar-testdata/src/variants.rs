//! Models that between them use every option: the oracle tests run each of them, and switch off
//! each option in turn.

use crate::models::{BYTES_VOCAB_SIZE, ModelSpec};
use cultivar_core::package::{
    Activation, FfnKind, ModelConfig, ModelSize, NormKind, NormPlace, PositionKind, QkNorm,
    RopeScalingKind,
};

/// A name and what the plain configuration is changed by.
type Change = (&'static str, fn(&mut ModelConfig));

/// One small model per family of options, with matrices in this format.
pub fn variants(format: &'static str) -> Vec<ModelSpec> {
    let changes: [Change; 6] = [
        ("capped", capped),
        ("local", local),
        ("parallel", parallel),
        ("learned", learned),
        ("post", post),
        ("unplaced", unplaced),
    ];
    let spec = |(name, change): Change| {
        let mut config = ModelConfig::new(ModelSize {
            d_model: 64,
            d_ff: 96,
            n_layers: 3,
            n_heads: 4,
            vocab_size: BYTES_VOCAB_SIZE,
            context_len: 128,
        });
        change(&mut config);
        ModelSpec {
            config,
            format,
            seed: 31,
            name,
        }
    };
    changes.map(spec).into()
}

/// Soft caps, norms before and after, scaled embeddings, alternating windows.
fn capped(config: &mut ModelConfig) {
    config.n_kv_heads = 2;
    config.norm_place = NormPlace::PreAndPost;
    config.activation = Activation::GeluTanh;
    config.attention_kinds = vec![1, 0, 1];
    config.sliding_window = 9;
    config.attention_scale = 0.4;
    config.attention_softcap = 3.0;
    config.logits_softcap = 2.0;
    config.embedding_scale = 8.0;
    config.tied_output = true;
}

/// Normalized queries and keys, two bases of rotation, scaling of the global layer alone.
fn local(config: &mut ModelConfig) {
    config.n_kv_heads = 1;
    config.head_dim = 32;
    config.qk_norm = QkNorm::Head;
    config.attention_kinds = vec![1, 1, 0];
    config.sliding_window = 17;
    config.rope_theta = 1e4;
    config.rope_theta_per_layer = vec![1e4, 1e4, 1e5];
    config.rope_scaling_kind = RopeScalingKind::Linear;
    config.rope_scaling_factor = 4.0;
    config.rope_scaling_layers = vec![0, 0, 1];
}

/// Attention beside the feed-forward layer, a part of the head rotated, LayerNorm, YaRN.
fn parallel(config: &mut ModelConfig) {
    config.norm_kind = NormKind::Layer;
    config.activation = Activation::Gelu;
    config.ffn_kind = FfnKind::Plain;
    config.rotary_fraction = 0.5;
    config.qkv_bias = true;
    config.attention_out_bias = true;
    config.ffn_bias = true;
    config.parallel_residual = true;
    config.rope_scaling_kind = RopeScalingKind::Yarn;
    config.rope_scaling_factor = 4.0;
    config.rope_scaling_params = vec![4.0, 1.0, 16.0, 1.2, 1.0];
}

/// Learned positions, LayerNorm, biases, no gate.
fn learned(config: &mut ModelConfig) {
    config.norm_kind = NormKind::Layer;
    config.position_kind = PositionKind::Learned;
    config.activation = Activation::GeluTanh;
    config.ffn_kind = FfnKind::Plain;
    config.qkv_bias = true;
    config.attention_out_bias = true;
    config.ffn_bias = true;
    config.tied_output = true;
}

/// Norms after the layers only, all heads normalized together, Llama 3's scaling.
fn post(config: &mut ModelConfig) {
    config.norm_place = NormPlace::Post;
    config.activation = Activation::Relu;
    config.qk_norm = QkNorm::Full;
    config.n_kv_heads = 2;
    config.ffn_bias = true;
    config.rope_scaling_kind = RopeScalingKind::Llama3;
    config.rope_scaling_factor = 8.0;
    config.rope_scaling_params = vec![1.0, 4.0, 64.0];
}

/// No positions, a plain feed-forward layer of relu, LayerNorm on both sides.
fn unplaced(config: &mut ModelConfig) {
    config.position_kind = PositionKind::None;
    config.activation = Activation::Relu;
    config.ffn_kind = FfnKind::Plain;
    config.norm_kind = NormKind::Layer;
    config.norm_place = NormPlace::PreAndPost;
    config.qk_norm = QkNorm::Head;
    config.qkv_bias = true;
}
