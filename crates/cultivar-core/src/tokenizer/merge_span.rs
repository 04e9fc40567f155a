//! The merging of one span of text: its symbols as a linked list, its pairs in a heap.
//!
//! It knows which pairs may be joined only through what it is given, and its order of merges is
//! the specification's: best first, then leftmost.

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
    /// Its piece, where that is known; pairs decide what is.
    pub(super) id: u32,
}

impl Symbol {
    pub(super) fn bytes(self, text: &[u8]) -> &[u8] {
        text.get(self.start as usize..(self.start + self.len) as usize)
            .unwrap_or(&[])
    }

    /// Both together, the right one standing next to this one.
    pub(super) fn with(self, right: &Symbol) -> Symbol {
        Symbol {
            len: self.len + right.len,
            ..self
        }
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

/// Which adjacent symbols may be joined.
pub(super) trait Pairs {
    /// How early the two of this span's text are joined (the highest first) and which piece they
    /// become; nothing if they are never joined.
    fn joined(&self, text: &[u8], left: &Symbol, right: &Symbol) -> Option<(u32, u32)>;
}

/// A pair that may be joined. Ordered by priority, then leftmost; the rest only tells stale ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// Priority in the high half, complement of the left symbol's index in the low half.
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
    /// Begins a span of at most so many symbols. The only error is a lack of memory.
    pub(super) fn begin(
        &mut self,
        n_symbols: usize,
        keeps_joints: bool,
    ) -> Result<(), TryReserveError> {
        self.symbols.clear();
        self.joints.clear();
        self.symbols.try_reserve(n_symbols)?;
        // Each join takes one pair out and puts at most two in, and there are fewer joins than
        // symbols.
        self.heap.try_reserve(n_symbols.saturating_mul(2))?;
        if keeps_joints {
            self.joints.try_reserve(n_symbols)?;
        }
        Ok(())
    }

    /// Adds a symbol of so many bytes behind the last one.
    pub(super) fn push(&mut self, len: usize, id: u32) {
        let symbol_idx = self.symbols.len() as u32;
        let start = self.symbols.last().map_or(0, |last| last.start + last.len);
        self.symbols.push(Symbol {
            start,
            len: len as u32,
            previous: symbol_idx.wrapping_sub(1),
            next: symbol_idx + 1,
            id,
        });
    }

    /// Merges the symbols, which are `text`, until no pair may be joined; those that are left
    /// follow one another from the first.
    pub(super) fn merge(&mut self, pairs: &dyn Pairs, text: &[u8], keeps_joints: bool) {
        if let Some(last) = self.symbols.last_mut() {
            last.next = NONE;
        }
        for left in 0..self.symbols.len() as u32 {
            self.propose(pairs, text, left);
        }
        while let Some(candidate) = self.heap.pop() {
            let left = !(candidate.key as u32);
            if let Some((previous, joined)) = self.join(candidate, left) {
                if keeps_joints {
                    self.joints.push(joined);
                }
                self.propose(pairs, text, previous);
                self.propose(pairs, text, left);
            }
        }
        crate::sorting::sort_by_key(&mut self.joints, |joint| (joint.start, joint.len));
    }

    /// Pushes the pair that begins at symbol `left` if it may be joined.
    fn propose(&mut self, pairs: &dyn Pairs, text: &[u8], left: u32) {
        let Some(first) = self.symbols.get(left as usize) else {
            return;
        };
        let Some(second) = self.symbols.get(first.next as usize) else {
            return;
        };
        let Some((priority, id)) = pairs.joined(text, first, second) else {
            return;
        };
        self.heap.push(Candidate {
            key: u64::from(priority) << 32 | u64::from(!left),
            right: first.next,
            len: first.len + second.len,
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

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    /// Joins whatever there is, and counts how often it is asked.
    struct Any(Cell<usize>);

    impl Pairs for Any {
        fn joined(&self, _: &[u8], left: &Symbol, right: &Symbol) -> Option<(u32, u32)> {
            self.0.set(self.0.get() + 1);
            Some((u32::MAX - left.len - right.len, 0))
        }
    }

    #[test]
    fn a_long_word_of_one_letter_costs_a_bounded_number_of_steps_per_letter() {
        let text = alloc::vec![b'a'; 100_000];
        let (mut span, pairs) = (Span::default(), Any(Cell::new(0)));
        span.begin(text.len(), false).unwrap();
        text.iter().for_each(|_| span.push(1, NONE));
        span.merge(&pairs, &text, false);
        // One question per letter at first, then at most two per join.
        assert!(pairs.0.get() < 3 * text.len(), "{}", pairs.0.get());
        assert_eq!(span.symbols[0].len as usize, text.len());
        assert_eq!(span.symbols[0].next, NONE);
    }
}
