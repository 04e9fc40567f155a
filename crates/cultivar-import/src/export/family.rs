//! Which family of the other formats has a package's options.
//!
//! Only families whose tensors stand apart as ours do can be written: Llama, Qwen2 and Qwen3. A
//! Phi-3 or Mistral model without a window is a Llama once its tensors are split.

use crate::architecture::Family;
use crate::error::{ImportError, ImportErrorKind};
use cultivar_core::package::{
    Activation, FfnKind, ModelConfig, NormKind, NormPlace, PositionKind, QkNorm,
};

/// The family, or the first option that none of them has.
pub(super) fn family_of(config: &ModelConfig) -> Result<Family, ImportError> {
    let plain = [
        (config.norm_kind == NormKind::Rms, "norm_kind"),
        (config.norm_place == NormPlace::Pre, "norm_place"),
        (config.activation == Activation::Silu, "activation"),
        (config.ffn_kind == FfnKind::Gated, "ffn_kind"),
        (config.position_kind == PositionKind::Rope, "position_kind"),
        (config.rotary_fraction == 1.0, "rotary_fraction"),
        (
            config.rope_theta_per_layer.is_empty(),
            "rope_theta_per_layer",
        ),
        (config.rope_scaling_layers.is_empty(), "rope_scaling_layers"),
        (config.attention_kinds.is_empty(), "sliding_window"),
        (config.attention_scale == 0.0, "attention_scale"),
        (config.attention_softcap == 0.0, "attention_softcap"),
        (config.logits_softcap == 0.0, "logits_softcap"),
        (config.embedding_scale == 1.0, "embedding_scale"),
        (!config.parallel_residual, "parallel_residual"),
    ];
    let refuse = |key: &str| Err(ImportError::new(ImportErrorKind::ExportUnsupported).field(key));
    if let Some((_, key)) = plain.iter().find(|(holds, _)| !holds) {
        return refuse(key);
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
