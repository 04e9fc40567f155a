//! The merging of one span of text: its symbols as a linked list, its pairs in a heap.
//!
//! It knows which pairs are pieces only through the vocabulary it is given, and its order of
//! merges is the specification's: best score first, then leftmost.

use super::record::TokenizerRecord;
use super::vocabulary::Vocabulary;
use alloc::collections::{BinaryHeap, TryReserveError};
use alloc::vec::Vec;

/// No symbol, or no piece.
pub(super) const NONE: u32 = u32::MAX;

/// A run of characters that is, or may become, one piece. Offsets count bytes of the span.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symbol {
    pub(super) start: u32,
    /// Zero once it has been joined to its left neighbour.
    pub(super) len: u32,
    previous: u32,
    pub(super) next: u32,
    pub(super) id: u32,
}

impl Symbol {
    pub(super) fn bytes(self, text: &[u8]) -> &[u8] {
        text.get(self.start as usize..(self.start + self.len) as usize)
            .unwrap_or(&[])
    }

    /// Its first `left_len` bytes and the rest, as they were before they were joined.
    pub(super) fn split(self, left_len: u32) -> (Symbol, Symbol) {
        let left = Symbol {
            len: left_len,
            ..self
        };
        let right = Symbol {
            start: self.start + left_len,
            len: self.len - left_len,
            ..self
        };
        (left, right)
    }
}

/// A pair that may be joined. Ordered by score, then leftmost; the rest only tells stale ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// Ordered score in the high half, complement of the left symbol's index in the low half.
    key: u64,
    right: u32,
    /// Bytes of both together when the candidate was made.
    len: u32,
    id: u32,
}

/// Where a symbol was joined: its start, its length, and its left part's length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joint {
    pub(super) start: u32,
    pub(super) len: u32,
    pub(super) left_len: u32,
}

/// The working memory of one span, reused for the next.
#[derive(Default)]
pub(super) struct Span {
    pub(super) symbols: Vec<Symbol>,
    heap: BinaryHeap<Candidate>,
    /// Only filled if asked for; sorted by start and length at the end.
    pub(super) joints: Vec<Joint>,
}

impl Span {
    /// Merges `text` until no pair is a piece; the symbols that are left follow one another from
    /// the first. The only error is a lack of memory.
    pub(super) fn merge(
        &mut self,
        vocabulary: &Vocabulary,
        record: &TokenizerRecord,
        text: &str,
        keeps_joints: bool,
    ) -> Result<(), TryReserveError> {
        self.symbols.clear();
        self.joints.clear();
        let n_symbols = text.chars().count();
        self.symbols.try_reserve(n_symbols)?;
        // Each join takes one pair out and puts at most two in, and there are fewer joins than
        // symbols.
        self.heap.try_reserve(n_symbols.saturating_mul(2))?;
        if keeps_joints {
            self.joints.try_reserve(n_symbols)?;
        }
        for (symbol_idx, (start, character)) in (0u32..).zip(text.char_indices()) {
            self.symbols.push(Symbol {
                start: start as u32,
                len: character.len_utf8() as u32,
                previous: symbol_idx.wrapping_sub(1),
                next: symbol_idx + 1,
                id: NONE,
            });
        }
        if let Some(last) = self.symbols.last_mut() {
            last.next = NONE;
        }
        let text = text.as_bytes();
        for left in 0..self.symbols.len() as u32 {
            self.propose(vocabulary, record, text, left);
        }
        while let Some(candidate) = self.heap.pop() {
            let left = !(candidate.key as u32);
            if let Some((previous, joined)) = self.join(candidate, left) {
                if keeps_joints {
                    self.joints.push(joined);
                }
                self.propose(vocabulary, record, text, previous);
                self.propose(vocabulary, record, text, left);
            }
        }
        crate::sorting::sort_by_key(&mut self.joints, |joint| (joint.start, joint.len));
        Ok(())
    }

    /// Pushes the pair that begins at symbol `left` if it is a piece.
    fn propose(
        &mut self,
        vocabulary: &Vocabulary,
        record: &TokenizerRecord,
        text: &[u8],
        left: u32,
    ) {
        let Some(first) = self.symbols.get(left as usize) else {
            return;
        };
        let Some(second) = self.symbols.get(first.next as usize) else {
            return;
        };
        let pair = Symbol {
            len: first.len + second.len,
            ..*first
        };
        let Some(id) = vocabulary.find(&record.pieces, pair.bytes(text)) else {
            return;
        };
        let score = record.scores.get(id as usize).copied().unwrap_or(0.0);
        let key = u64::from(ordered_bits(score)) << 32 | u64::from(!left);
        self.heap.push(Candidate {
            key,
            right: first.next,
            len: pair.len,
            id,
        });
    }

    /// Joins the pair unless one side has changed. Returns the symbol before it and the joint.
    fn join(&mut self, candidate: Candidate, left: u32) -> Option<(u32, Joint)> {
        let first = *self.symbols.get(left as usize)?;
        let second = *self.symbols.get(candidate.right as usize)?;
        let is_stale = first.len == 0 || second.len == 0;
        if is_stale || first.len + second.len != candidate.len {
            return None;
        }
        let joined = self.symbols.get_mut(left as usize)?;
        joined.len = candidate.len;
        joined.next = second.next;
        joined.id = candidate.id;
        self.symbols.get_mut(candidate.right as usize)?.len = 0;
        if let Some(after) = self.symbols.get_mut(second.next as usize) {
            after.previous = left;
        }
        let joint = Joint {
            start: first.start,
            len: candidate.len,
            left_len: first.len,
        };
        Some((first.previous, joint))
    }
}

/// Bits that order as finite floats do, -0.0 and 0.0 being equal.
fn ordered_bits(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 1 {
        !bits
    } else {
        bits | 0x8000_0000
    }
}
