//! The GGUF file: header with metadata and descriptions, tensors at multiples of 32.
//!
//! Llama's query and key rows go back to rotary neighbours. Source: ggml `docs/gguf.md`.

use super::family::family_of;
use super::tensor_rows::OutTensor;
use super::written_pieces::written_piece;
use super::{Exporter, chat_template};
use crate::architecture::{Family, names_of_gguf};
use crate::error::{ImportError, ImportErrorKind};
use crate::ggml::GgmlType;
use crate::tokenizers::family_name;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use cultivar_core::bytes::{put_f32, put_padding, put_u32, put_u64};
use cultivar_core::math::ln_f64;
use cultivar_core::package::schema::expected_tensors;
use cultivar_core::package::{Entry, Head, ModelConfig, RopeScalingKind, metadata_key};
use cultivar_core::tensor::{Dtype, Format};
use cultivar_core::tokenizer::TokenizerKind;

const ALIGNMENT: u64 = 32;

/// The metadata in the making.
struct Metadata {
    bytes: Vec<u8>,
    n_entries: u64,
}

impl Metadata {
    fn key(&mut self, key: &str, kind: u32) -> &mut Vec<u8> {
        put_text(&mut self.bytes, key.as_bytes());
        put_u32(&mut self.bytes, kind);
        self.n_entries += 1;
        &mut self.bytes
    }

    fn u32(&mut self, key: &str, value: usize) {
        put_u32(self.key(key, 4), value as u32);
    }

    fn f32(&mut self, key: &str, value: f64) {
        put_f32(self.key(key, 6), value as f32);
    }

    fn bool(&mut self, key: &str, value: bool) {
        self.key(key, 7).push(u8::from(value));
    }

    fn text(&mut self, key: &str, value: &str) {
        put_text(self.key(key, 8), value.as_bytes());
    }

    /// Begins an array of `n` elements of a type.
    fn array(&mut self, key: &str, kind: u32, n: usize) -> &mut Vec<u8> {
        let bytes = self.key(key, 9);
        put_u32(bytes, kind);
        put_u64(bytes, n as u64);
        bytes
    }
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_u64(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// Everything but the tensors' bytes.
pub(super) fn plan(head: &Head) -> Result<Exporter, ImportError> {
    let config = &head.config;
    let family = family_of(config)?;
    let mut metadata = Metadata {
        bytes: Vec::new(),
        n_entries: 0,
    };
    put_options(&mut metadata, head, family)?;
    put_tokenizer(&mut metadata, head)?;
    let mut tensors = out_tensors(head, family)?;
    let mut infos = Vec::new();
    let mut place = 0;
    for tensor in &mut tensors {
        let kind = GgmlType::by_name(tensor.format.name);
        let kind = kind.ok_or_else(|| unsupported(&tensor.source_name))?;
        put_text(&mut infos, tensor.name.as_bytes());
        put_u32(&mut infos, tensor.shape.len() as u32);
        tensor
            .shape
            .iter()
            .rev()
            .for_each(|dim| put_u64(&mut infos, *dim));
        put_u32(&mut infos, kind.id);
        put_u64(&mut infos, place);
        (tensor.offset, tensor.alignment) = (place, ALIGNMENT);
        place = tensor.padded_end();
    }
    let mut header = b"GGUF".to_vec();
    put_u32(&mut header, 3);
    put_u64(&mut header, tensors.len() as u64);
    put_u64(&mut header, metadata.n_entries);
    header.extend_from_slice(&metadata.bytes);
    header.extend_from_slice(&infos);
    put_padding(&mut header, ALIGNMENT as usize);
    let data_offset = header.len() as u64;
    tensors
        .iter_mut()
        .for_each(|tensor| tensor.offset += data_offset);
    let whole = vec![(0, header)];
    Ok(Exporter::of(
        vec![String::new()],
        whole,
        tensors,
        Vec::new(),
    ))
}

fn unsupported(field: &str) -> ImportError {
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
        ("rope.dimension_count", config.head_dim),
        ("vocab_size", config.vocab_size),
    ] {
        out.u32(&format!("{architecture}.{key}"), value);
    }
    let key = |key: &str| format!("{architecture}.{key}");
    out.f32(&key("attention.layer_norm_rms_epsilon"), config.norm_eps);
    out.f32(&key("rope.freq_base"), config.rope_theta);
    put_scaling(out, config, &key)
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
        // Written as divisors, a tensor of which the package has none.
        _ => return Err(unsupported("rope_scaling_kind")),
    }
    out.f32(&key("rope.scaling.factor"), factor);
    Ok(())
}

fn put_tokenizer(out: &mut Metadata, head: &Head) -> Result<(), ImportError> {
    let record = &head.tokenizer;
    let (model, pre) = match record.kind {
        TokenizerKind::SentencePieceBpe if record.normalizer.is_empty() => ("llama", "default"),
        TokenizerKind::ByteBpe => {
            let family = family_name(record).ok_or_else(|| unsupported("pre_tokenizer"))?;
            ("gpt2", family)
        }
        TokenizerKind::SentencePieceBpe => return Err(unsupported("normalizer")),
        kind => return Err(unsupported(kind.name())),
    };
    out.text("tokenizer.ggml.model", model);
    out.text("tokenizer.ggml.pre", pre);
    let n = record.pieces.len();
    let tokens = out.array("tokenizer.ggml.tokens", 8, n);
    (0..n).for_each(|id| put_text(tokens, written_piece(record, id).as_bytes()));
    if record.kind.has_scores() {
        let scores = out.array("tokenizer.ggml.scores", 6, n);
        let values = record.scores.iter();
        values.for_each(|score| put_f32(scores, *score));
    }
    let types = out.array("tokenizer.ggml.token_type", 5, n);
    record
        .types
        .iter()
        .for_each(|kind| put_u32(types, u32::from(*kind)));
    if record.kind.has_merges() {
        let merges = out.array("tokenizer.ggml.merges", 8, record.merges.len());
        for (left, right) in &record.merges {
            let part = |id: &u32| written_piece(record, *id as usize);
            let merge = format!("{} {}", part(left), part(right));
            put_text(merges, merge.as_bytes());
        }
    }
    // The file has a key for each of up to three ends.
    let mut ends = record.eos_ids.iter().rev().copied();
    for (key, id) in [
        ("tokenizer.ggml.bos_token_id", record.bos_id),
        ("tokenizer.ggml.eos_token_id", ends.next()),
        ("tokenizer.ggml.eot_token_id", ends.next()),
        ("tokenizer.ggml.eom_token_id", ends.next()),
        ("tokenizer.ggml.unknown_token_id", record.unk_id),
        ("tokenizer.ggml.padding_token_id", record.pad_id),
    ] {
        if let Some(id) = id {
            out.u32(key, id as usize);
        }
    }
    out.bool("tokenizer.ggml.add_bos_token", record.add_bos);
    out.bool("tokenizer.ggml.add_eos_token", false);
    out.bool("tokenizer.ggml.add_space_prefix", record.add_space_prefix);
    if let Some(template) = chat_template(head) {
        out.text("tokenizer.chat_template", template);
    }
    Ok(())
}

fn out_tensors(head: &Head, family: Family) -> Result<Vec<OutTensor>, ImportError> {
    let names = names_of_gguf(family);
    let mut tensors = Vec::new();
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
        tensors.push(tensor);
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
