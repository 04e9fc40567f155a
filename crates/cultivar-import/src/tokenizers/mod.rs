//! Foreign tokenizers into records: GGUF metadata, tokenizer.json, tokenizer.model, vocab.json
//! with merges.txt.
//!
//! Every route gives the same record for the same vocabulary: pieces are plain bytes and spaces,
//! merges are pairs of ids, rules have the names of `docs/package-format.md`. What a file asks for
//! and this version lacks is refused by its name, never left out.

mod byte_alphabet;
mod charsmap;
mod chat_families;
mod compatibility;
mod compatibility_table;
mod families;
mod from_gguf;
mod from_json;
mod from_sentencepiece;
mod json_fields;
mod json_rules;
mod json_vocabulary;
mod merge_scores;
mod piece_ids;
mod protobuf;
mod sentences;
mod special_ids;
mod text_maps;

pub(crate) use byte_alphabet::written as written_bytes;
pub use chat_families::{chat_section, recognise_chat};
pub(crate) use families::name_of as family_name;
pub use from_gguf::from_gguf;
pub use from_json::{from_json, from_vocab_and_merges};
pub use from_sentencepiece::{from_sentencepiece, is_sentencepiece};
pub(crate) use json_rules::expression_of;
pub(crate) use sentences::SENTENCES;
pub use special_ids::SideFiles;

use crate::error::{ImportError, ImportErrorKind};
use alloc::string::String;

/// The steps that SentencePiece's `remove_extra_whitespaces` is.
pub(crate) const SPACE_STEPS: [&str; 2] = ["collapse_spaces", "strip_spaces"];
use cultivar_core::tokenizer::{PieceType, TokenizerRecord};

/// A tokenizer as its source describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignTokenizer {
    /// The record; `Tokenizer::new` has yet to check it.
    pub record: TokenizerRecord,
    /// The chat template's text, if the source has one.
    pub chat_template: Option<String>,
}

/// Adds unused pieces up to the number of rows of the token embedding.
///
/// # Errors
/// `SizesDisagree` if there are more tokens than rows; `OutOfMemory`.
pub fn pad_to_rows(record: &mut TokenizerRecord, n_rows: usize) -> Result<(), ImportError> {
    let n_tokens = record.vocab_size();
    let Some(n_missing) = n_rows.checked_sub(n_tokens) else {
        let error = ImportError::new(ImportErrorKind::SizesDisagree).field("vocabulary");
        return Err(error.numbers(n_tokens as u64, n_rows as u64));
    };
    for _ in 0..n_missing {
        let has_room = record.pieces.push(b"");
        debug_assert!(has_room, "an empty piece takes no room");
        record.types.push(PieceType::Unused as u8);
        if record.kind.has_scores() {
            record.scores.push(0.0);
        }
    }
    Ok(())
}
