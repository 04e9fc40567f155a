//! The vocabulary of a tokenizer.json, or of a vocab.json: every id's written piece and type.
//!
//! Ids come from two lists, the model's and the added tokens'; where both name an id they must
//! agree. Holes become unused pieces.

use super::json_fields::{bad, flag, missing, present, text, unsupported};
use crate::error::{ImportError, ImportErrorKind};
use alloc::vec::Vec;
use cultivar_core::json::JsonValue;
use cultivar_core::memory;
use cultivar_core::sorting::sort;
use cultivar_core::tokenizer::{PieceType, VOCAB_SIZE_MAX};

/// An id as the file has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct WrittenPiece<'a> {
    /// As it is written; empty for a hole.
    pub text: &'a str,
    /// What it is.
    pub kind: PieceType,
    /// Whether it is an added token, which stands for itself in any alphabet.
    pub is_added: bool,
}

/// All ids of a file, and which added tokens take white space along.
#[derive(Debug, Default)]
pub(super) struct WrittenVocabulary<'a> {
    pub pieces: Vec<WrittenPiece<'a>>,
    pub strip_left_ids: Vec<u32>,
    pub strip_right_ids: Vec<u32>,
}

impl<'a> WrittenVocabulary<'a> {
    /// Puts a piece at an id.
    pub(super) fn put(&mut self, id: u32, piece: WrittenPiece<'a>) -> Result<(), ImportError> {
        let idx = id as usize;
        if idx >= VOCAB_SIZE_MAX {
            let error = ImportError::new(ImportErrorKind::TooManyPieces).field("vocab");
            return Err(error.numbers(VOCAB_SIZE_MAX as u64, 0));
        }
        let hole = WrittenPiece {
            text: "",
            kind: PieceType::Unused,
            is_added: false,
        };
        if self.pieces.len() <= idx {
            let n_more = idx + 1 - self.pieces.len();
            self.pieces.try_reserve(n_more).map_err(|_| {
                let error = ImportError::new(ImportErrorKind::OutOfMemory).field("vocab");
                error.numbers(n_more as u64, 0)
            })?;
            self.pieces.resize(idx + 1, hole);
        }
        let Some(slot) = self.pieces.get_mut(idx) else {
            return Ok(());
        };
        let is_free = slot.kind == PieceType::Unused;
        if !is_free && (slot.text != piece.text || !piece.is_added) {
            let error = ImportError::new(ImportErrorKind::PieceTwice).field(piece.text);
            return Err(error.numbers(u64::from(id), 0));
        }
        *slot = piece;
        Ok(())
    }

    /// Reads a map of pieces to ids, all ordinary.
    pub(super) fn read_map(&mut self, map: &'a JsonValue) -> Result<(), ImportError> {
        let members = map.as_object().ok_or_else(|| bad("vocab"))?;
        for (written, id) in members {
            self.put_normal(id.as_u32().ok_or_else(|| bad("vocab"))?, written)?;
        }
        Ok(())
    }

    /// Puts an ordinary piece at an id.
    pub(super) fn put_normal(&mut self, id: u32, text: &'a str) -> Result<(), ImportError> {
        let kind = PieceType::Normal;
        self.put(
            id,
            WrittenPiece {
                text,
                kind,
                is_added: false,
            },
        )
    }

    /// Reads the list of added tokens.
    pub(super) fn read_added(&mut self, file: &'a JsonValue) -> Result<(), ImportError> {
        let Some(list) = present(file, "added_tokens") else {
            return Ok(());
        };
        for token in list.as_array().ok_or_else(|| bad("added_tokens"))? {
            let id = present(token, "id").ok_or_else(|| missing("added_tokens.id"))?;
            let id = id.as_u32().ok_or_else(|| bad("added_tokens.id"))?;
            let content = text(token, "content")?;
            let content = content.filter(|content| !content.is_empty());
            let content = content.ok_or_else(|| missing("added_tokens.content"))?;
            if flag(token, "single_word", false)? {
                return Err(unsupported("added_tokens.single_word"));
            }
            let is_special = flag(token, "special", false)?;
            let kind = if is_special {
                PieceType::Control
            } else {
                PieceType::User
            };
            self.put(
                id,
                WrittenPiece {
                    text: content,
                    kind,
                    is_added: true,
                },
            )?;
            if flag(token, "lstrip", false)? {
                self.strip_left_ids.push(id);
            }
            if flag(token, "rstrip", false)? {
                self.strip_right_ids.push(id);
            }
        }
        for ids in [&mut self.strip_left_ids, &mut self.strip_right_ids] {
            sort(ids);
            ids.dedup();
        }
        Ok(())
    }

    /// The id of a piece as it is written.
    pub(super) fn find(&self, written: &str) -> Option<u32> {
        let is_it =
            |piece: &WrittenPiece<'_>| piece.text == written && piece.kind != PieceType::Unused;
        self.pieces.iter().position(is_it).map(|id| id as u32)
    }

    /// Gives a piece another type.
    pub(super) fn retype(&mut self, id: u32, kind: PieceType) {
        if let Some(piece) = self.pieces.get_mut(id as usize) {
            piece.kind = kind;
        }
    }

    /// Per piece its type, as records have them.
    pub(super) fn types(&self) -> Result<Vec<u8>, ImportError> {
        let n_pieces = self.pieces.len();
        let mut types = memory::reserved(n_pieces).ok_or_else(|| {
            let error = ImportError::new(ImportErrorKind::OutOfMemory).field("vocab");
            error.numbers(n_pieces as u64, 0)
        })?;
        types.extend(self.pieces.iter().map(|piece| piece.kind as u8));
        Ok(types)
    }
}
