//! `tokenizer.json` of the Hugging Face library, for the kinds that have merges or are Unigram,
//! and `tokenizer_config.json` for all.
//!
//! Steps become the components that `tokenizers/json_rules.rs` reads back into the same steps; one
//! that has none is named, and no file is made.

use super::chat_template;
use super::sentencepiece_model::can_say;
use super::written_pieces::{plain_piece, written_piece};
use crate::tokenizers::expression_of;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::json::JsonWriter;
use cultivar_core::package::Head;
use cultivar_core::tokenizer::{PieceType, TokenizerKind, TokenizerRecord};

const SPACE_MARK: &str = "\u{2581}";

/// The file's text, or the step or property that it cannot say.
pub(super) fn file(record: &TokenizerRecord) -> Result<String, String> {
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field_str("version", "1.0");
    json.key("truncation").null();
    json.key("padding").null();
    json.key("added_tokens").begin_array();
    for (id, kind) in (0u32..).zip(&record.types) {
        let is_special = *kind == PieceType::Control as u8 || *kind == PieceType::Unknown as u8;
        if is_special || *kind == PieceType::User as u8 {
            json.begin_object();
            json.field_u64("id", u64::from(id));
            json.field_str("content", &plain_piece(record, id));
            json.field_bool("single_word", false);
            let takes = |ids: &Vec<u32>| ids.binary_search(&id).is_ok();
            json.field_bool("lstrip", takes(&record.strip_left_ids));
            json.field_bool("rstrip", takes(&record.strip_right_ids));
            json.field_bool("normalized", false);
            json.field_bool("special", is_special).end_object();
        }
    }
    json.end_array();
    put_rules(&mut json, record)?;
    put_model(&mut json, record)?;
    json.end_object();
    Ok(json.finish())
}

/// Writes a component: none for an empty list of parts, else a sequence of them.
fn put_sequence(json: &mut JsonWriter, key: &str, list_key: &str, parts: &[String]) {
    json.key(key);
    if parts.is_empty() {
        json.null();
        return;
    }
    json.begin_object();
    json.field_str("type", "Sequence");
    json.key(list_key).begin_array();
    parts.iter().for_each(|part| {
        json.raw(part);
    });
    json.end_array().end_object();
}

/// A component of a type, its fields written by `fields`.
fn part(kind: &str, fields: impl FnOnce(&mut JsonWriter)) -> String {
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field_str("type", kind);
    fields(&mut json);
    json.end_object();
    json.finish()
}

/// A `Replace` of a text or an expression.
fn replace(kind: &str, pattern: &str, content: &str) -> String {
    part("Replace", |json| {
        json.key("pattern").begin_object();
        json.field_str(kind, pattern).end_object();
        json.field_str("content", content);
    })
}

/// Normalizer, pre-tokenizer, post-processor and decoder.
fn put_rules(json: &mut JsonWriter, record: &TokenizerRecord) -> Result<(), String> {
    let is_byte_level = record.kind == TokenizerKind::ByteBpe;
    let has = |list: &[String], step: &str| list.iter().any(|known| known == step);
    let scheme = match () {
        () if has(&record.normalizer, "prefix_space") => "always",
        () if has(&record.normalizer, "prefix_space_first") => "first",
        () => "never",
    };
    let splits_words = has(&record.pre_tokenizer, "space_words");
    let has_metaspace = !is_byte_level && (splits_words || scheme != "never");
    let mut normalizers = Vec::new();
    for step in &record.normalizer {
        normalizers.push(match step.as_str() {
            "nfc" => part("NFC", |_| {}),
            "collapse_spaces" => replace("Regex", " {2,}", " "),
            "strip_left" | "strip_right" => part("Strip", |json| {
                json.field_bool("strip_left", step == "strip_left");
                json.field_bool("strip_right", step == "strip_right");
            }),
            "prefix_space" | "prefix_space_first" => continue,
            other => return Err(String::from(other)),
        });
    }
    if record.add_space_prefix && is_byte_level {
        return Err(String::from("add_space_prefix"));
    }
    if record.add_space_prefix {
        normalizers.push(part("Prepend", |json| {
            json.field_str("prepend", SPACE_MARK);
        }));
    }
    if !is_byte_level && !has_metaspace {
        normalizers.push(replace("String", " ", SPACE_MARK));
    }
    put_sequence(json, "normalizer", "normalizers", &normalizers);
    let splitters = splitters(record, scheme, has_metaspace)?;
    put_sequence(json, "pre_tokenizer", "pretokenizers", &splitters);
    put_post_processor(json, record);
    let byte_level = || byte_level_part(false, false);
    let mut decoders = Vec::new();
    if is_byte_level {
        decoders.push(byte_level());
    } else {
        decoders.push(replace("String", SPACE_MARK, " "));
        decoders.push(part("ByteFallback", |_| {}));
        decoders.push(part("Fuse", |_| {}));
    }
    if record.remove_leading_space {
        decoders.push(part("Strip", |json| {
            json.field_str("content", " ");
            json.field_u64("start", 1).field_u64("stop", 0);
        }));
    }
    put_sequence(json, "decoder", "decoders", &decoders);
    Ok(())
}

fn byte_level_part(adds_space: bool, splits: bool) -> String {
    part("ByteLevel", |json| {
        json.field_bool("add_prefix_space", adds_space);
        json.field_bool("trim_offsets", true);
        json.field_bool("use_regex", splits);
    })
}

fn splitters(
    record: &TokenizerRecord,
    scheme: &str,
    has_metaspace: bool,
) -> Result<Vec<String>, String> {
    let is_byte_level = record.kind == TokenizerKind::ByteBpe;
    let steps: Vec<&str> = record.pre_tokenizer.iter().map(String::as_str).collect();
    if is_byte_level && scheme != "never" {
        // Such a space stands before the whole stretch, which no later component can say.
        return match (scheme, steps.as_slice()) {
            ("always", ["gpt2_words"]) => Ok(Vec::from([byte_level_part(true, true)])),
            ("always", []) => Ok(Vec::from([byte_level_part(true, false)])),
            _ => Err(format!("prefix_space before {}", steps.join(" "))),
        };
    }
    let mut parts = Vec::new();
    for step in steps {
        parts.push(match step {
            "ascii_symbol_runs" | "ascii_symbols" => part("Punctuation", |json| {
                let is_run = step == "ascii_symbol_runs";
                json.field_str("behavior", if is_run { "Contiguous" } else { "Isolated" });
            }),
            "space_words" => continue,
            step => {
                let expression = expression_of(step).ok_or(step)?;
                part("Split", |json| {
                    json.key("pattern").begin_object();
                    json.field_str("Regex", expression).end_object();
                    json.field_str("behavior", "Isolated");
                    json.field_bool("invert", false);
                })
            }
        });
    }
    if is_byte_level {
        parts.push(byte_level_part(false, false));
    } else if has_metaspace {
        parts.push(part("Metaspace", |json| {
            json.field_str("replacement", SPACE_MARK);
            json.field_str("prepend_scheme", scheme);
            let splits = record
                .pre_tokenizer
                .iter()
                .any(|step| step == "space_words");
            json.field_bool("split", splits);
        }));
    }
    Ok(parts)
}

/// The begin marker before a text, and a second one before the second of a pair.
fn put_post_processor(json: &mut JsonWriter, record: &TokenizerRecord) {
    json.key("post_processor");
    let Some(bos_id) = record.bos_id.filter(|_| record.add_bos) else {
        json.null();
        return;
    };
    let name = plain_piece(record, bos_id);
    json.begin_object();
    json.field_str("type", "TemplateProcessing");
    for (key, sequences) in [("single", &["A"][..]), ("pair", &["A", "B"])] {
        json.key(key).begin_array();
        for (type_id, sequence) in sequences.iter().enumerate() {
            for (kind, id) in [("SpecialToken", name.as_str()), ("Sequence", sequence)] {
                json.begin_object().key(kind).begin_object();
                json.field_str("id", id);
                json.field_u64("type_id", type_id as u64);
                json.end_object().end_object();
            }
        }
        json.end_array();
    }
    json.key("special_tokens").begin_object();
    json.key(&name).begin_object();
    json.field_str("id", &name);
    json.field_u32s("ids", &[bos_id]);
    json.key("tokens").begin_array();
    json.string(&name).end_array();
    json.end_object().end_object().end_object();
}

/// The vocabulary with its merges or scores.
fn put_model(json: &mut JsonWriter, record: &TokenizerRecord) -> Result<(), String> {
    let is_unigram = record.kind == TokenizerKind::Unigram;
    if !is_unigram && !record.kind.has_merges() {
        return Err(format!("kind {}", record.kind.name()));
    }
    let names: Vec<String> = (0..record.pieces.len())
        .map(|id| written_piece(record, id))
        .collect();
    let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
    cultivar_core::sorting::sort(&mut sorted);
    if let Some([twice, _]) = sorted.array_windows().find(|[a, b]| a == b) {
        return Err(format!("two pieces are written {twice}"));
    }
    json.key("model").begin_object();
    json.field_str("type", if is_unigram { "Unigram" } else { "BPE" });
    if is_unigram {
        json.key("unk_id");
        match record.unk_id {
            Some(id) => json.u64(u64::from(id)),
            None => json.null(),
        };
    } else {
        json.key("dropout").null();
        json.key("unk_token");
        match record.unk_id {
            Some(id) => json.string(names.get(id as usize).map_or("", String::as_str)),
            None => json.null(),
        };
        json.key("continuing_subword_prefix").null();
        json.key("end_of_word_suffix").null();
        json.field_bool("fuse_unk", record.kind == TokenizerKind::CharBpe);
    }
    let has_bytes = record.types.contains(&(PieceType::Byte as u8));
    json.field_bool("byte_fallback", has_bytes);
    json.key("vocab");
    if is_unigram {
        json.begin_array();
        for (name, score) in names.iter().zip(&record.scores) {
            json.begin_array();
            json.string(name).f64(f64::from(*score)).end_array();
        }
        json.end_array().end_object();
        return Ok(());
    }
    json.begin_object();
    for (id, name) in names.iter().enumerate() {
        json.field_u64(name, id as u64);
    }
    json.end_object();
    json.field_bool("ignore_merges", record.ignore_merges);
    json.key("merges").begin_array();
    for (left, right) in &record.merges {
        json.begin_array();
        for id in [left, right] {
            json.string(names.get(*id as usize).map_or("", String::as_str));
        }
        json.end_array();
    }
    json.end_array().end_object();
    Ok(())
}

/// `tokenizer_config.json`: markers by name, and the chat template where its text is known.
pub(super) fn config(head: &Head) -> String {
    let record = &head.tokenizer;
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field_str(
        "tokenizer_class",
        match record.kind {
            TokenizerKind::SentencePieceBpe => "LlamaTokenizer",
            TokenizerKind::Unigram if can_say(record) => "T5Tokenizer",
            _ => "PreTrainedTokenizerFast",
        },
    );
    for (key, id) in [
        ("bos_token", record.bos_id),
        ("eos_token", record.eos_ids.last().copied()),
        ("unk_token", record.unk_id),
        ("pad_token", record.pad_id),
    ] {
        if let Some(id) = id {
            json.field_str(key, &plain_piece(record, id));
        }
    }
    json.field_bool("add_bos_token", record.add_bos);
    json.field_bool("add_eos_token", false);
    json.field_bool("clean_up_tokenization_spaces", false);
    json.field_u64("model_max_length", head.config.context_len as u64);
    if let Some(template) = chat_template(head) {
        json.field_str("chat_template", template);
    }
    json.end_object();
    json.finish()
}
