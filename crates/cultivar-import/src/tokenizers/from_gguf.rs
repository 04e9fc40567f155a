//! The tokenizer in a GGUF file's metadata: `tokenizer.ggml.*`.
//!
//! Models `gpt2` (byte-level BPE with merges), `llama` (SentencePiece BPE with scores) and `t5`
//! (Unigram). Types
//! of pieces, the begin marker and the markers that end a turn are as llama.cpp reads them.
//! Source: ggml `docs/gguf.md`, llama.cpp `llama-vocab.cpp`.

use super::piece_ids::PieceIds;
use super::{ForeignTokenizer, SPACE_STEPS, byte_alphabet, charsmap, families, text_maps};
use crate::error::{ImportError, ImportErrorKind};
use crate::gguf::{Gguf, GgufArray};
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::memory;
use cultivar_core::package::limits;
use cultivar_core::sorting::sort;
use cultivar_core::tokenizer::{PieceType, Pieces, TokenizerKind, TokenizerRecord, VOCAB_SIZE_MAX};

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const SCORES: &str = "tokenizer.ggml.scores";
const MERGES: &str = "tokenizer.ggml.merges";
const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";
const ADD_SPACE_PREFIX: &str = "tokenizer.ggml.add_space_prefix";
const TABLE: &str = "tokenizer.ggml.precompiled_charsmap";
const REMOVE_SPACES: &str = "tokenizer.ggml.remove_extra_whitespaces";
const CHAT_TEMPLATE: &str = "tokenizer.chat_template";

/// Keys of ids that end a text or a turn.
const END_KEYS: &[&str] = &[
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.eom_token_id",
];

/// Pieces that end a turn wherever they are no ordinary text.
pub(super) const END_PIECES: &[&str] = &[
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "<｜end▁of▁sentence｜>",
];

/// Reads the tokenizer of a file's metadata.
///
/// # Errors
/// `FieldMissing`, `FieldValue`, `ArrayLen`, `TooManyPieces`, `PieceBroken`, `PieceTwice`,
/// `MergeBroken`, `MergePieceUnknown`, `TokenizerModel`, `PreTokenizerUnknown`, `OutOfMemory`.
pub fn from_gguf(gguf: &Gguf<'_>) -> Result<ForeignTokenizer, ImportError> {
    let missing = |key| ImportError::new(ImportErrorKind::FieldMissing).field(key);
    let model = gguf.text(MODEL)?.ok_or_else(|| missing(MODEL))?;
    let kind = match model {
        "gpt2" => TokenizerKind::ByteBpe,
        "llama" => TokenizerKind::SentencePieceBpe,
        "t5" => TokenizerKind::Unigram,
        other => {
            let error = ImportError::new(ImportErrorKind::TokenizerModel);
            return Err(error.field(other));
        }
    };
    let tokens = gguf.array(TOKENS)?.ok_or_else(|| missing(TOKENS))?;
    let mut record = TokenizerRecord::empty(kind);
    record.types = types(gguf, &tokens)?;
    record.pieces = pieces(kind, &tokens, &mut record.types)?;
    if kind == TokenizerKind::ByteBpe {
        record.merges = merges(gguf, &tokens)?;
        families::apply(&mut record, gguf.text(PRE)?.unwrap_or_default())?;
    } else {
        record.scores = scores(gguf, tokens.len())?;
        record.add_bos = true;
        record.add_space_prefix = gguf.bool(ADD_SPACE_PREFIX)?.unwrap_or(true);
        record.remove_leading_space = record.add_space_prefix;
    }
    if kind == TokenizerKind::Unigram {
        // SentencePiece's model written out; its sums are single.
        record.sums_f32 = true;
        read_normalizer(gguf, &mut record)?;
    }
    read_special_ids(gguf, &mut record)?;
    Ok(ForeignTokenizer {
        record,
        chat_template: gguf.text(CHAT_TEMPLATE)?.map(String::from),
    })
}

/// A Unigram's table of replacements, and whether spaces are removed.
fn read_normalizer(gguf: &Gguf<'_>, record: &mut TokenizerRecord) -> Result<(), ImportError> {
    if let Some(array) = gguf.array(TABLE)? {
        let bytes = array.integers().ok_or_else(|| bad_value(TABLE))?;
        // Signed and unsigned bytes are both in use.
        let table: Vec<u8> = bytes.map(|byte| byte as u8).collect();
        text_maps::add(record, charsmap::pairs(&table, TABLE)?, TABLE)?;
    }
    if gguf.bool(REMOVE_SPACES)?.unwrap_or(false) {
        record.normalizer.extend(SPACE_STEPS.map(String::from));
    }
    Ok(())
}

fn bad_value(key: &str) -> ImportError {
    ImportError::new(ImportErrorKind::FieldValue).field(key)
}

fn no_memory(n_bytes: usize) -> ImportError {
    let error = ImportError::new(ImportErrorKind::OutOfMemory).field(TOKENS);
    error.numbers(n_bytes as u64, 0)
}

/// An array that has one element per piece.
fn per_piece<'a>(
    gguf: &Gguf<'a>,
    key: &str,
    n_pieces: usize,
) -> Result<Option<GgufArray<'a>>, ImportError> {
    let array = gguf.array(key)?;
    match array {
        Some(array) if array.len() != n_pieces => {
            let error = ImportError::new(ImportErrorKind::ArrayLen).field(key);
            Err(error.numbers(array.len() as u64, n_pieces as u64))
        }
        _ => Ok(array),
    }
}

/// Per piece its type; ggml's numbers are those of records. Without the key all are ordinary.
fn types(gguf: &Gguf<'_>, tokens: &GgufArray<'_>) -> Result<Vec<u8>, ImportError> {
    let n_pieces = tokens.len();
    if n_pieces > VOCAB_SIZE_MAX {
        let error = ImportError::new(ImportErrorKind::TooManyPieces).field(TOKENS);
        return Err(error.numbers(VOCAB_SIZE_MAX as u64, 0));
    }
    let ordinary = PieceType::Normal as u8;
    let mut types = memory::filled(ordinary, n_pieces).ok_or_else(|| no_memory(n_pieces))?;
    if let Some(array) = per_piece(gguf, TYPES, n_pieces)? {
        let stored = array.integers().ok_or_else(|| bad_value(TYPES))?;
        for (slot, value) in types.iter_mut().zip(stored) {
            let kind = u8::try_from(value).ok().and_then(PieceType::from_u8);
            *slot = kind.ok_or_else(|| bad_value(TYPES))? as u8;
        }
    }
    Ok(types)
}

/// Per piece its plain bytes. An ordinary piece of byte-level BPE that is not written in its
/// alphabet can never come from text: it becomes unused.
fn pieces(
    kind: TokenizerKind,
    tokens: &GgufArray<'_>,
    types: &mut [u8],
) -> Result<Pieces, ImportError> {
    let texts = tokens.texts().ok_or_else(|| bad_value(TOKENS))?;
    let mut pieces = Pieces::new();
    for (id, (token, stored_type)) in texts.zip(types).enumerate() {
        let broken = || {
            let error = ImportError::new(ImportErrorKind::PieceBroken).field(TOKENS);
            error.numbers(id as u64, 0)
        };
        if token.len() > 2 * limits::PIECE_BYTES_MAX {
            return Err(broken());
        }
        let is_ordinary = *stored_type == PieceType::Normal as u8;
        let is_byte = *stored_type == PieceType::Byte as u8;
        let bytes = match kind {
            TokenizerKind::ByteBpe if is_ordinary => {
                let written = core::str::from_utf8(token).ok();
                match written.and_then(byte_alphabet::bytes_of) {
                    Some(bytes) => Cow::Owned(bytes),
                    None => {
                        *stored_type = PieceType::Unused as u8;
                        Cow::Borrowed(token)
                    }
                }
            }
            TokenizerKind::ByteBpe => Cow::Borrowed(token),
            _ if is_byte => Cow::Owned(alloc::vec![byte_of(token).ok_or_else(broken)?]),
            _ => with_plain_spaces(token),
        };
        if !pieces.push(&bytes) {
            return Err(no_memory(pieces.total_bytes()));
        }
    }
    Ok(pieces)
}

/// The byte that `<0x0A>` stands for.
pub(super) fn byte_of(piece: &[u8]) -> Option<u8> {
    let digits = piece.strip_prefix(b"<0x")?.strip_suffix(b">")?;
    let &[high, low] = digits else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(high)? * 16 + digit(low)?) as u8)
}

/// The piece with spaces for U+2581.
pub(super) fn with_plain_spaces(piece: &[u8]) -> Cow<'_, [u8]> {
    const MARK: &[u8] = "\u{2581}".as_bytes();
    if !piece.windows(MARK.len()).any(|window| window == MARK) {
        return Cow::Borrowed(piece);
    }
    let mut out = Vec::new();
    let mut rest = piece;
    while let Some((&first, after)) = rest.split_first() {
        match rest.strip_prefix(MARK) {
            Some(after) => {
                out.push(b' ');
                rest = after;
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
    Cow::Owned(out)
}

fn merges(gguf: &Gguf<'_>, tokens: &GgufArray<'_>) -> Result<Vec<(u32, u32)>, ImportError> {
    let missing = || ImportError::new(ImportErrorKind::FieldMissing).field(MERGES);
    let array = gguf.array(MERGES)?.ok_or_else(missing)?;
    if array.len() > limits::MERGES_MAX {
        let error = ImportError::new(ImportErrorKind::CountTooLarge).field(MERGES);
        return Err(error.numbers(array.len() as u64, limits::MERGES_MAX as u64));
    }
    let texts = tokens.texts().ok_or_else(|| bad_value(TOKENS))?;
    let ids = PieceIds::new(texts, TOKENS)?;
    let mut merges = memory::reserved(array.len()).ok_or_else(|| no_memory(array.len() * 8))?;
    let written = array.texts().ok_or_else(|| bad_value(MERGES))?;
    for (place, merge) in written.enumerate() {
        merges.push(ids.written_merge(merge, place, MERGES)?);
    }
    Ok(merges)
}

fn scores(gguf: &Gguf<'_>, n_pieces: usize) -> Result<Vec<f32>, ImportError> {
    let missing = || ImportError::new(ImportErrorKind::FieldMissing).field(SCORES);
    let array = per_piece(gguf, SCORES, n_pieces)?.ok_or_else(missing)?;
    let floats = array.floats().ok_or_else(|| bad_value(SCORES))?;
    let mut scores = memory::reserved(n_pieces).ok_or_else(|| no_memory(n_pieces * 4))?;
    // A negative zero is the same score with other bytes.
    scores.extend(floats.map(|score| score + 0.0));
    if scores.iter().all(|score: &f32| score.is_finite()) {
        Ok(scores)
    } else {
        Err(bad_value(SCORES))
    }
}

fn read_special_ids(gguf: &Gguf<'_>, record: &mut TokenizerRecord) -> Result<(), ImportError> {
    let id_of = |key: &str| -> Result<Option<u32>, ImportError> {
        let Some(id) = gguf.u64(key)? else {
            return Ok(None);
        };
        let id = u32::try_from(id).map_err(|_| bad_value(key))?;
        if (id as usize) < record.pieces.len() {
            Ok(Some(id))
        } else {
            Err(bad_value(key))
        }
    };
    let bos_id = id_of("tokenizer.ggml.bos_token_id")?;
    let unk_id = id_of("tokenizer.ggml.unknown_token_id")?;
    let pad_id = id_of("tokenizer.ggml.padding_token_id")?;
    let mut eos_ids = Vec::new();
    for key in END_KEYS {
        eos_ids.extend(id_of(key)?);
    }
    // What llama.cpp assumes of a SentencePiece vocabulary that does not say.
    let is_sentencepiece = record.kind == TokenizerKind::SentencePieceBpe;
    let assumed = |id: u32| (is_sentencepiece && record.pieces.len() > 2).then_some(id);
    if eos_ids.is_empty() {
        eos_ids.extend(assumed(2));
    }
    let (bos_id, unk_id) = (bos_id.or(assumed(1)), unk_id.or(assumed(0)));
    add_end_pieces(record, &mut eos_ids);
    record.bos_id = bos_id;
    record.unk_id = unk_id;
    record.pad_id = pad_id;
    record.eos_ids = eos_ids;
    record.add_bos = gguf.bool(ADD_BOS)?.unwrap_or(record.add_bos) && bos_id.is_some();
    Ok(())
}

/// Adds the markers that end a turn by their names; the list becomes strictly ascending.
pub(super) fn add_end_pieces(record: &TokenizerRecord, eos_ids: &mut Vec<u32>) {
    for (id, (piece, &kind)) in (0u32..).zip(record.pieces.iter().zip(&record.types)) {
        let is_marker = kind == PieceType::Control as u8 || kind == PieceType::User as u8;
        if is_marker && END_PIECES.iter().any(|name| name.as_bytes() == piece) {
            eos_ids.push(id);
        }
    }
    sort(eos_ids);
    eos_ids.dedup();
}
