//! Which family of the other formats has a package's options.
//!
//! Safetensors are written where tensors stand apart as ours do: Llama, Qwen2 and Qwen3. GGUF fuses
//! at most rows, so there Gemma, GPT-2 and GPT-NeoX can be written too. A Phi-3 or Mistral model
//! without a window is a Llama once its tensors are split.

use super::ExportKind;
use crate::architecture::Family::{self, Gemma2, Gemma3, Gpt2, GptNeox};
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
        (config.rotary_fraction == 1.0, "rotary_fraction", &[GptNeox]),
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
            &[Gemma2, Gemma3],
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
    let own = match (config.norm_kind, config.norm_place, config.position_kind) {
        _ if kind == ExportKind::Safetensors => None,
        (NormKind::Layer, _, PositionKind::Learned) => Some(Gpt2),
        (NormKind::Layer, ..) => Some(GptNeox),
        (_, NormPlace::PreAndPost, _) if config.qk_norm == QkNorm::Head => Some(Gemma3),
        (_, NormPlace::PreAndPost, _) => Some(Gemma2),
        _ => None,
    };
    let refuse = |key: &str| Err(ImportError::new(ImportErrorKind::ExportUnsupported).field(key));
    let may_differ = |families: &[Family]| own.is_some_and(|own| families.contains(&own));
    let mut rows = plain.iter();
    if let Some((_, key, _)) = rows.find(|(holds, _, own)| !holds && !may_differ(own)) {
        return refuse(key);
    }
    if let Some(family) = own {
        return Ok(family);
    }
    let has_other_bias = config.attention_out_bias || config.ffn_bias;
    match (config.qk_norm, config.qkv_bias) {
        (QkNorm::None, true) if !has_other_bias => Ok(Family::Qwen2),
        (QkNorm::None, has_bias) if has_bias == config.attention_out_bias => Ok(Family::Llama),
        (QkNorm::None, _) => refuse("attention_out_bias"),
        (QkNorm::Head, false) if !has_other_bias => Ok(Family::Qwen3),
        (QkNorm::Head, _) => refuse("qkv_bias"),
        (QkNorm::Full, _) => refuse("qk_norm"),
    }
}
