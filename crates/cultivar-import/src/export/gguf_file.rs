//! The GGUF file: header with metadata and descriptions, tensors at multiples of 32.
//!
//! Llama's query and key rows go back to rotary neighbours, Llama 3's scaling becomes divisors;
//! what a family fuses lies row behind row. The header is read back as an import would, and must
//! give the same options. Source: ggml `docs/gguf.md`.

use super::family::family_of;
use super::gguf_metadata::{Metadata, put_text};
use super::gguf_tokenizer::put_tokenizer;
use super::tensor_rows::{OutTensor, put_beside_its_parts};
use super::{ExportKind, Exporter};
use crate::architecture::{
    Family, config_of_gguf, llama3_divisors, names_of_gguf, sliding_pattern,
};
use crate::error::{ImportError, ImportErrorKind};
use crate::ggml::GgmlType;
use crate::gguf::{Gguf, Parsed};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use cultivar_core::bytes::{put_f32, put_padding, put_u32, put_u64};
use cultivar_core::math::ln_f64;
use cultivar_core::package::schema::expected_tensors;
use cultivar_core::package::{
    Entry, Head, ModelConfig, NormKind, PositionKind, RopeScalingKind, metadata_key,
};
use cultivar_core::tensor::{Dtype, Format};

const ALIGNMENT: u64 = 32;

/// ggml's number for 32-bit floats.
const F32: u32 = 0;

/// Everything but the tensors' bytes.
pub(super) fn plan(head: &Head) -> Result<Exporter, ImportError> {
    let config = &head.config;
    let family = family_of(config, ExportKind::Gguf)?;
    let mut metadata = Metadata {
        bytes: Vec::new(),
        n_entries: 0,
    };
    put_options(&mut metadata, head, family)?;
    put_tokenizer(&mut metadata, head)?;
    let mut tensors = out_tensors(head, family)?;
    let mut infos = Vec::new();
    let (mut n_infos, mut place) = (0, 0);
    let divisors = divisors(config);
    if !divisors.is_empty() {
        put_text(&mut infos, b"rope_freqs.weight");
        put_u32(&mut infos, 1);
        put_u64(&mut infos, divisors.len() as u64);
        put_u32(&mut infos, F32);
        put_u64(&mut infos, place);
        n_infos += 1;
        place = (divisors.len() as u64 * 4).next_multiple_of(ALIGNMENT);
    }
    for parts in tensors.chunk_by_mut(|a, b| a.name == b.name) {
        put_info(&mut infos, parts, place)?;
        n_infos += 1;
        let n_parts = parts.len();
        for (idx, tensor) in parts.iter_mut().enumerate() {
            let alignment = if idx + 1 == n_parts { ALIGNMENT } else { 1 };
            (tensor.offset, tensor.alignment) = (place, alignment);
            place = tensor.padded_end();
        }
    }
    let mut header = b"GGUF".to_vec();
    put_u32(&mut header, 3);
    put_u64(&mut header, n_infos);
    put_u64(&mut header, metadata.n_entries);
    header.extend_from_slice(&metadata.bytes);
    header.extend_from_slice(&infos);
    put_padding(&mut header, ALIGNMENT as usize);
    let data_offset = header.len() as u64;
    tensors
        .iter_mut()
        .for_each(|tensor| tensor.offset += data_offset);
    check_options(config, &header, data_offset + place, &divisors)?;
    divisors
        .iter()
        .for_each(|divisor| put_f32(&mut header, *divisor));
    put_padding(&mut header, ALIGNMENT as usize);
    let whole = vec![(0, header)];
    Ok(Exporter::of(
        vec![String::new()],
        whole,
        tensors,
        Vec::new(),
    ))
}

/// What Llama 3's scaling divides each frequency by; empty for other scalings.
fn divisors(config: &ModelConfig) -> Vec<f32> {
    match (config.rope_scaling_kind, &config.rope_scaling_params[..]) {
        (RopeScalingKind::Llama3, &[low, high, original]) => {
            let (theta, n_pairs) = (config.rope_theta, config.rotary_dim() / 2);
            let factor = config.rope_scaling_factor;
            llama3_divisors(theta, n_pairs, factor, &[low, high, original])
                .map(|divisor| divisor as f32)
                .collect()
        }
        _ => Vec::new(),
    }
}

/// The description of a tensor whose parts follow one another.
fn put_info(out: &mut Vec<u8>, parts: &[OutTensor], place: u64) -> Result<(), ImportError> {
    let Some(tensor) = parts.first() else {
        return Ok(());
    };
    let kind = GgmlType::by_name(tensor.format.name);
    let kind = kind.ok_or_else(|| unsupported(&tensor.source_name))?;
    put_text(out, tensor.name.as_bytes());
    put_u32(out, tensor.shape.len() as u32);
    for dim in tensor.shape.iter().skip(1).rev() {
        put_u64(out, *dim);
    }
    put_u64(out, parts.iter().map(|part| part.d_out as u64).sum());
    put_u32(out, kind.id);
    put_u64(out, place);
    Ok(())
}

/// What an import of this header makes of it must be this configuration; numbers were rounded.
fn check_options(
    config: &ModelConfig,
    header: &[u8],
    n_bytes: u64,
    divisors: &[f32],
) -> Result<(), ImportError> {
    let Parsed::Whole(gguf) = Gguf::parse(header, n_bytes)? else {
        return Err(unsupported("header"));
    };
    let rows_of = |name: &str| gguf.tensor(name)?.shape.first().copied();
    let (_, back) = config_of_gguf(&gguf, &rows_of, divisors)?;
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs();
    let all_near =
        |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| near(*a, *b));
    // The others were checked with the family or follow from the tensors.
    let same = [
        (back.norm_kind == config.norm_kind, "norm_kind"),
        (back.norm_place == config.norm_place, "norm_place"),
        (back.activation == config.activation, "activation"),
        (back.ffn_kind == config.ffn_kind, "ffn_kind"),
        (
            back.attention_kinds == config.attention_kinds
                && back.sliding_window == config.sliding_window,
            "attention_kinds",
        ),
        (
            near(config.rotary_fraction, back.rotary_fraction),
            "rotary_fraction",
        ),
        (
            back.rope_scaling_kind == config.rope_scaling_kind
                && near(config.rope_scaling_factor, back.rope_scaling_factor)
                && all_near(&config.rope_scaling_params, &back.rope_scaling_params),
            "rope_scaling_kind",
        ),
        (
            all_near(&config.rope_theta_per_layer, &back.rope_theta_per_layer),
            "rope_theta_per_layer",
        ),
        (
            back.rope_scaling_layers == config.rope_scaling_layers,
            "rope_scaling_layers",
        ),
        (
            near(config.embedding_scale, back.embedding_scale),
            "embedding_scale",
        ),
        (back.qk_norm == config.qk_norm, "qk_norm"),
        (back.qkv_bias == config.qkv_bias, "qkv_bias"),
        (
            back.attention_out_bias == config.attention_out_bias,
            "attention_out_bias",
        ),
        (back.ffn_bias == config.ffn_bias, "ffn_bias"),
    ];
    match same.iter().find(|(is_same, _)| !is_same) {
        Some((_, name)) => Err(unsupported(name)),
        None => Ok(()),
    }
}

pub(super) fn unsupported(field: &str) -> ImportError {
    ImportError::new(ImportErrorKind::ExportUnsupported).field(field)
}

fn put_options(out: &mut Metadata, head: &Head, family: Family) -> Result<(), ImportError> {
    let config = &head.config;
    let architecture = family.gguf_name();
    out.text("general.architecture", architecture);
    for (key, ours) in [
        ("general.name", metadata_key::NAME),
        ("general.author", metadata_key::AUTHOR),
        ("general.license", metadata_key::LICENSE),
        ("general.source.url", metadata_key::SOURCE),
        ("general.description", metadata_key::NOTES),
    ] {
        if let Some(text) = head.metadata.text(ours) {
            out.text(key, text);
        }
    }
    out.u32("general.quantization_version", 2);
    for (key, value) in [
        ("context_length", config.context_len),
        ("embedding_length", config.d_model),
        ("block_count", config.n_layers),
        ("feed_forward_length", config.d_ff),
        ("attention.head_count", config.n_heads),
        ("attention.head_count_kv", config.n_kv_heads),
        ("attention.key_length", config.head_dim),
        ("attention.value_length", config.head_dim),
        ("vocab_size", config.vocab_size),
    ] {
        out.u32(&format!("{architecture}.{key}"), value);
    }
    let key = |key: &str| format!("{architecture}.{key}");
    let eps = match config.norm_kind {
        NormKind::Layer => "attention.layer_norm_epsilon",
        _ => "attention.layer_norm_rms_epsilon",
    };
    out.f32(&key(eps), config.norm_eps);
    if config.position_kind == PositionKind::Learned {
        return Ok(());
    }
    out.u32(&key("rope.dimension_count"), config.rotary_dim());
    out.f32(&key("rope.freq_base"), config.rope_theta);
    if family == Family::GptNeox {
        out.bool(&key("use_parallel_residual"), config.parallel_residual);
    }
    if family.is_gemma() {
        put_gemma(out, config, family, &key);
    } else if config.sliding_window > 0 {
        out.u32(&key("attention.sliding_window"), config.sliding_window);
    }
    put_scaling(out, config, &key)
}

fn put_gemma(
    out: &mut Metadata,
    config: &ModelConfig,
    family: Family,
    key: &dyn Fn(&str) -> String,
) {
    out.u32(&key("attention.sliding_window"), config.sliding_window);
    let kinds = &config.attention_kinds;
    // Without a list, readers take the family's own pattern.
    let period = if family == Family::Gemma2 { 2 } else { 6 };
    if *kinds != sliding_pattern(config.n_layers, period) {
        let list = out.array(&key("attention.sliding_window_pattern"), 7, config.n_layers);
        let kind = |layer_idx: usize| u8::from(config.is_sliding(layer_idx));
        list.extend((0..config.n_layers).map(kind));
    }
    let sliding = kinds.iter().position(|kind| *kind == 1);
    if family == Family::Gemma2 {
        out.f32(&key("attn_logit_softcapping"), config.attention_softcap);
    } else if let Some(layer_idx) = sliding {
        let theta = config.layer_rope_theta(layer_idx);
        out.f32(&key("rope.freq_base_swa"), theta);
    }
    if family == Family::Gemma2 || config.logits_softcap != 0.0 {
        out.f32(&key("final_logit_softcapping"), config.logits_softcap);
    }
}

fn put_scaling(
    out: &mut Metadata,
    config: &ModelConfig,
    key: &dyn Fn(&str) -> String,
) -> Result<(), ImportError> {
    let factor = config.rope_scaling_factor;
    match (
        config.rope_scaling_kind,
        config.rope_scaling_params.as_slice(),
    ) {
        (RopeScalingKind::None, _) => return Ok(()),
        (RopeScalingKind::Linear, _) => out.text(&key("rope.scaling.type"), "linear"),
        (RopeScalingKind::Yarn, [fast, slow, original, attention_factor, _]) => {
            out.text(&key("rope.scaling.type"), "yarn");
            out.u32(
                &key("rope.scaling.original_context_length"),
                *original as usize,
            );
            out.f32(&key("rope.scaling.yarn_beta_fast"), *fast);
            out.f32(&key("rope.scaling.yarn_beta_slow"), *slow);
            let given = attention_factor / (1.0 + 0.1 * ln_f64(factor));
            out.f32(&key("rope.scaling.attn_factor"), given);
        }
        // Written as divisors, which are a tensor.
        (RopeScalingKind::Llama3, _) => return Ok(()),
        _ => return Err(unsupported("rope_scaling_kind")),
    }
    out.f32(&key("rope.scaling.factor"), factor);
    Ok(())
}

fn out_tensors(head: &Head, family: Family) -> Result<Vec<OutTensor>, ImportError> {
    let names = names_of_gguf(family);
    let mut tensors: Vec<OutTensor> = Vec::new();
    for expected in expected_tensors(&head.config) {
        let role = expected.role.name();
        let entry = head.directory.get(expected.name.as_str());
        let located = names.locate(&head.config, role, expected.layer, 0);
        let (Some(entry), Some(located)) = (entry, located) else {
            return Err(unsupported(expected.name.as_str()));
        };
        let mut tensor = OutTensor::new(entry, located.name, gguf_format(entry)?);
        let is_rotary = matches!(role, "w_q" | "b_q" | "w_k" | "b_k");
        if family == Family::Llama && is_rotary {
            tensor.head_dim = head.config.head_dim;
        }
        put_beside_its_parts(&mut tensors, tensor);
    }
    for parts in tensors.chunk_by_mut(|a, b| a.name == b.name) {
        // All parts take the largest format of theirs, so that none loses anything.
        let largest = parts.iter().max_by_key(|part| part.row_bytes());
        let format = largest.map(|part| part.format);
        for part in parts.iter_mut() {
            part.format = format.unwrap_or(part.format);
        }
    }
    Ok(tensors)
}

/// The stored format, or what holds it where ggml has no short super-blocks.
fn gguf_format(entry: &Entry) -> Result<&'static Format, ImportError> {
    let stored = entry.format;
    let is_whole = entry
        .d_in()
        .is_multiple_of(stored.block_len * stored.super_blocks);
    let name = match stored.dtype {
        _ if is_whole => return Ok(stored),
        Dtype::Q4K => "q5_0",
        _ => "q8_0",
    };
    Format::by_name(name).ok_or_else(|| unsupported(&entry.name))
}
