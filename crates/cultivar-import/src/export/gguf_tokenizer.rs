//! A package's tokenizer as the metadata `tokenizer.ggml.*`: what GGUF has no name for is refused.

use super::chat_template;
use super::gguf_file::unsupported;
use super::gguf_metadata::{Metadata, put_text};
use super::written_pieces::written_piece;
use crate::error::ImportError;
use crate::tokenizers::{SPACE_STEPS, family_name};
use alloc::format;
use cultivar_core::bytes::{put_f32, put_u32};
use cultivar_core::package::Head;
use cultivar_core::tokenizer::{TokenizerKind, TokenizerRecord};

/// Adds the tokenizer's entries.
pub(super) fn put_tokenizer(out: &mut Metadata, head: &Head) -> Result<(), ImportError> {
    let record = &head.tokenizer;
    let (model, pre) = match record.kind {
        TokenizerKind::SentencePieceBpe if record.normalizer.is_empty() => ("llama", "default"),
        TokenizerKind::ByteBpe => {
            let family = family_name(record).ok_or_else(|| unsupported("pre_tokenizer"))?;
            ("gpt2", family)
        }
        TokenizerKind::Unigram if unigram_spaces(record).is_some() => ("t5", "default"),
        TokenizerKind::SentencePieceBpe | TokenizerKind::Unigram => {
            return Err(unsupported("normalizer"));
        }
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
    if let (TokenizerKind::Unigram, Some(removes)) = (record.kind, unigram_spaces(record)) {
        out.bool("tokenizer.ggml.remove_extra_whitespaces", removes);
    }
    if let Some(template) = chat_template(head) {
        out.text("tokenizer.chat_template", template);
    }
    Ok(())
}

/// Whether a Unigram removes extra spaces; `None` where it does more to a text than GGUF can say.
fn unigram_spaces(record: &TokenizerRecord) -> Option<bool> {
    let is_plain =
        record.pre_tokenizer.is_empty() && record.remove_leading_space == record.add_space_prefix;
    match record.normalizer.as_slice() {
        _ if !is_plain => None,
        [] => Some(false),
        steps => (steps == SPACE_STEPS).then_some(true),
    }
}
