//! Written piece → id, for reading merges: the ids in order of their pieces, searched by halves.
//!
//! It borrows the source's own bytes. A piece that stands twice is refused here, before anything
//! is built on either.

use crate::error::{ImportError, ImportErrorKind};
use alloc::vec::Vec;
use cultivar_core::memory;
use cultivar_core::sorting::sort_by;
use cultivar_core::tokenizer::VOCAB_SIZE_MAX;

/// The index.
pub(super) struct PieceIds<'a> {
    pieces: Vec<&'a [u8]>,
    /// Ids in ascending order of their pieces.
    order: Vec<u32>,
}

impl<'a> PieceIds<'a> {
    /// Indexes at most [`VOCAB_SIZE_MAX`] pieces; `field` is what errors call them.
    pub(super) fn new(
        pieces: impl Iterator<Item = &'a [u8]>,
        n_pieces: usize,
        field: &str,
    ) -> Result<PieceIds<'a>, ImportError> {
        if n_pieces > VOCAB_SIZE_MAX {
            let error = ImportError::new(ImportErrorKind::TooManyPieces).field(field);
            return Err(error.numbers(VOCAB_SIZE_MAX as u64, 0));
        }
        let no_memory = || {
            let error = ImportError::new(ImportErrorKind::OutOfMemory).field(field);
            error.numbers((n_pieces * size_of::<&[u8]>()) as u64, 0)
        };
        let mut list = memory::reserved(n_pieces).ok_or_else(no_memory)?;
        list.extend(pieces.take(n_pieces));
        let mut order = memory::reserved(n_pieces).ok_or_else(no_memory)?;
        order.extend(0..list.len() as u32);
        let bytes_of = |id: &u32| list.get(*id as usize).copied().unwrap_or_default();
        sort_by(&mut order, |a, b| bytes_of(a).cmp(bytes_of(b)));
        let twice = order
            .array_windows()
            .find(|[a, b]| bytes_of(a) == bytes_of(b));
        if let Some([_, second]) = twice {
            let error = ImportError::new(ImportErrorKind::PieceTwice).field(field);
            return Err(error.numbers(u64::from(*second), 0));
        }
        Ok(PieceIds {
            pieces: list,
            order,
        })
    }

    /// The id of a piece as it is written in the source.
    pub(super) fn find(&self, piece: &[u8]) -> Option<u32> {
        let bytes_of = |id: &u32| self.pieces.get(*id as usize).copied().unwrap_or_default();
        let found = self.order.binary_search_by(|id| bytes_of(id).cmp(piece));
        self.order.get(found.ok()?).copied()
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
