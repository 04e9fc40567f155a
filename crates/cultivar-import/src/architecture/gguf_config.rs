//! GGUF's keys into the options of a package's configuration.
//!
//! Source: llama.cpp `llama-model.cpp`, `load_hparams`, and gguf-py `constants.py`. Where llama.cpp
//! knows an option without a key (Gemma's soft caps, patterns of layers), its value stands here.

use super::gguf_fields::{GgufFields, bad_value};
use super::rope_factors::llama3_of_factors;
use super::{Family, check_layers, sliding_pattern};
use crate::error::{ImportError, ImportErrorKind};
use crate::gguf::Gguf;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use cultivar_core::math::{ln_f64, sqrt_f64};
use cultivar_core::package::{
    Activation, FfnKind, ModelConfig, ModelSize, NormKind, NormPlace, PositionKind, QkNorm,
    RopeScalingKind,
};

/// Base of the rotary frequencies of Gemma 3's sliding layers.
const GEMMA3_LOCAL_THETA: f64 = 10000.0;

/// Family and configuration of a GGUF model. `gguf` is its first file; `rows_of` gives the first
/// dimension of a tensor of any of its files; `rope_freqs` are the elements of the tensor of that
/// name, empty if there is none.
pub(crate) fn config_of_gguf(
    gguf: &Gguf<'_>,
    rows_of: &dyn Fn(&str) -> Option<u64>,
    rope_freqs: &[f32],
) -> Result<(Family, ModelConfig), ImportError> {
    const ARCHITECTURE: &str = "general.architecture";
    let missing = || ImportError::new(ImportErrorKind::FieldMissing).field(ARCHITECTURE);
    let architecture = gguf.text(ARCHITECTURE)?.ok_or_else(missing)?;
    let family = Family::of_gguf(architecture)?;
    let fields = GgufFields {
        gguf,
        architecture,
        rows_of,
    };
    refuse_experts(&fields)?;
    let mut config = sized(&fields)?;
    common(&fields, &mut config)?;
    match family {
        Family::Llama => {}
        Family::Qwen2 => config.qkv_bias = true,
        Family::Qwen3 => config.qk_norm = QkNorm::Head,
        Family::Phi3 => phi3(&fields, &mut config)?,
        Family::Gemma2 => gemma2(&fields, &mut config)?,
        Family::Gemma3 => gemma3(&fields, &mut config)?,
        Family::Gpt2 => gpt2(&mut config),
        Family::GptNeox => gpt_neox(&fields, &mut config)?,
    }
    if !rope_freqs.is_empty() && config.rope_scaling_kind == RopeScalingKind::None {
        llama3_of_factors(&mut config, rope_freqs)?;
    }
    Ok((family, config))
}

fn refuse_experts(fields: &GgufFields<'_, '_>) -> Result<(), ImportError> {
    match fields.count("expert_count")? {
        Some(n) if n > 0 => {
            let key = fields.key("expert_count");
            Err(ImportError::new(ImportErrorKind::OptionUnsupported).field(&key))
        }
        _ => Ok(()),
    }
}

/// The sizes, the heads, and what the presence of tensors says.
fn sized(fields: &GgufFields<'_, '_>) -> Result<ModelConfig, ImportError> {
    let d_model = fields.required("embedding_length")?;
    let missing = |key: &str| ImportError::new(ImportErrorKind::FieldMissing).field(key);
    let vocab_size = (fields.rows_of)("token_embd.weight").ok_or_else(|| {
        ImportError::new(ImportErrorKind::TensorMissing).field("token_embd.weight")
    })?;
    if let Some(stated) = fields.count("vocab_size")?
        && stated as u64 != vocab_size
    {
        let error = ImportError::new(ImportErrorKind::SizesDisagree).field("vocab_size");
        return Err(error.numbers(stated as u64, vocab_size));
    }
    let key = fields.key("feed_forward_length");
    let d_ff = fields.same_in_layers("feed_forward_length")?;
    let key_heads = fields.key("attention.head_count");
    let n_heads = fields.same_in_layers("attention.head_count")?;
    let mut config = ModelConfig::new(ModelSize {
        d_model,
        d_ff: d_ff.ok_or_else(|| missing(&key))?,
        n_layers: fields.required("block_count")?,
        n_heads: n_heads.ok_or_else(|| missing(&key_heads))?,
        vocab_size: vocab_size as usize,
        context_len: fields.required("context_length")?,
    });
    check_layers(config.n_layers)?;
    if let Some(n_kv_heads) = fields.same_in_layers("attention.head_count_kv")? {
        config.n_kv_heads = n_kv_heads;
    }
    if let Some(head_dim) = fields.count("attention.key_length")? {
        config.head_dim = head_dim;
    }
    if let Some(value_dim) = fields.count("attention.value_length")?
        && value_dim != config.head_dim
    {
        let key = fields.key("attention.value_length");
        return Err(ImportError::new(ImportErrorKind::OptionUnsupported).field(&key));
    }
    config.tied_output = !fields.has_tensor("output.weight");
    config.qkv_bias =
        fields.has_tensor("blk.0.attn_q.bias") || fields.has_tensor("blk.0.attn_qkv.bias");
    config.attention_out_bias = fields.has_tensor("blk.0.attn_output.bias");
    config.ffn_bias = fields.has_tensor("blk.0.ffn_up.bias");
    Ok(config)
}

/// Norms and rotation.
fn common(fields: &GgufFields<'_, '_>, config: &mut ModelConfig) -> Result<(), ImportError> {
    let eps = fields.real("attention.layer_norm_rms_epsilon")?;
    let eps = eps.or(fields.real("attention.layer_norm_epsilon")?);
    config.norm_eps = eps.ok_or_else(|| {
        let key = fields.key("attention.layer_norm_rms_epsilon");
        ImportError::new(ImportErrorKind::FieldMissing).field(&key)
    })?;
    if let Some(theta) = fields.real("rope.freq_base")? {
        config.rope_theta = theta;
    }
    if let Some(n) = fields.count("rope.dimension_count")?
        && n != config.head_dim
        && config.head_dim > 0
    {
        config.rotary_fraction = n as f64 / config.head_dim as f64;
    }
    rope_scaling(fields, config)
}

fn rope_scaling(fields: &GgufFields<'_, '_>, config: &mut ModelConfig) -> Result<(), ImportError> {
    let key = fields.key("rope.scaling.type");
    let kind = fields.gguf.text(&key)?.unwrap_or("none");
    let factor = fields.real("rope.scaling.factor")?.unwrap_or(1.0);
    match kind {
        "none" => return Ok(()),
        "linear" if factor == 1.0 => return Ok(()),
        "linear" => config.rope_scaling_kind = RopeScalingKind::Linear,
        "yarn" => {
            config.rope_scaling_kind = RopeScalingKind::Yarn;
            let original = fields.count("rope.scaling.original_context_length")?;
            let original = original.unwrap_or(config.context_len) as f64;
            let fast = fields.real("rope.scaling.yarn_beta_fast")?.unwrap_or(32.0);
            let slow = fields.real("rope.scaling.yarn_beta_slow")?.unwrap_or(1.0);
            let given = fields.real("rope.scaling.attn_factor")?.unwrap_or(1.0);
            if factor < 1.0 {
                return Err(bad_value(&fields.key("rope.scaling.factor")));
            }
            let attention_factor = given * (1.0 + 0.1 * ln_f64(factor));
            config.rope_scaling_params = vec![fast, slow, original, attention_factor, 1.0];
        }
        other => {
            let error = ImportError::new(ImportErrorKind::OptionUnsupported);
            return Err(error.field(&format!("rope.scaling.type: {other}")));
        }
    }
    config.rope_scaling_factor = factor;
    Ok(())
}

/// All layers slide, if there is a window.
fn phi3(fields: &GgufFields<'_, '_>, config: &mut ModelConfig) -> Result<(), ImportError> {
    for name in ["rope_factors_long.weight", "rope_factors_short.weight"] {
        if fields.has_tensor(name) {
            let error = ImportError::new(ImportErrorKind::OptionUnsupported);
            return Err(error.field(name));
        }
    }
    if let Some(window) = fields.count("attention.sliding_window")?
        && window > 0
    {
        config.sliding_window = window;
        config.attention_kinds = vec![1; config.n_layers];
    }
    Ok(())
}

/// What both Gemmas share.
fn gemma(
    fields: &GgufFields<'_, '_>,
    config: &mut ModelConfig,
    period: usize,
) -> Result<(), ImportError> {
    config.norm_place = NormPlace::PreAndPost;
    config.activation = Activation::GeluTanh;
    config.embedding_scale = sqrt_f64(config.d_model as f64);
    let window = fields.count("attention.sliding_window")?;
    config.sliding_window = window.unwrap_or(4096);
    let key = "attention.sliding_window_pattern";
    let listed = fields.gguf.value(&fields.key(key));
    config.attention_kinds = match listed.and_then(|value| value.as_array()) {
        Some(array) => {
            let bools = array.bools().ok_or_else(|| bad_value(&fields.key(key)))?;
            bools.map(u32::from).collect()
        }
        None => sliding_pattern(config.n_layers, fields.count(key)?.unwrap_or(period)),
    };
    if !config.attention_kinds.contains(&1) {
        config.attention_kinds = Vec::new();
        config.sliding_window = 0;
    }
    Ok(())
}

fn gemma2(fields: &GgufFields<'_, '_>, config: &mut ModelConfig) -> Result<(), ImportError> {
    gemma(fields, config, 2)?;
    config.attention_softcap = fields.real("attn_logit_softcapping")?.unwrap_or(50.0);
    config.logits_softcap = fields.real("final_logit_softcapping")?.unwrap_or(30.0);
    Ok(())
}

fn gemma3(fields: &GgufFields<'_, '_>, config: &mut ModelConfig) -> Result<(), ImportError> {
    gemma(fields, config, 6)?;
    config.qk_norm = QkNorm::Head;
    config.logits_softcap = fields.real("final_logit_softcapping")?.unwrap_or(0.0);
    if fields.real("rope.freq_base")?.is_none() {
        config.rope_theta = 1e6;
    }
    let local = fields.real("rope.freq_base_swa")?;
    let local = local.unwrap_or(GEMMA3_LOCAL_THETA);
    rotate_sliding_layers(config, local);
    Ok(())
}

/// Sliding layers rotate by another base, and are not stretched.
pub(super) fn rotate_sliding_layers(config: &mut ModelConfig, local_theta: f64) {
    let kinds = &config.attention_kinds;
    if kinds.contains(&1) && local_theta != config.rope_theta {
        let theta = |kind: &u32| {
            if *kind == 1 {
                local_theta
            } else {
                config.rope_theta
            }
        };
        config.rope_theta_per_layer = kinds.iter().map(theta).collect();
    }
    if config.rope_scaling_kind != RopeScalingKind::None && kinds.contains(&1) && kinds.contains(&0)
    {
        config.rope_scaling_layers = kinds.iter().map(|kind| 1 - kind.min(&1)).collect();
    }
}

/// Layer norms, plain feed-forward layers, biases everywhere.
pub(super) fn gpt2(config: &mut ModelConfig) {
    config.norm_kind = NormKind::Layer;
    config.ffn_kind = FfnKind::Plain;
    config.activation = Activation::GeluTanh;
    config.position_kind = PositionKind::Learned;
    config.rope_theta = 10000.0;
    config.rotary_fraction = 1.0;
    config.qkv_bias = true;
    config.attention_out_bias = true;
    config.ffn_bias = true;
}

fn gpt_neox(fields: &GgufFields<'_, '_>, config: &mut ModelConfig) -> Result<(), ImportError> {
    config.norm_kind = NormKind::Layer;
    config.ffn_kind = FfnKind::Plain;
    config.activation = Activation::Gelu;
    config.parallel_residual = fields.flag("use_parallel_residual")?.unwrap_or(true);
    Ok(())
}
