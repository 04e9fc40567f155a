//! Which family of the other formats has a package's options.
//!
//! A Llama of which a part of each head rotates is a Phi-3, and so is, as GGUF, one whose layers
//! all slide: that is the one family without norms of its own that GGUF has a window for. Other
//! windows have a place in safetensors alone.

use super::ExportKind;
use crate::architecture::Family::{self, Gemma2, Gemma3, Gpt2, GptNeox, Llama, Phi3, Qwen2, Qwen3};
use crate::error::{ImportError, ImportErrorKind};
use cultivar_core::package::{
    Activation, FfnKind, ModelConfig, NormKind, NormPlace, PositionKind, QkNorm,
};

/// The family, or the first option that it does not have in files of this kind.
pub(super) fn family_of(config: &ModelConfig, kind: ExportKind) -> Result<Family, ImportError> {
    let plain: [(bool, &str, &[Family]); 14] = [
        (
            config.norm_kind == NormKind::Rms,
            "norm_kind",
            &[Gpt2, GptNeox],
        ),
        (
            config.norm_place == NormPlace::Pre,
            "norm_place",
            &[Gemma2, Gemma3],
        ),
        (
            config.activation == Activation::Silu,
            "activation",
            &[Gemma2, Gemma3, Gpt2, GptNeox],
        ),
        (
            config.ffn_kind == FfnKind::Gated,
            "ffn_kind",
            &[Gpt2, GptNeox],
        ),
        (
            config.position_kind == PositionKind::Rope,
            "position_kind",
            &[Gpt2],
        ),
        (
            config.rotary_fraction == 1.0,
            "rotary_fraction",
            &[GptNeox, Phi3],
        ),
        (
            config.rope_theta_per_layer.is_empty(),
            "rope_theta_per_layer",
            &[Gemma3],
        ),
        (
            config.rope_scaling_layers.is_empty(),
            "rope_scaling_layers",
            &[Gemma3],
        ),
        (
            config.attention_kinds.is_empty(),
            "sliding_window",
            &[Gemma2, Gemma3, Phi3],
        ),
        (config.attention_scale == 0.0, "attention_scale", &[]),
        (
            config.attention_softcap == 0.0,
            "attention_softcap",
            &[Gemma2],
        ),
        (
            config.logits_softcap == 0.0,
            "logits_softcap",
            &[Gemma2, Gemma3],
        ),
        (
            config.embedding_scale == 1.0,
            "embedding_scale",
            &[Gemma2, Gemma3],
        ),
        (!config.parallel_residual, "parallel_residual", &[GptNeox]),
    ];
    let (is_text, kinds) = (kind == ExportKind::Safetensors, &config.attention_kinds);
    let has_other_bias = config.attention_out_bias || config.ffn_bias;
    let (slides, all_slide) = (kinds.contains(&1), kinds.iter().all(|kind| *kind == 1));
    let has_bias = config.qkv_bias || has_other_bias;
    let is_phi3 = config.rotary_fraction != 1.0 || (slides && !is_text);
    let family = match (config.norm_kind, config.norm_place, config.position_kind) {
        (NormKind::Layer, _, PositionKind::Learned) => Gpt2,
        (NormKind::Layer, ..) => GptNeox,
        (_, NormPlace::PreAndPost, _) if config.qk_norm == QkNorm::Head => Gemma3,
        (_, NormPlace::PreAndPost, _) => Gemma2,
        _ if config.qk_norm == QkNorm::Head => Qwen3,
        _ if config.qkv_bias && !has_other_bias => Qwen2,
        _ if is_phi3 && all_slide && !has_bias => Phi3,
        _ => Llama,
    };
    let refuse = |key: &str| Err(ImportError::new(ImportErrorKind::ExportUnsupported).field(key));
    let may_differ = |key: &str, families: &[Family]| match key {
        "attention_scale" => is_text && family.is_gemma(),
        "sliding_window" if is_text => true,
        _ => families.contains(&family),
    };
    let mut rows = plain.iter();
    if let Some((_, key, _)) = rows.find(|(holds, key, own)| !holds && !may_differ(key, own)) {
        return refuse(key);
    }
    match (family, config.qk_norm) {
        (_, QkNorm::Full) => refuse("qk_norm"),
        // A Llama whose layers all slide is a Mistral, which has no biases.
        (Llama, _) if slides && (has_bias || !all_slide) => refuse("sliding_window"),
        (Llama, _) if config.qkv_bias != config.attention_out_bias => refuse("attention_out_bias"),
        (Qwen3, _) if config.qkv_bias || has_other_bias => refuse("qkv_bias"),
        _ => Ok(family),
    }
}
