//! The tokenizer file: `i32 longest piece`, then per piece `f32 score, i32 len, bytes` to the end.
//!
//! It lists SentencePiece's vocabulary in order of ids, with spaces for U+2581, line breaks around
//! the begin and end markers, and bytes written as `<0x0A>`. Ids 0, 1, 2 are unknown, begin, end.
//! Source: llama2.c `tokenizer.py`, `export`, and `run.c`, `build_tokenizer`.

use crate::error::{ImportError, ImportErrorKind};
use alloc::vec;
use cultivar_core::bytes::Reader;
use cultivar_core::tokenizer::{
    PIECE_BYTES_MAX, PieceType, Pieces, TokenizerKind, TokenizerRecord, VOCAB_SIZE_MAX,
};

/// Longest tokenizer file: it is read whole; the largest vocabularies in use take 8 MB.
pub(crate) const FILE_BYTES_MAX: u64 = 64 << 20;

/// Fewest bytes of a piece: its score and its length.
const PIECE_HEADER_BYTES: usize = 8;

/// Whether the first bytes can be a tokenizer file: every piece that begins in them is possible.
/// A small integer read as a score is subnormal, which no score is.
pub(crate) fn is_plausible(probe: &[u8]) -> bool {
    let mut reader = Reader::new(probe);
    let Ok(longest) = reader.i32() else {
        return false;
    };
    let mut n_pieces = 0;
    while let (Ok(score), Ok(len)) = (reader.f32(), reader.i32()) {
        let is_possible = (score == 0.0 || score.is_normal()) && (0..=longest).contains(&len);
        if !is_possible {
            return false;
        }
        n_pieces += 1;
        if reader.take(len as usize).is_err() {
            break;
        }
    }
    n_pieces > 0 && (1..=PIECE_BYTES_MAX as i32).contains(&longest)
}

/// Reads a whole file into a record. Text starts with a space and begins with the begin marker;
/// generation ends at either marker, since these models are trained on texts that each begin with
/// the begin marker and have nothing else between them.
pub(crate) fn parse(bytes: &[u8]) -> Result<TokenizerRecord, ImportError> {
    let mut reader = Reader::new(bytes);
    let broken = |id: usize| {
        ImportError::new(ImportErrorKind::PieceBroken)
            .field("piece")
            .numbers(id as u64, 0)
    };
    let longest = reader.i32().map_err(|_| broken(0))?;
    if longest < 1 || longest as usize > PIECE_BYTES_MAX {
        let error = ImportError::new(ImportErrorKind::HeaderField).field("longest_piece");
        return Err(error.numbers(i64::from(longest) as u64, 0));
    }
    let mut record = TokenizerRecord::empty(TokenizerKind::SentencePieceBpe);
    let n_pieces_max = (bytes.len() / PIECE_HEADER_BYTES).min(VOCAB_SIZE_MAX);
    record.pieces = Pieces::with_capacity(n_pieces_max, bytes.len());
    record.scores.reserve_exact(n_pieces_max);
    record.types.reserve_exact(n_pieces_max);
    while !reader.is_empty() {
        let id = record.pieces.len();
        if id >= VOCAB_SIZE_MAX {
            let error = ImportError::new(ImportErrorKind::TooManyPieces);
            return Err(error.numbers(VOCAB_SIZE_MAX as u64, 0));
        }
        let score = reader.f32().map_err(|_| broken(id))?;
        let len = reader.i32().map_err(|_| broken(id))?;
        if len < 0 || len > longest {
            return Err(broken(id));
        }
        let stored = reader.take(len as usize).map_err(|_| broken(id))?;
        let byte;
        let (piece, kind) = match (id, stored) {
            (0, _) => (stored, PieceType::Unknown),
            (1 | 2, _) => (without_line_breaks(stored), PieceType::Control),
            _ => match byte_of(stored) {
                Some(value) => {
                    byte = [value];
                    (&byte[..], PieceType::Byte)
                }
                None => (stored, PieceType::Normal),
            },
        };
        if !record.pieces.push(piece) {
            return Err(broken(id));
        }
        // A negative zero is the same score with other bytes.
        record.scores.push(score + 0.0);
        record.types.push(kind as u8);
    }
    record.unk_id = Some(0);
    record.bos_id = Some(1);
    record.eos_ids = vec![1, 2];
    record.add_bos = true;
    record.add_space_prefix = true;
    record.remove_leading_space = true;
    Ok(record)
}

/// The marker without the line breaks that the export puts around it.
fn without_line_breaks(piece: &[u8]) -> &[u8] {
    let inner = piece
        .strip_prefix(b"\n")
        .and_then(|rest| rest.strip_suffix(b"\n"));
    inner.unwrap_or(piece)
}

/// The byte that `<0x0A>` stands for.
fn byte_of(piece: &[u8]) -> Option<u8> {
    let digits = piece.strip_prefix(b"<0x")?.strip_suffix(b">")?;
    let &[high, low] = digits else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(high)? * 16 + digit(low)?) as u8)
}
