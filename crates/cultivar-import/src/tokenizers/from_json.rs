//! tokenizer.json of the Hugging Face library, and the older pair vocab.json and merges.txt.
//!
//! Models: Unigram, and BPE with bytes or characters as symbols; which of the two is told by the
//! ByteLevel or the space mark among the rules. Merges that SentencePiece's scores were written
//! out as become scores again.

use super::json_fields::{bad, flag, missing, present, text, unsupported};
use super::json_rules::{Style, read_rules};
use super::json_vocabulary::WrittenVocabulary;
use super::piece_ids::PieceIds;
use super::special_ids::{SideFiles, chat_template, read_special_ids};
use super::{ForeignTokenizer, byte_alphabet, merge_scores};
use super::{from_gguf::byte_of, from_gguf::with_plain_spaces};
use crate::error::{ImportError, ImportErrorKind};
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use cultivar_core::json::JsonValue;
use cultivar_core::memory;
use cultivar_core::package::limits;
use cultivar_core::tokenizer::{PieceType, Pieces, TokenizerKind, TokenizerRecord};

/// Reads a parsed tokenizer.json and what stands beside it.
///
/// # Errors
/// `FieldMissing`, `FieldValue`, `TooManyPieces`, `PieceTwice`, `PieceBroken`, `MergeBroken`,
/// `MergePieceUnknown`, `TokenizerModel`, `TokenizerStep`, `OutOfMemory`.
pub fn from_json(
    file: &JsonValue,
    beside: &SideFiles<'_>,
) -> Result<ForeignTokenizer, ImportError> {
    let model = present(file, "model").ok_or_else(|| missing("model"))?;
    match text(model, "type")? {
        Some("BPE") => {}
        Some("Unigram") => return from_unigram(file, model, beside),
        None if model.get("merges").is_some() => {}
        None if model
            .get("vocab")
            .is_some_and(|vocab| vocab.as_array().is_some()) =>
        {
            return from_unigram(file, model, beside);
        }
        other => {
            let error = ImportError::new(ImportErrorKind::TokenizerModel);
            return Err(error.field(other.unwrap_or("without a type")));
        }
    }
    refuse_options(model)?;
    let mut record = TokenizerRecord::empty(TokenizerKind::ByteBpe);
    let style = read_rules(&mut record, file)?;
    let mut vocabulary = WrittenVocabulary::default();
    vocabulary.read_map(present(model, "vocab").ok_or_else(|| missing("vocab"))?)?;
    vocabulary.read_added(file)?;
    if let Some(name) = text(model, "unk_token")? {
        let id = vocabulary.find(name).ok_or_else(|| bad("unk_token"))?;
        vocabulary.retype(id, PieceType::Unknown);
        record.unk_id = Some(id);
    }
    record.ignore_merges = flag(model, "ignore_merges", false)?;
    let has_bytes = flag(model, "byte_fallback", false)?;
    fill(&mut record, &mut vocabulary, style, has_bytes)?;
    let merges = present(model, "merges").ok_or_else(|| missing("merges"))?;
    record.merges = merges_of(merges, &vocabulary)?;
    if record.kind == TokenizerKind::CharBpe
        && record.pre_tokenizer.is_empty()
        && !record.ignore_merges
        && let Some(scores) = merge_scores::scores(&record)
    {
        record.kind = TokenizerKind::SentencePieceBpe;
        record.scores = scores;
        record.merges = Vec::new();
    }
    read_special_ids(&mut record, Some(file), beside)?;
    Ok(ForeignTokenizer {
        record,
        chat_template: chat_template(beside)?,
    })
}

/// Reads a Unigram model: its vocabulary is a list of pieces with scores, in order of ids.
fn from_unigram(
    file: &JsonValue,
    model: &JsonValue,
    beside: &SideFiles<'_>,
) -> Result<ForeignTokenizer, ImportError> {
    let mut record = TokenizerRecord::empty(TokenizerKind::Unigram);
    let style = read_rules(&mut record, file)?;
    let list = present(model, "vocab").ok_or_else(|| missing("vocab"))?;
    let list = list.as_array().ok_or_else(|| bad("vocab"))?;
    let mut vocabulary = WrittenVocabulary::default();
    let mut scores = Vec::new();
    for (id, row) in (0u32..).zip(list) {
        let Some([JsonValue::String(piece), score]) = row.as_array() else {
            return Err(bad("vocab"));
        };
        vocabulary.put_normal(id, piece)?;
        // A negative zero is the same score with other bytes.
        let score = score.as_f64().ok_or_else(|| bad("vocab"))? as f32 + 0.0;
        scores.push(
            Some(score)
                .filter(|score| score.is_finite())
                .ok_or_else(|| bad("vocab"))?,
        );
    }
    vocabulary.read_added(file)?;
    if let Some(id) = present(model, "unk_id") {
        let id = id.as_u32().ok_or_else(|| bad("unk_id"))?;
        vocabulary.retype(id, PieceType::Unknown);
        record.unk_id = Some(id);
    }
    scores.resize(vocabulary.pieces.len(), 0.0);
    record.scores = scores;
    fill(
        &mut record,
        &mut vocabulary,
        style,
        flag(model, "byte_fallback", false)?,
    )?;
    read_special_ids(&mut record, Some(file), beside)?;
    Ok(ForeignTokenizer {
        record,
        chat_template: chat_template(beside)?,
    })
}

/// Reads GPT-2's pair of files: a parsed vocab.json and the text of merges.txt.
///
/// # Errors
/// As [`from_json`].
pub fn from_vocab_and_merges(
    vocab: &JsonValue,
    merges: &str,
    beside: &SideFiles<'_>,
) -> Result<ForeignTokenizer, ImportError> {
    let mut record = TokenizerRecord::empty(TokenizerKind::ByteBpe);
    record.pre_tokenizer = vec![String::from("gpt2_words")];
    let mut vocabulary = WrittenVocabulary::default();
    vocabulary.read_map(vocab)?;
    // The pair has no list of special tokens: GPT-2's one marker is the piece in angle brackets.
    for id in 0..vocabulary.pieces.len() as u32 {
        let written = vocabulary.pieces.get(id as usize).map(|piece| piece.text);
        if written.is_some_and(|text| text.starts_with("<|") && text.ends_with("|>")) {
            vocabulary.retype(id, PieceType::Control);
        }
    }
    let style = Style {
        is_byte_level: true,
        has_space_mark: false,
    };
    fill(&mut record, &mut vocabulary, style, false)?;
    let ids = piece_ids(&vocabulary)?;
    let lines = merges.lines().filter(|line| !line.is_empty());
    let lines = lines.skip(usize::from(merges.starts_with("#version")));
    for (place, line) in lines.enumerate() {
        if place >= limits::MERGES_MAX {
            return Err(too_many_merges(place));
        }
        let merge = ids.written_merge(line.as_bytes(), place, "merges.txt")?;
        record.merges.push(merge);
    }
    read_special_ids(&mut record, None, beside)?;
    Ok(ForeignTokenizer {
        record,
        chat_template: chat_template(beside)?,
    })
}

/// Options of a BPE model that change ids and that this version lacks.
fn refuse_options(model: &JsonValue) -> Result<(), ImportError> {
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
        if text(model, key)?.is_some_and(|affix| !affix.is_empty()) {
            return Err(unsupported(key));
        }
    }
    let dropout = present(model, "dropout");
    if dropout.is_some_and(|dropout| dropout.as_f64() != Some(0.0)) {
        return Err(unsupported("dropout"));
    }
    Ok(())
}

/// Sets kind, pieces and types from what is written.
fn fill(
    record: &mut TokenizerRecord,
    vocabulary: &mut WrittenVocabulary<'_>,
    style: Style,
    has_bytes: bool,
) -> Result<(), ImportError> {
    let is_unigram = record.kind == TokenizerKind::Unigram;
    record.kind = match (style.is_byte_level, style.has_space_mark) {
        (false, true) if is_unigram => TokenizerKind::Unigram,
        _ if is_unigram => return Err(unsupported("Unigram without a space mark")),
        (true, false) => TokenizerKind::ByteBpe,
        (false, true) => TokenizerKind::CharBpe,
        (true, true) => return Err(unsupported("ByteLevel together with a space mark")),
        (false, false) => return Err(unsupported("BPE without ByteLevel or a space mark")),
    };
    let mut pieces = Pieces::new();
    for (id, piece) in vocabulary.pieces.iter_mut().enumerate() {
        let broken = || {
            let error = ImportError::new(ImportErrorKind::PieceBroken).field("vocab");
            error.numbers(id as u64, 0)
        };
        if piece.text.len() > 2 * limits::PIECE_BYTES_MAX {
            return Err(broken());
        }
        let written = piece.text.as_bytes();
        let is_ordinary = piece.kind == PieceType::Normal;
        let bytes = if record.kind != TokenizerKind::ByteBpe {
            match byte_of(written).filter(|_| has_bytes && is_ordinary) {
                Some(byte) => {
                    piece.kind = PieceType::Byte;
                    Cow::Owned(vec![byte])
                }
                None => with_plain_spaces(written),
            }
        } else if is_ordinary {
            match byte_alphabet::bytes_of(piece.text) {
                Some(bytes) => Cow::Owned(bytes),
                None => {
                    piece.kind = PieceType::Unused;
                    Cow::Borrowed(written)
                }
            }
        } else {
            Cow::Borrowed(written)
        };
        if !pieces.push(&bytes) {
            return Err(broken());
        }
    }
    record.pieces = pieces;
    record.types = vocabulary.types()?;
    record.strip_left_ids = core::mem::take(&mut vocabulary.strip_left_ids);
    record.strip_right_ids = core::mem::take(&mut vocabulary.strip_right_ids);
    Ok(())
}

/// An index of the written pieces; holes are no pieces, so they get names that none has.
fn piece_ids(vocabulary: &WrittenVocabulary<'_>) -> Result<PieceIds, ImportError> {
    let mut hole_names: Vec<String> = Vec::new();
    for (id, piece) in vocabulary.pieces.iter().enumerate() {
        if piece.text.is_empty() {
            hole_names.push(alloc::format!(" {id}"));
        }
    }
    let mut holes = hole_names.iter();
    let written = vocabulary.pieces.iter().map(|piece| match piece.text {
        "" => holes.next().map_or(&b" "[..], |name| name.as_bytes()),
        text => text.as_bytes(),
    });
    PieceIds::new(written, "vocab")
}

fn too_many_merges(n_merges: usize) -> ImportError {
    let error = ImportError::new(ImportErrorKind::CountTooLarge).field("merges");
    error.numbers(n_merges as u64, limits::MERGES_MAX as u64)
}

/// Merges as pairs of ids; each is one text or a list of two.
fn merges_of(
    merges: &JsonValue,
    vocabulary: &WrittenVocabulary<'_>,
) -> Result<Vec<(u32, u32)>, ImportError> {
    let list = merges.as_array().ok_or_else(|| bad("merges"))?;
    if list.len() > limits::MERGES_MAX {
        return Err(too_many_merges(list.len()));
    }
    let ids = piece_ids(vocabulary)?;
    let mut pairs = memory::reserved(list.len()).ok_or_else(|| {
        let error = ImportError::new(ImportErrorKind::OutOfMemory).field("merges");
        error.numbers(list.len() as u64 * 8, 0)
    })?;
    for (place, merge) in list.iter().enumerate() {
        let parts: Option<Vec<&str>> = merge
            .as_array()
            .map(|parts| parts.iter().filter_map(JsonValue::as_str).collect());
        let pair = match (merge.as_str(), parts.as_deref()) {
            (Some(written), _) => ids.written_merge(written.as_bytes(), place, "merges")?,
            (None, Some([left, right])) => {
                ids.merge(left.as_bytes(), right.as_bytes(), place, "merges")?
            }
            _ => {
                let error = ImportError::new(ImportErrorKind::MergeBroken).field("merges");
                return Err(error.numbers(place as u64, 0));
            }
        };
        pairs.push(pair);
    }
    Ok(pairs)
}
