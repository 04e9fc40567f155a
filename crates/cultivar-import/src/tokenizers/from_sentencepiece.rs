//! tokenizer.model: a SentencePiece model as its library writes it, a protocol buffer.
//!
//! Models: BPE and Unigram. A normalization table goes into the record as it is. Source:
//! SentencePiece `sentencepiece_model.proto`.

use super::from_gguf::{byte_of, with_plain_spaces};
use super::json_fields::{bad, missing, unsupported};
use super::protobuf::{Field, Fields};
use super::special_ids::{SideFiles, chat_template, read_special_ids};
use super::{ForeignTokenizer, SPACE_STEPS, charsmap, text_maps};
use crate::error::{ImportError, ImportErrorKind};
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec;
use cultivar_core::package::limits;
use cultivar_core::tokenizer::{PieceType, TokenizerKind, TokenizerRecord, VOCAB_SIZE_MAX};

/// Fields of `ModelProto`.
mod model {
    pub const PIECES: u64 = 1;
    pub const TRAINER: u64 = 2;
    pub const NORMALIZER: u64 = 3;
}

/// Fields of `SentencePiece`.
mod piece {
    pub const TEXT: u64 = 1;
    pub const SCORE: u64 = 2;
    pub const KIND: u64 = 3;
}

/// Fields of `TrainerSpec`.
mod trainer {
    pub const MODEL_TYPE: u64 = 3;
    pub const SPACE_AS_SUFFIX: u64 = 24;
    pub const UNK_ID: u64 = 40;
    pub const BOS_ID: u64 = 41;
    pub const EOS_ID: u64 = 42;
    pub const PAD_ID: u64 = 43;
}

/// Fields of `NormalizerSpec`.
mod normalizer {
    pub const TABLE: u64 = 2;
    pub const DUMMY_PREFIX: u64 = 3;
    pub const REMOVE_EXTRA_SPACES: u64 = 4;
    pub const ESCAPE_SPACES: u64 = 5;
}

/// Whether a file's first bytes can be such a model: its first field is a piece.
pub fn is_sentencepiece(bytes: &[u8]) -> bool {
    bytes.first() == Some(&(model::PIECES as u8 * 8 + 2))
}

/// What the specs behind the pieces say; defaults are those of the format.
struct Specs<'a> {
    model_type: u64,
    unk_id: u64,
    bos_id: u64,
    eos_id: u64,
    pad_id: u64,
    table: &'a [u8],
    dummy_prefix: bool,
    remove_extra_spaces: bool,
}

/// Reads a whole file and what stands beside it.
///
/// # Errors
/// `FieldMissing`, `FieldValue`, `TooManyPieces`, `PieceBroken`, `TokenizerModel`,
/// `TokenizerStep`, `Truncated`.
pub fn from_sentencepiece(
    bytes: &[u8],
    beside: &SideFiles<'_>,
) -> Result<ForeignTokenizer, ImportError> {
    let mut record = TokenizerRecord::empty(TokenizerKind::SentencePieceBpe);
    let mut specs = Specs {
        model_type: 1,
        unk_id: 0,
        bos_id: 1,
        eos_id: 2,
        pad_id: u64::MAX,
        table: b"",
        dummy_prefix: true,
        remove_extra_spaces: true,
    };
    let mut fields = Fields::new(bytes);
    for (number, field) in fields.by_ref() {
        match (number, field) {
            (model::PIECES, Field::Bytes(message)) => read_piece(&mut record, message)?,
            (model::TRAINER, Field::Bytes(message)) => read_trainer(&mut specs, message)?,
            (model::NORMALIZER, Field::Bytes(message)) => read_normalizer(&mut specs, message)?,
            _ => {}
        }
    }
    if fields.is_broken {
        return Err(cut_off(fields.offset(), bytes.len()));
    }
    if record.pieces.is_empty() {
        return Err(missing("pieces"));
    }
    apply(&mut record, &specs)?;
    read_special_ids(&mut record, None, beside)?;
    Ok(ForeignTokenizer {
        record,
        chat_template: chat_template(beside)?,
    })
}

fn cut_off(offset: u64, n_bytes: usize) -> ImportError {
    let error = ImportError::new(ImportErrorKind::Truncated).field("tokenizer.model");
    error.numbers(offset.saturating_add(1), n_bytes as u64)
}

/// Calls `each` for every field of a message; a broken message is an error.
fn for_each<'a>(
    message: &'a [u8],
    mut each: impl FnMut(u64, Field<'a>) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let mut fields = Fields::new(message);
    for (number, field) in fields.by_ref() {
        each(number, field)?;
    }
    if fields.is_broken {
        return Err(cut_off(fields.offset(), message.len()));
    }
    Ok(())
}

fn read_piece(record: &mut TokenizerRecord, message: &[u8]) -> Result<(), ImportError> {
    let id = record.pieces.len();
    let broken = || {
        let error = ImportError::new(ImportErrorKind::PieceBroken).field("pieces");
        error.numbers(id as u64, 0)
    };
    if id >= VOCAB_SIZE_MAX {
        let error = ImportError::new(ImportErrorKind::TooManyPieces).field("pieces");
        return Err(error.numbers(VOCAB_SIZE_MAX as u64, 0));
    }
    let (mut text, mut score, mut kind) = (&b""[..], 0.0f32, PieceType::Normal);
    for_each(message, |number, field| {
        match (number, field) {
            (piece::TEXT, Field::Bytes(bytes)) => text = bytes,
            (piece::SCORE, Field::Word(word)) => score = f32::from_le_bytes(word),
            (piece::KIND, Field::Number(number)) => {
                // The format's numbers are those of records.
                let stored = u8::try_from(number).ok();
                kind = stored.and_then(PieceType::from_u8).ok_or_else(broken)?;
            }
            _ => {}
        }
        Ok(())
    })?;
    if text.is_empty() || text.len() > limits::PIECE_BYTES_MAX || !score.is_finite() {
        return Err(broken());
    }
    let bytes = match kind {
        PieceType::Byte => Cow::Owned(vec![byte_of(text).ok_or_else(broken)?]),
        _ => with_plain_spaces(text),
    };
    if !record.pieces.push(&bytes) {
        return Err(broken());
    }
    // A negative zero is the same score with other bytes.
    record.scores.push(score + 0.0);
    record.types.push(kind as u8);
    Ok(())
}

fn read_trainer(specs: &mut Specs<'_>, message: &[u8]) -> Result<(), ImportError> {
    for_each(message, |number, field| {
        let Field::Number(value) = field else {
            return Ok(());
        };
        match number {
            trainer::MODEL_TYPE => specs.model_type = value,
            trainer::SPACE_AS_SUFFIX if value != 0 => {
                return Err(unsupported("treat_whitespace_as_suffix"));
            }
            trainer::UNK_ID => specs.unk_id = value,
            trainer::BOS_ID => specs.bos_id = value,
            trainer::EOS_ID => specs.eos_id = value,
            trainer::PAD_ID => specs.pad_id = value,
            _ => {}
        }
        Ok(())
    })
}

fn read_normalizer<'a>(specs: &mut Specs<'a>, message: &'a [u8]) -> Result<(), ImportError> {
    for_each(message, |number, field| {
        match (number, field) {
            (normalizer::TABLE, Field::Bytes(table)) => specs.table = table,
            (normalizer::DUMMY_PREFIX, Field::Number(value)) => specs.dummy_prefix = value != 0,
            (normalizer::REMOVE_EXTRA_SPACES, Field::Number(value)) => {
                specs.remove_extra_spaces = value != 0;
            }
            (normalizer::ESCAPE_SPACES, Field::Number(0)) => {
                return Err(unsupported("escape_whitespaces: false"));
            }
            _ => {}
        }
        Ok(())
    })
}

/// Sets kind, steps and special ids from the specs.
fn apply(record: &mut TokenizerRecord, specs: &Specs<'_>) -> Result<(), ImportError> {
    record.kind = match specs.model_type {
        1 => TokenizerKind::Unigram,
        2 => TokenizerKind::SentencePieceBpe,
        other => {
            let name = if other == 3 {
                "SentencePiece words"
            } else {
                "SentencePiece characters"
            };
            return Err(ImportError::new(ImportErrorKind::TokenizerModel).field(name));
        }
    };
    record.sums_f32 = record.kind == TokenizerKind::Unigram;
    if !specs.table.is_empty() {
        const TABLE: &str = "precompiled_charsmap";
        text_maps::add(record, charsmap::pairs(specs.table, TABLE)?, TABLE)?;
    }
    if specs.remove_extra_spaces {
        record.normalizer.extend(SPACE_STEPS.map(String::from));
    }
    record.add_space_prefix = specs.dummy_prefix;
    record.remove_leading_space = specs.dummy_prefix;
    let n_pieces = record.pieces.len() as u64;
    // Absent ids are written as -1.
    let id_of = |id: u64| (id < n_pieces).then_some(id as u32);
    let is_absent = |id: u64| id_of(id).is_none() && id >> 31 == 0;
    for (id, name) in [
        (specs.unk_id, "unk_id"),
        (specs.bos_id, "bos_id"),
        (specs.eos_id, "eos_id"),
    ] {
        if is_absent(id) {
            return Err(bad(name));
        }
    }
    record.unk_id = id_of(specs.unk_id);
    record.bos_id = id_of(specs.bos_id);
    record.pad_id = id_of(specs.pad_id);
    record.eos_ids.extend(id_of(specs.eos_id));
    record.add_bos = record.bos_id.is_some();
    Ok(())
}
