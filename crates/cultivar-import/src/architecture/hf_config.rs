//! `config.json` into the options of a package's configuration.
//!
//! Source: transformers `configuration_*.py`; the defaults of each class stand where its files may
//! leave a field out. An option that changes the function and is not known here is refused.

use super::gguf_config::{gpt2, rotate_sliding_layers};
use super::hf_fields::{HfFields, bad_value, unsupported};
use super::hf_rope::{local_theta, set_rope};
use super::{Family, check_layers, sliding_pattern};
use crate::error::{ImportError, ImportErrorKind};
use alloc::vec;
use alloc::vec::Vec;
use cultivar_core::json::JsonValue;
use cultivar_core::math::sqrt_f64;
use cultivar_core::package::{
    Activation, FfnKind, ModelConfig, ModelSize, NormKind, NormPlace, QkNorm,
};

/// Family and configuration that a parsed `config.json` describes.
pub(crate) fn config_of_json(value: &JsonValue) -> Result<(Family, ModelConfig), ImportError> {
    let fields = HfFields { value };
    let class = fields.list("architectures")?.and_then(<[JsonValue]>::first);
    let missing = || ImportError::new(ImportErrorKind::FieldMissing).field("architectures");
    let class = class.and_then(JsonValue::as_str).ok_or_else(missing)?;
    let family = Family::of_class(class)?;
    if fields.object("quantization_config").is_some() {
        return Err(unsupported("quantization_config"));
    }
    let config = match family {
        Family::Gpt2 => of_gpt2(fields)?,
        Family::GptNeox => of_gpt_neox(fields)?,
        _ => of_llama_like(fields, family, class == "MistralForCausalLM")?,
    };
    Ok((family, config))
}

fn activation(fields: HfFields<'_>, key: &str, default: &str) -> Result<Activation, ImportError> {
    match fields.text(key)?.unwrap_or(default) {
        "silu" | "swish" => Ok(Activation::Silu),
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        other => Err(unsupported(&alloc::format!("{key}: {other}"))),
    }
}

/// The families with gated feed-forward layers and root-mean-square norms.
fn of_llama_like(
    fields: HfFields<'_>,
    family: Family,
    is_mistral: bool,
) -> Result<ModelConfig, ImportError> {
    let mut config = ModelConfig::new(ModelSize {
        d_model: fields.required("hidden_size")?,
        d_ff: fields.required("intermediate_size")?,
        n_layers: fields.required("num_hidden_layers")?,
        n_heads: fields.required("num_attention_heads")?,
        vocab_size: fields.required("vocab_size")?,
        context_len: fields.required("max_position_embeddings")?,
    });
    check_layers(config.n_layers)?;
    config.n_kv_heads = match family {
        Family::Llama if !is_mistral => {
            let given = fields.count("num_key_value_heads")?;
            given.unwrap_or(config.n_heads)
        }
        _ => fields.required("num_key_value_heads")?,
    };
    let head_dim = match family {
        Family::Gemma2 | Family::Gemma3 => Some(256),
        Family::Qwen3 => Some(128),
        _ => None,
    };
    if let Some(head_dim) = fields.count("head_dim")?.or(head_dim) {
        config.head_dim = head_dim;
    }
    config.norm_eps = fields.real("rms_norm_eps")?.unwrap_or(1e-6);
    let (key, default) = match family {
        Family::Gemma2 | Family::Gemma3 => ("hidden_activation", "gelu_pytorch_tanh"),
        _ => ("hidden_act", "silu"),
    };
    config.activation = activation(fields, key, default)?;
    config.tied_output = fields.flag("tie_word_embeddings", family.is_gemma())?;
    let theta = if family == Family::Gemma3 {
        1e6
    } else {
        10000.0
    };
    set_rope(&mut config, fields, theta)?;
    set_biases(&mut config, fields, family)?;
    if family.is_gemma() {
        set_gemma(&mut config, fields, family)?;
    }
    set_sliding(&mut config, fields, family, is_mistral)?;
    if family == Family::Gemma3 {
        rotate_sliding_layers(&mut config, local_theta(fields, 10000.0)?);
    }
    Ok(config)
}

fn set_biases(
    config: &mut ModelConfig,
    fields: HfFields<'_>,
    family: Family,
) -> Result<(), ImportError> {
    match family {
        Family::Qwen2 => config.qkv_bias = true,
        Family::Phi3 => {}
        _ => {
            let has_bias = fields.flag("attention_bias", false)?;
            (config.qkv_bias, config.attention_out_bias) = (has_bias, has_bias);
        }
    }
    if family == Family::Llama {
        config.ffn_bias = fields.flag("mlp_bias", false)?;
    }
    if matches!(family, Family::Qwen3 | Family::Gemma3) {
        config.qk_norm = QkNorm::Head;
    }
    Ok(())
}

fn set_gemma(
    config: &mut ModelConfig,
    fields: HfFields<'_>,
    family: Family,
) -> Result<(), ImportError> {
    config.norm_place = NormPlace::PreAndPost;
    config.embedding_scale = sqrt_f64(config.d_model as f64);
    let is_first = family == Family::Gemma2;
    let cap = |key: &str, default: f64| -> Result<f64, ImportError> {
        // Written as null, it is off; left out, the class's default.
        if fields.value.get(key).is_some_and(JsonValue::is_null) {
            return Ok(0.0);
        }
        let default = if is_first { default } else { 0.0 };
        Ok(fields.real(key)?.unwrap_or(default))
    };
    config.attention_softcap = cap("attn_logit_softcapping", 50.0)?;
    config.logits_softcap = cap("final_logit_softcapping", 30.0)?;
    let scalar = fields.real("query_pre_attn_scalar")?.unwrap_or(256.0);
    if scalar <= 0.0 {
        return Err(bad_value("query_pre_attn_scalar"));
    }
    // Equal to the default it is absent, so that the same model has one identity.
    if scalar != config.head_dim as f64 {
        config.attention_scale = 1.0 / sqrt_f64(scalar);
    }
    fields.refuse_if_set("use_bidirectional_attention")
}

/// Which layers slide: listed by kind, or as the class has it.
fn set_sliding(
    config: &mut ModelConfig,
    fields: HfFields<'_>,
    family: Family,
    is_mistral: bool,
) -> Result<(), ImportError> {
    let n_layers = config.n_layers;
    let window = fields.count("sliding_window")?;
    let kinds: Vec<u32> = match fields.list("layer_types")? {
        Some(kinds) => listed_kinds(kinds)?,
        None => match family {
            Family::Gemma2 => sliding_pattern(n_layers, 2),
            Family::Gemma3 => {
                let period = fields.count("sliding_window_pattern")?;
                sliding_pattern(n_layers, period.unwrap_or(6))
            }
            Family::Phi3 => vec![1; n_layers],
            Family::Llama if is_mistral => vec![1; n_layers],
            Family::Qwen2 | Family::Qwen3 if fields.flag("use_sliding_window", false)? => {
                let n_full = fields.count("max_window_layers")?.unwrap_or(28);
                (0..n_layers)
                    .map(|layer| u32::from(layer >= n_full))
                    .collect()
            }
            _ => Vec::new(),
        },
    };
    let window = match (window, family.is_gemma()) {
        (None, true) => Some(4096),
        (window, _) => window,
    };
    if let Some(window) = window.filter(|window| *window > 0 && kinds.contains(&1)) {
        config.attention_kinds = kinds;
        config.sliding_window = window;
    }
    Ok(())
}

fn listed_kinds(kinds: &[JsonValue]) -> Result<Vec<u32>, ImportError> {
    let kind = |value: &JsonValue| match value.as_str() {
        Some("full_attention") => Ok(0),
        Some("sliding_attention") => Ok(1),
        _ => Err(unsupported("layer_types")),
    };
    kinds.iter().map(kind).collect()
}

fn of_gpt2(fields: HfFields<'_>) -> Result<ModelConfig, ImportError> {
    let d_model = fields.required("n_embd")?;
    let d_ff = fields.count("n_inner")?;
    let mut config = ModelConfig::new(ModelSize {
        d_model,
        d_ff: d_ff.unwrap_or(d_model.saturating_mul(4)),
        n_layers: fields.required("n_layer")?,
        n_heads: fields.required("n_head")?,
        vocab_size: fields.required("vocab_size")?,
        context_len: fields.required("n_positions")?,
    });
    gpt2(&mut config);
    config.norm_eps = fields.real("layer_norm_epsilon")?.unwrap_or(1e-5);
    config.activation = activation(fields, "activation_function", "gelu_new")?;
    config.tied_output = fields.flag("tie_word_embeddings", true)?;
    if !fields.flag("scale_attn_weights", true)? {
        return Err(unsupported("scale_attn_weights"));
    }
    fields.refuse_if_set("scale_attn_by_inverse_layer_idx")?;
    fields.refuse_if_set("add_cross_attention")?;
    Ok(config)
}

fn of_gpt_neox(fields: HfFields<'_>) -> Result<ModelConfig, ImportError> {
    let mut config = ModelConfig::new(ModelSize {
        d_model: fields.required("hidden_size")?,
        d_ff: fields.required("intermediate_size")?,
        n_layers: fields.required("num_hidden_layers")?,
        n_heads: fields.required("num_attention_heads")?,
        vocab_size: fields.required("vocab_size")?,
        context_len: fields.required("max_position_embeddings")?,
    });
    config.norm_kind = NormKind::Layer;
    config.ffn_kind = FfnKind::Plain;
    config.norm_eps = fields.real("layer_norm_eps")?.unwrap_or(1e-5);
    config.activation = activation(fields, "hidden_act", "gelu")?;
    config.tied_output = fields.flag("tie_word_embeddings", false)?;
    config.parallel_residual = fields.flag("use_parallel_residual", true)?;
    let has_bias = fields.flag("attention_bias", true)?;
    (config.qkv_bias, config.attention_out_bias) = (has_bias, has_bias);
    config.ffn_bias = true;
    set_rope(&mut config, fields, 10000.0)?;
    let is_stated = fields.get("rotary_pct").is_some() || fields.get("rope_parameters").is_some();
    if !is_stated {
        return Err(ImportError::new(ImportErrorKind::FieldMissing).field("rotary_pct"));
    }
    Ok(config)
}
