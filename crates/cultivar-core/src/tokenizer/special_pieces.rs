//! Finds the special pieces of a vocabulary inside text: the leftmost, and there the longest.
//!
//! Author-added pieces (`User`) are found in any text, markers (`Control`, `Unknown`) only when
//! the caller asks, so that a user's text cannot forge a turn boundary. Nothing is allocated.

use super::error::{TokenizerError, TokenizerErrorKind};
use super::record::{PieceType, TokenizerRecord};
use alloc::vec::Vec;
use core::ops::Range;

/// Ids of special pieces in ascending order of their bytes, once with and once without markers.
#[derive(Clone, Debug)]
pub(super) struct SpecialPieces {
    all: SortedPieces,
    user: SortedPieces,
}

/// A special piece found in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Where it starts, in bytes.
    pub start: usize,
    /// Where it ends, in bytes.
    pub end: usize,
    /// Which piece.
    pub id: u32,
}

impl SpecialPieces {
    /// Collects the special pieces; two with the same bytes are refused, naming the later one.
    pub(super) fn new(record: &TokenizerRecord) -> Result<SpecialPieces, TokenizerError> {
        let of_type = |wanted: &[PieceType]| {
            let first = record.n_implied() as u32;
            let ids = (first..record.vocab_size() as u32).filter(|&id| {
                record
                    .piece(id)
                    .is_some_and(|(_, kind)| wanted.iter().any(|w| *w as u8 == kind))
            });
            SortedPieces::new(record, ids)
        };
        let special = [PieceType::Control, PieceType::Unknown, PieceType::User];
        Ok(SpecialPieces {
            all: of_type(&special)?,
            user: of_type(&[PieceType::User])?,
        })
    }

    /// The first special piece of `text` at or after byte `from`.
    pub(super) fn find(
        &self,
        record: &TokenizerRecord,
        text: &[u8],
        from: usize,
        with_markers: bool,
    ) -> Option<Found> {
        let sorted = if with_markers { &self.all } else { &self.user };
        if sorted.ids.is_empty() {
            return None;
        }
        let rest = text.get(from..)?;
        for (offset, &byte) in rest.iter().enumerate() {
            if !sorted.starts(byte) {
                continue;
            }
            let start = from + offset;
            if let Some((id, len)) = sorted.longest_prefix(record, text.get(start..)?) {
                return Some(Found {
                    start,
                    end: start + len,
                    id,
                });
            }
        }
        None
    }
}

/// Finds special pieces front to back, markers in some ranges of the text alone. Each kind is
/// searched for once per place, however often the other is found.
pub(super) struct Search<'a> {
    special: &'a SpecialPieces,
    record: &'a TokenizerRecord,
    text: &'a str,
    /// Ranges that are not passed yet.
    marked: &'a [Range<usize>],
    /// The next piece found anywhere, once it was looked for.
    user: Option<Option<Found>>,
}

impl<'a> Search<'a> {
    /// At the beginning of a text; `marked` ascends, ranges apart.
    pub(super) fn new(
        special: &'a SpecialPieces,
        record: &'a TokenizerRecord,
        text: &'a str,
        marked: &'a [Range<usize>],
    ) -> Search<'a> {
        Search {
            special,
            record,
            text,
            marked,
            user: None,
        }
    }

    /// The first piece at or after byte `at`, the longest there; `at` never goes back.
    pub(super) fn next_from(&mut self, at: usize) -> Option<Found> {
        let bytes = self.text.as_bytes();
        let is_passed = |found: &Option<Found>| found.is_some_and(|found| found.start < at);
        if self.user.as_ref().is_none_or(is_passed) {
            self.user = Some(self.special.find(self.record, bytes, at, false));
        }
        let user = self.user.flatten();
        while let Some((range, later)) = self.marked.split_first() {
            let from = range.start.max(at);
            // Beyond the next piece that is found anyway, nothing counts.
            if user.is_some_and(|user| user.start < from) {
                break;
            }
            let within = bytes.get(..range.end).unwrap_or(bytes);
            let found = if from < range.end {
                self.special.find(self.record, within, from, true)
            } else {
                None
            };
            let Some(found) = found else {
                self.marked = later;
                continue;
            };
            let goes_first = |user: Found| {
                found.start < user.start || found.start == user.start && found.end >= user.end
            };
            return if user.is_none_or(goes_first) {
                Some(found)
            } else {
                user
            };
        }
        user
    }
}

#[derive(Clone, Debug)]
struct SortedPieces {
    ids: Vec<u32>,
    /// Bit per byte value that some piece begins with.
    first_bytes: [u64; 4],
}

impl SortedPieces {
    fn new(
        record: &TokenizerRecord,
        ids: impl Iterator<Item = u32>,
    ) -> Result<SortedPieces, TokenizerError> {
        let bytes_of = |id: u32| record.piece(id).map_or(&[][..], |(bytes, _)| bytes);
        let mut ids: Vec<u32> = ids.collect();
        crate::sorting::sort_by(&mut ids, |a, b| {
            bytes_of(*a).cmp(bytes_of(*b)).then(a.cmp(b))
        });
        let mut first_bytes = [0u64; 4];
        for (idx, &id) in ids.iter().enumerate() {
            let bytes = bytes_of(id);
            if ids
                .get(idx + 1)
                .is_some_and(|next| bytes_of(*next) == bytes)
            {
                let later = ids.get(idx + 1).copied().unwrap_or(id);
                return Err(TokenizerError::new(
                    TokenizerErrorKind::PieceRepeated,
                    later,
                ));
            }
            if let Some(&first) = bytes.first() {
                first_bytes[usize::from(first >> 6)] |= 1 << (first & 63);
            }
        }
        Ok(SortedPieces { ids, first_bytes })
    }

    fn starts(&self, byte: u8) -> bool {
        self.first_bytes[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    /// The longest piece that `text` begins with, and its length: the range of pieces that share
    /// the text's first n bytes is narrowed byte by byte.
    fn longest_prefix(&self, record: &TokenizerRecord, text: &[u8]) -> Option<(u32, usize)> {
        let byte_at = |id: u32, depth: usize| {
            record
                .piece(id)
                .and_then(|(bytes, _)| bytes.get(depth))
                .copied()
        };
        let mut range = self.ids.as_slice();
        let mut best = None;
        for depth in 0.. {
            // The piece that ends here sorts first among those that share these bytes.
            let &first = range.first()?;
            if depth > 0 && byte_at(first, depth).is_none() {
                best = Some((first, depth));
            }
            let Some(&byte) = text.get(depth) else { break };
            let from = range.partition_point(|id| byte_at(*id, depth) < Some(byte));
            let to = range.partition_point(|id| byte_at(*id, depth) <= Some(byte));
            range = range.get(from..to)?;
            if range.is_empty() {
                break;
            }
        }
        best
    }
}
