//! The card of a model package as JSON: what is shown before the weights have arrived, and where
//! in the file each section and tensor lies. The page and the command print the same card.

use super::{Dims, EngineOptions, MemoryEstimate};
use crate::json::JsonWriter;
use crate::kv_cache::KvFormat;
use crate::package::{
    Head, ModelConfig, NormKind, NormPlace, PositionKind, QkNorm, Records, SectionId, Tail, Value,
    metadata_key,
};
use crate::tensor::FORMATS;
use alloc::format;
use alloc::string::String;

/// `cultivar.card.v1`; the content identity and the conversion record are there once the tail is
/// read.
pub fn card_json(head: &Head, tail: Option<&Tail>) -> String {
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field_str("schema", "cultivar.card.v1");
    json.field_str("kind", head.header.kind.name());
    for key in [
        metadata_key::NAME,
        metadata_key::AUTHOR,
        metadata_key::LICENSE,
        metadata_key::SOURCE,
        metadata_key::NOTES,
    ] {
        json.field_str(key, head.metadata.text(key).unwrap_or(""));
    }
    json.field_str("architecture", &architecture_label(&head.config));
    json.field_u64("n_parameters", head.directory.n_parameters());
    write_formats(&mut json, head);
    json.field_u64("context_len", head.config.context_len as u64);
    json.key("tokenizer").begin_object();
    json.field_str("kind", head.tokenizer.kind.name());
    json.field_u64("vocab_size", head.config.vocab_size as u64);
    json.end_object();
    json.field_bool("has_chat_template", head.chat_template.is_some());
    write_identities(&mut json, head, tail);
    json.field_u64("file_bytes", head.header.file_bytes);
    write_memory(&mut json, head);
    write_config(&mut json, &head.config);
    write_sections(&mut json, head);
    write_tensors(&mut json, head);
    json.key("conversion_record");
    match tail.and_then(|tail| tail.conversion_record.as_deref()) {
        Some(record) => json.string(record),
        None => json.null(),
    };
    json.end_object();
    json.finish()
}

/// A line such as "llama, 6 layers, d_model 288, 6 heads (2 kv)".
pub fn architecture_label(config: &ModelConfig) -> String {
    let kv = match config.n_kv_heads {
        n if n == config.n_heads => String::new(),
        n => format!(" ({n} kv)"),
    };
    let (n_layers, d_model, n_heads) = (config.n_layers, config.d_model, config.n_heads);
    let family = family(config);
    format!("{family}, {n_layers} layers, d_model {d_model}, {n_heads} heads{kv}")
}

/// The best known family whose options these are; only a name, nothing depends on it.
fn family(config: &ModelConfig) -> &'static str {
    let is_capped = config.attention_softcap > 0.0 || config.logits_softcap > 0.0;
    match (config.norm_kind, config.norm_place, config.qk_norm) {
        (NormKind::Layer, ..) if config.position_kind == PositionKind::Learned => "gpt2",
        (NormKind::Layer, ..) => "gpt_neox",
        (_, NormPlace::PreAndPost, _) if is_capped => "gemma2",
        (_, NormPlace::PreAndPost, _) => "gemma3",
        (_, NormPlace::Post, _) => "olmo2",
        (.., QkNorm::Head | QkNorm::Full) => "qwen3",
        _ if config.qkv_bias && !config.attention_out_bias => "qwen2",
        _ => "llama",
    }
}

/// How many tensors have each format.
fn write_formats(json: &mut JsonWriter, head: &Head) {
    json.key("formats").begin_object();
    for format in FORMATS {
        let entries = head.directory.entries().iter();
        let n = entries
            .filter(|entry| entry.format.name == format.name)
            .count();
        if n > 0 {
            json.field_u64(format.name, n as u64);
        }
    }
    json.end_object();
}

fn write_identities(json: &mut JsonWriter, head: &Head, tail: Option<&Tail>) {
    json.key("identities").begin_object();
    json.key("content");
    match tail {
        Some(tail) => json.display(tail.content),
        None => json.null(),
    };
    json.field_display("weights", head.identities.weights);
    json.field_display("architecture", head.identities.architecture);
    json.field_display("tokenizer", head.identities.tokenizer);
    json.field_display("tensor_schema", head.identities.tensor_schema);
    json.end_object();
}

/// What a session over the whole context takes with the default settings.
fn write_memory(json: &mut JsonWriter, head: &Head) {
    let weights_bytes = head
        .directory
        .entries()
        .iter()
        .map(|entry| entry.bytes)
        .sum();
    let estimate = MemoryEstimate::new(
        &Dims::new(&head.config),
        weights_bytes,
        &EngineOptions::default(),
        head.config.context_len,
        KvFormat::F32,
    );
    json.key("memory").begin_object();
    json.field_u64("weights_bytes", estimate.weights_bytes);
    json.field_u64("kv_bytes", estimate.kv_bytes);
    json.field_u64("kv_sliding_bytes", estimate.kv_sliding_bytes);
    json.field_u64("workspace_bytes", estimate.workspace_bytes);
    json.field_u64("total_bytes", estimate.total_bytes());
    json.end_object();
}

fn write_config(json: &mut JsonWriter, config: &ModelConfig) {
    json.key("config").begin_object();
    for (key, value) in [
        ("d_model", config.d_model),
        ("d_ff", config.d_ff),
        ("n_layers", config.n_layers),
        ("n_heads", config.n_heads),
        ("n_kv_heads", config.n_kv_heads),
        ("head_dim", config.head_dim),
        ("vocab_size", config.vocab_size),
        ("context_len", config.context_len),
    ] {
        json.field_u64(key, value as u64);
    }
    json.field_str("norm_kind", config.norm_kind.name());
    json.field_f64("norm_eps", config.norm_eps);
    json.field_str("activation", config.activation.name());
    json.field_str("ffn_kind", config.ffn_kind.name());
    json.field_str("position_kind", config.position_kind.name());
    json.field_f64("rope_theta", config.rope_theta);
    json.field_bool("tied_output", config.tied_output);
    write_further_options(json, config);
    json.end_object();
}

/// Keys that the card always has.
const SHOWN_KEYS: &[&str] = &[
    "activation",
    "context_len",
    "d_ff",
    "d_model",
    "ffn_kind",
    "head_dim",
    "n_heads",
    "n_kv_heads",
    "n_layers",
    "norm_eps",
    "norm_kind",
    "position_kind",
    "rope_theta",
    "tied_output",
    "vocab_size",
];

/// Every other option that is not at its default.
fn write_further_options(json: &mut JsonWriter, config: &ModelConfig) {
    let bytes = config.to_records().finish();
    // What was just written parses.
    let Ok(records) = Records::parse(SectionId::CONFIG, &bytes, 0) else {
        return;
    };
    let further = records
        .iter()
        .filter(|record| !SHOWN_KEYS.contains(&record.key));
    for record in further {
        json.key(record.key);
        match record.value {
            Value::U64(value) => json.u64(value),
            Value::F64(value) => json.f64(value),
            Value::Bool(value) => json.bool(value),
            Value::F64List(list) => {
                json.begin_array();
                for value in list {
                    json.f64(f64::from_le_bytes(*value));
                }
                json.end_array()
            }
            Value::U32List(list) => {
                json.begin_array();
                for value in list {
                    json.u64(u64::from(u32::from_le_bytes(*value)));
                }
                json.end_array()
            }
            value => json.string(value.as_text().unwrap_or_default()),
        };
    }
}

/// In file order; the tensor data's digest is that of the tensor directory.
fn write_sections(json: &mut JsonWriter, head: &Head) {
    json.key("sections").begin_array();
    for section in head.sections.sections() {
        json.begin_object();
        json.field_display("name", section.id);
        json.field_u64("id", u64::from(section.id.0));
        json.field_u64("offset", section.offset);
        json.field_u64("bytes", section.len);
        json.field_display("digest", section.digest);
        json.end_object();
    }
    json.end_array();
}

/// In file order: each is followed by the next, so a host can stream the whole section.
fn write_tensors(json: &mut JsonWriter, head: &Head) {
    let entries = head.directory.entries();
    let ends = entries.iter().skip(1).map(|next| next.offset);
    let ends = ends.chain(core::iter::once(head.tail_offset()));
    json.key("tensors").begin_array();
    for (entry, read_end) in entries.iter().zip(ends) {
        json.begin_object();
        json.field_str("name", &entry.name);
        json.field_str("format", entry.format.name);
        json.key("shape").begin_array();
        for dim in &entry.shape {
            json.u64(*dim);
        }
        json.end_array();
        json.field_u64("offset", entry.offset);
        json.field_u64("bytes", entry.bytes);
        json.field_u64("read_bytes", read_end - entry.offset);
        json.field_display("digest", entry.digest);
        json.end_object();
    }
    json.end_array();
}
