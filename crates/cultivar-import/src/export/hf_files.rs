//! A Hugging Face folder: `model.safetensors`, `config.json`, `tokenizer_config.json`, and
//! `tokenizer.model` for SentencePiece's BPE, `tokenizer.json` for the other kinds. Floats keep
//! their bits; blocks become the f32 that they stand for.

use super::family::family_of;
use super::sentencepiece_model::{can_say, model_file};
use super::tensor_rows::{OutTensor, Weave, put_beside_its_parts};
use super::{ExportKind, Exporter, tokenizer_json};
use crate::architecture::{Family, config_of_json, names_of_hf};
use crate::error::{ImportError, ImportErrorKind};
use crate::plan::RowOrder;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use cultivar_core::json::{self, JsonWriter};
use cultivar_core::math::sqrt_f64;
use cultivar_core::package::schema::expected_tensors;
use cultivar_core::package::{Activation, Head, ModelConfig, NormKind, RopeScalingKind};
use cultivar_core::tensor::{Dtype, Format, Layout};

/// Everything but the tensors' bytes.
pub(super) fn plan(head: &Head) -> Result<Exporter, ImportError> {
    let family = family_of(&head.config, ExportKind::Safetensors)?;
    let mut tensors = out_tensors(head, family)?;
    let mut json = JsonWriter::new();
    json.begin_object();
    json.key("__metadata__").begin_object();
    json.field_str("format", "pt").end_object();
    let mut place = 0;
    for parts in tensors.chunk_by_mut(|a, b| a.name == b.name) {
        let start = place;
        for part in parts.iter_mut() {
            part.offset = place;
            place = part.padded_end();
        }
        put_tensor(&mut json, parts, (start, place));
    }
    json.end_object();
    let mut text = json.finish().into_bytes();
    while !text.len().is_multiple_of(8) {
        text.push(b' ');
    }
    let mut header = (text.len() as u64).to_le_bytes().to_vec();
    header.append(&mut text);
    let data_offset = header.len() as u64;
    tensors
        .iter_mut()
        .for_each(|tensor| tensor.offset += data_offset);
    let mut files = vec![
        ("model.safetensors", header),
        ("config.json", config_json(head, family)?.into_bytes()),
    ];
    let mut notes = Vec::new();
    if can_say(&head.tokenizer) {
        files.push(("tokenizer.model", model_file(&head.tokenizer)));
    } else {
        match tokenizer_json::file(&head.tokenizer) {
            Ok(text) => files.push(("tokenizer.json", text.into_bytes())),
            Err(step) => notes.push(format!("no tokenizer file is made: {step}")),
        }
    }
    let beside = tokenizer_json::config(head);
    files.push(("tokenizer_config.json", beside.into_bytes()));
    let names = files.iter().map(|(name, _)| String::from(*name)).collect();
    let whole = files.into_iter().enumerate();
    let whole = whole.map(|(idx, (_, bytes))| (idx, bytes)).collect();
    Ok(Exporter::of(names, whole, tensors, notes))
}

/// The description of a tensor of these parts at this place.
fn put_tensor(json: &mut JsonWriter, parts: &[OutTensor], (start, end): (u64, u64)) {
    let Some(first) = parts.first() else {
        return;
    };
    let n_rows = parts.iter().map(|part| part.d_out as u64).sum();
    let mut shape = first.shape.clone();
    if let Some(dim) = shape.first_mut() {
        *dim = n_rows;
    }
    if first.weave == Weave::Columns {
        shape.reverse();
    }
    json.key(&first.name).begin_object();
    json.field_str("dtype", dtype_name(first.format));
    json.key("shape").begin_array();
    shape.iter().for_each(|dim| {
        json.u64(*dim);
    });
    json.end_array();
    json.key("data_offsets").begin_array();
    json.u64(start).u64(end);
    json.end_array().end_object();
}

fn dtype_name(format: &Format) -> &'static str {
    match format.dtype {
        Dtype::F16 => "F16",
        Dtype::Bf16 => "BF16",
        _ => "F32",
    }
}

fn unsupported(field: &str) -> ImportError {
    ImportError::new(ImportErrorKind::ExportUnsupported).field(field)
}

fn out_tensors(head: &Head, family: Family) -> Result<Vec<OutTensor>, ImportError> {
    let names = names_of_hf(family);
    let f32 = Format::by_name("f32").ok_or_else(|| unsupported("f32"))?;
    let mut tensors = Vec::new();
    for expected in expected_tensors(&head.config) {
        let role = expected.role.name();
        let entry = head.directory.get(expected.name.as_str());
        let located = names.locate(&head.config, role, expected.layer, 0);
        let (Some(entry), Some(located)) = (entry, located) else {
            return Err(unsupported(expected.name.as_str()));
        };
        let is_plain = entry.format.layout == Layout::Rows;
        let format = if is_plain { entry.format } else { f32 };
        let mut tensor = OutTensor::new(entry, located.name, format);
        tensor.is_less_one = names.adds_one && expected.role.is_norm();
        tensor.weave = match located.order {
            RowOrder::Transposed { .. } => Weave::Columns,
            RowOrder::OfHeads { head_dim, .. } => Weave::Heads(head_dim),
            _ => Weave::No,
        };
        put_beside_its_parts(&mut tensors, tensor);
    }
    for parts in tensors.chunk_by_mut(|a, b| a.name == b.name) {
        let is_same = parts
            .array_windows()
            .all(|[a, b]| a.format.name == b.format.name);
        if !is_same {
            parts.iter_mut().for_each(|part| part.format = f32);
        }
    }
    Ok(tensors)
}

fn config_json(head: &Head, family: Family) -> Result<String, ImportError> {
    let config = &head.config;
    let slides = config.attention_kinds.contains(&1);
    let (class, model_type) = match family {
        Family::Llama if slides => ("MistralForCausalLM", "mistral"),
        Family::Gemma3 => (family.class_name(), "gemma3_text"),
        Family::GptNeox => (family.class_name(), "gpt_neox"),
        _ => (family.class_name(), family.gguf_name()),
    };
    let mut json = JsonWriter::new();
    json.begin_object();
    json.key("architectures").begin_array();
    json.string(class).end_array();
    json.field_str("model_type", model_type);
    put_sizes(&mut json, config, family);
    if family.is_gemma() {
        put_gemma(&mut json, config, family);
    } else {
        let key = match family {
            Family::Gpt2 => "activation_function",
            _ => "hidden_act",
        };
        json.field_str(key, activation_name(config.activation));
    }
    if slides {
        put_window(&mut json, config, family);
    }
    if family != Family::Gpt2 {
        put_rotation(&mut json, config, family);
        let has_bias = config.qkv_bias && family != Family::Qwen2;
        json.field_bool("attention_bias", has_bias);
        json.field_bool("mlp_bias", config.ffn_bias);
    }
    json.field_bool("tie_word_embeddings", config.tied_output);
    if family == Family::Phi3 {
        // The class has a number of its own, which may be beyond the vocabulary.
        json.key("pad_token_id").null();
    }
    if let Some(id) = head.tokenizer.bos_id {
        json.field_u64("bos_token_id", u64::from(id));
    }
    match head.tokenizer.eos_ids.as_slice() {
        [] => {}
        [id] => {
            json.field_u64("eos_token_id", u64::from(*id));
        }
        ids => {
            json.field_u32s("eos_token_id", ids);
        }
    }
    json.end_object();
    let text = json.finish();
    // What an import makes of it must be this configuration.
    let (_, back) = config_of_json(&json::parse(text.as_bytes())?)?;
    match back == *config {
        true => Ok(text),
        false => Err(unsupported("config.json")),
    }
}

/// Sizes and the norms' epsilon, by the class's names.
fn put_sizes(json: &mut JsonWriter, config: &ModelConfig, family: Family) {
    let is_gpt2 = family == Family::Gpt2;
    for (key, of_gpt2, value) in [
        ("hidden_size", "n_embd", config.d_model),
        ("intermediate_size", "n_inner", config.d_ff),
        ("num_hidden_layers", "n_layer", config.n_layers),
        ("num_attention_heads", "n_head", config.n_heads),
        ("num_key_value_heads", "", config.n_kv_heads),
        ("head_dim", "", config.head_dim),
        ("vocab_size", "vocab_size", config.vocab_size),
        ("max_position_embeddings", "n_positions", config.context_len),
    ] {
        let key = if is_gpt2 { of_gpt2 } else { key };
        // Norms and heads of the older families leave no choice here.
        let is_kept = !key.is_empty() && (family != Family::GptNeox || !of_gpt2.is_empty());
        if is_kept {
            json.field_u64(key, value as u64);
        }
    }
    let key = match config.norm_kind {
        NormKind::Rms => "rms_norm_eps",
        NormKind::Layer if is_gpt2 => "layer_norm_epsilon",
        NormKind::Layer => "layer_norm_eps",
    };
    put_real(json, key, config.norm_eps);
}

/// The rotary base, the part of a head that rotates, and scaling.
fn put_rotation(json: &mut JsonWriter, config: &ModelConfig, family: Family) {
    if family == Family::GptNeox {
        put_real(json, "rotary_emb_base", config.rope_theta);
        put_real(json, "rotary_pct", config.rotary_fraction);
        json.field_bool("use_parallel_residual", config.parallel_residual);
    } else {
        put_real(json, "rope_theta", config.rope_theta);
    }
    if family == Family::Phi3 {
        put_real(json, "partial_rotary_factor", config.rotary_fraction);
    }
    json.key("rope_scaling");
    put_scaling(json, config);
}

/// The name that transformers has for it.
fn activation_name(activation: Activation) -> &'static str {
    match activation {
        Activation::Silu => "silu",
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_new",
        Activation::Relu => "relu",
    }
}

/// A number with a point: readers in Python tell floats from integers.
fn put_real<'a>(json: &'a mut JsonWriter, key: &str, value: f64) -> &'a mut JsonWriter {
    let mut text = JsonWriter::new();
    text.f64(value);
    let mut text = text.finish();
    if !text.contains(['.', 'e']) {
        text += ".0";
    }
    json.key(key).raw(&text)
}

fn put_gemma(json: &mut JsonWriter, config: &ModelConfig, family: Family) {
    json.field_str("hidden_activation", "gelu_pytorch_tanh");
    // The factor on scores is 1 / sqrt(scalar), and scalars are whole.
    let scalar = match config.attention_scale {
        0.0 => config.head_dim as f64,
        scale => {
            let scalar = 1.0 / (scale * scale);
            let whole = (scalar + 0.5) as u64 as f64;
            if 1.0 / sqrt_f64(whole) == scale {
                whole
            } else {
                scalar
            }
        }
    };
    json.field_f64("query_pre_attn_scalar", scalar);
    for (key, cap) in [
        ("attn_logit_softcapping", config.attention_softcap),
        ("final_logit_softcapping", config.logits_softcap),
    ] {
        match cap {
            0.0 => json.key(key).null(),
            cap => put_real(json, key, cap),
        };
    }
    let sliding = config.attention_kinds.iter().position(|kind| *kind == 1);
    if let (Family::Gemma3, Some(layer_idx)) = (family, sliding) {
        let theta = config.layer_rope_theta(layer_idx);
        put_real(json, "rope_local_base_freq", theta);
    }
}

/// The window and which layers have it; all of Mistral's and Phi-3's do.
fn put_window(json: &mut JsonWriter, config: &ModelConfig, family: Family) {
    json.field_u64("sliding_window", config.sliding_window as u64);
    if matches!(family, Family::Llama | Family::Phi3) {
        return;
    }
    json.field_bool("use_sliding_window", true);
    json.key("layer_types").begin_array();
    for kind in &config.attention_kinds {
        json.string(["full_attention", "sliding_attention"][usize::from(*kind == 1)]);
    }
    json.end_array();
}

fn put_scaling(json: &mut JsonWriter, config: &ModelConfig) {
    if config.rope_scaling_kind == RopeScalingKind::None {
        json.null();
        return;
    }
    json.begin_object();
    json.field_str("rope_type", config.rope_scaling_kind.name());
    put_real(json, "factor", config.rope_scaling_factor);
    let names: &[&str] = match config.rope_scaling_kind {
        RopeScalingKind::Llama3 => &[
            "low_freq_factor",
            "high_freq_factor",
            "original_max_position_embeddings",
        ],
        RopeScalingKind::Yarn => &[
            "beta_fast",
            "beta_slow",
            "original_max_position_embeddings",
            "attention_factor",
        ],
        _ => &[],
    };
    for (name, value) in names.iter().zip(&config.rope_scaling_params) {
        match *name {
            "original_max_position_embeddings" => json.field_f64(name, *value),
            _ => put_real(json, name, *value),
        };
    }
    if let (RopeScalingKind::Yarn, Some(is_whole)) =
        (config.rope_scaling_kind, config.rope_scaling_params.get(4))
    {
        json.field_bool("truncate", *is_whole != 0.0);
    }
    json.end_object();
}
