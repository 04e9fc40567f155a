//! Begin, end, padding and unknown ids, and the chat template, from the JSON files beside a
//! vocabulary: the post-processor of tokenizer.json, tokenizer_config.json, generation_config.json.

use super::from_gguf::add_end_pieces;
use super::json_fields::{bad, flag, kind, present, steps, text, unsupported};
use crate::error::ImportError;
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::json::JsonValue;
use cultivar_core::tokenizer::{PieceType, TokenizerRecord};

/// The files beside a vocabulary, parsed; each may be absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct SideFiles<'a> {
    /// tokenizer_config.json
    pub tokenizer_config: Option<&'a JsonValue>,
    /// generation_config.json
    pub generation_config: Option<&'a JsonValue>,
    /// The model's config.json
    pub model_config: Option<&'a JsonValue>,
}

/// The id of a special token by its text: a marker's if there is one, else any piece's.
fn id_of(record: &TokenizerRecord, name: &str) -> Option<u32> {
    let ids = || 0..record.vocab_size() as u32;
    let is_it = |id: &u32, wants_marker: bool| {
        record.piece(*id).is_some_and(|(piece, stored)| {
            let is_text = stored == PieceType::Normal as u8 || stored == PieceType::Byte as u8;
            piece == name.as_bytes() && is_text != wants_marker
        })
    };
    let marker = ids().find(|id| is_it(id, true));
    marker.or_else(|| ids().find(|id| is_it(id, false)))
}

/// The name of a token: a text, or an object with the text in it.
fn token_name<'a>(config: &'a JsonValue, key: &str) -> Result<Option<&'a str>, ImportError> {
    match present(config, key) {
        Some(JsonValue::String(name)) => Ok(Some(name)),
        Some(object) => text(object, "content"),
        None => Ok(None),
    }
}

/// The ids of a key that has one or a list of them.
fn ids_at(config: &JsonValue, key: &str) -> Result<Vec<u32>, ImportError> {
    let Some(value) = present(config, key) else {
        return Ok(Vec::new());
    };
    let list = value.as_array().unwrap_or(core::slice::from_ref(value));
    list.iter()
        .map(|id| id.as_u32().ok_or_else(|| bad(key)))
        .collect()
}

/// The token that the post-processor puts first, if it is a template that begins with one.
fn first_of_template(file: &JsonValue) -> Result<Option<&str>, ImportError> {
    for step in steps(present(file, "post_processor"), "processors")? {
        match kind(step)? {
            "TemplateProcessing" => {}
            "ByteLevel" => continue,
            other => return Err(unsupported(other)),
        }
        let single = step.get("single").and_then(JsonValue::as_array);
        let first = single.and_then(|parts| parts.first());
        if let Some(special) = first.and_then(|part| part.get("SpecialToken")) {
            return text(special, "id");
        }
    }
    Ok(None)
}

/// Sets the record's special ids. `file` is tokenizer.json, if that is what there is.
pub(super) fn read_special_ids(
    record: &mut TokenizerRecord,
    file: Option<&JsonValue>,
    beside: &SideFiles<'_>,
) -> Result<(), ImportError> {
    let n_ids = record.vocab_size();
    let mut eos_ids = core::mem::take(&mut record.eos_ids);
    if let Some(config) = beside.tokenizer_config {
        let named = |record: &TokenizerRecord, key: &str| -> Result<Option<u32>, ImportError> {
            Ok(token_name(config, key)?.and_then(|name| id_of(record, name)))
        };
        record.bos_id = named(record, "bos_token")?.or(record.bos_id);
        record.pad_id = named(record, "pad_token")?.or(record.pad_id);
        record.unk_id = record.unk_id.or(named(record, "unk_token")?);
        eos_ids.extend(named(record, "eos_token")?);
        if flag(config, "add_bos_token", false)? && record.bos_id.is_some() {
            record.add_bos = true;
        }
    }
    for config in [beside.generation_config, beside.model_config] {
        let Some(config) = config else { continue };
        eos_ids.extend(ids_at(config, "eos_token_id")?);
        let bos_id = ids_at(config, "bos_token_id")?.first().copied();
        record.bos_id = record.bos_id.or(bos_id);
    }
    if let Some(first) = file.map(first_of_template).transpose()?.flatten() {
        let id = id_of(record, first).ok_or_else(|| bad("post_processor"))?;
        record.bos_id = Some(id);
        record.add_bos = true;
    }
    // Configurations are copied between models: an id that is no token of this one ends nothing.
    eos_ids.retain(|id| (*id as usize) < n_ids);
    record.bos_id = record.bos_id.filter(|id| (*id as usize) < n_ids);
    record.add_bos &= record.bos_id.is_some();
    add_end_pieces(record, &mut eos_ids);
    record.eos_ids = eos_ids;
    Ok(())
}

/// The chat template of tokenizer_config.json: a text, or the one called `default` of a list.
pub(super) fn chat_template(beside: &SideFiles<'_>) -> Result<Option<String>, ImportError> {
    const KEY: &str = "chat_template";
    let Some(value) = beside
        .tokenizer_config
        .and_then(|config| present(config, KEY))
    else {
        return Ok(None);
    };
    if let Some(text) = value.as_str() {
        return Ok(Some(String::from(text)));
    }
    let list = value.as_array().ok_or_else(|| bad(KEY))?;
    let is_default =
        |named: &&JsonValue| named.get("name").and_then(JsonValue::as_str) == Some("default");
    let named = list.iter().find(is_default).or(list.first());
    match named {
        Some(named) => Ok(text(named, "template")?.map(String::from)),
        None => Ok(None),
    }
}
