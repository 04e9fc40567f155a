//! Written piece → id, for reading merges.
//!
//! A piece that stands twice is refused here, before anything is built on either.

use crate::error::{ImportError, ImportErrorKind};
use alloc::vec::Vec;
use cultivar_core::memory;
use cultivar_core::tokenizer::{Pieces, TokenizerErrorKind, VOCAB_SIZE_MAX, Vocabulary};

/// The index, over a copy of the pieces as the source writes them.
pub(super) struct PieceIds {
    pieces: Pieces,
    vocabulary: Vocabulary,
}

impl PieceIds {
    /// Indexes at most [`VOCAB_SIZE_MAX`] pieces; `field` is what errors call them.
    pub(super) fn new<'a>(
        pieces: impl Iterator<Item = &'a [u8]>,
        field: &str,
    ) -> Result<PieceIds, ImportError> {
        let list: Pieces = pieces.take(VOCAB_SIZE_MAX + 1).collect();
        if list.len() > VOCAB_SIZE_MAX {
            let error = ImportError::new(ImportErrorKind::TooManyPieces).field(field);
            return Err(error.numbers(VOCAB_SIZE_MAX as u64, 0));
        }
        let no_memory = || {
            let error = ImportError::new(ImportErrorKind::OutOfMemory).field(field);
            error.numbers(list.len() as u64 * 4, 0)
        };
        let mut ids: Vec<u32> = memory::reserved(list.len()).ok_or_else(no_memory)?;
        ids.extend(0..list.len() as u32);
        let vocabulary = Vocabulary::new(&list, &ids).map_err(|error| match error.kind {
            TokenizerErrorKind::PieceRepeated => {
                let twice = ImportError::new(ImportErrorKind::PieceTwice).field(field);
                twice.numbers(u64::from(error.id), 0)
            }
            _ => ImportError::from(error),
        })?;
        Ok(PieceIds {
            pieces: list,
            vocabulary,
        })
    }

    /// The id of a piece as it is written in the source.
    pub(super) fn find(&self, piece: &[u8]) -> Option<u32> {
        self.vocabulary.find(&self.pieces, piece)
    }

    /// The ids of a merge's two pieces. `place` is its place in the list of that name.
    pub(super) fn merge(
        &self,
        left: &[u8],
        right: &[u8],
        place: usize,
        field: &str,
    ) -> Result<(u32, u32), ImportError> {
        let lacks = || {
            let error = ImportError::new(ImportErrorKind::MergePieceUnknown).field(field);
            error.numbers(place as u64, 0)
        };
        let left = self.find(left).ok_or_else(lacks)?;
        let right = self.find(right).ok_or_else(lacks)?;
        Ok((left, right))
    }

    /// The same of a merge written as one text, a space between its pieces.
    pub(super) fn written_merge(
        &self,
        merge: &[u8],
        place: usize,
        field: &str,
    ) -> Result<(u32, u32), ImportError> {
        // No piece is empty and none of either alphabet holds a space, so there is one place.
        let space = merge.iter().position(|byte| *byte == b' ');
        let parts = space.and_then(|at| Some((merge.get(..at)?, merge.get(at + 1..)?)));
        match parts {
            Some((left, right)) if !left.is_empty() && !right.is_empty() => {
                self.merge(left, right, place, field)
            }
            _ => {
                let error = ImportError::new(ImportErrorKind::MergeBroken).field(field);
                Err(error.numbers(place as u64, 0))
            }
        }
    }
}
