//! Pieces as other programs write them: byte-level BPE's letters, U+2581 for spaces, `<0x0A>`
//! for bytes; every id has a name of its own.

use crate::tokenizers::written_bytes;
use alloc::format;
use alloc::string::String;
use cultivar_core::tokenizer::{PieceType, TokenizerKind, TokenizerRecord};

/// A piece's name in vocabularies of the record's kind.
pub(super) fn written_piece(record: &TokenizerRecord, id: usize) -> String {
    let piece = record.pieces.get(id).unwrap_or_default();
    let kind = record.types.get(id).copied().and_then(PieceType::from_u8);
    match (kind, piece) {
        (Some(PieceType::Byte), [byte]) => format!("<0x{byte:02X}>"),
        // Padding of the embedding.
        (_, []) => format!("<unused{id}>"),
        (Some(PieceType::Normal), _) if record.kind == TokenizerKind::ByteBpe => {
            written_bytes(piece)
        }
        _ if record.kind.has_space_mark() => {
            String::from_utf8_lossy(piece).replace(' ', "\u{2581}")
        }
        _ => String::from_utf8_lossy(piece).into_owned(),
    }
}

/// A piece as text shows it: added tokens are written so, whatever the vocabulary's letters are.
pub(super) fn plain_piece(record: &TokenizerRecord, id: u32) -> String {
    let piece = record.pieces.get(id as usize).unwrap_or_default();
    String::from_utf8_lossy(piece).into_owned()
}
