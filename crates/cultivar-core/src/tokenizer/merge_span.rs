//! The merging of one span of text: its symbols as a linked list, its pairs in a heap.
//!
//! It knows which pairs may be joined only through what it is given, and its order of merges is
//! the specification's: best first, then leftmost.
//!
//! A long span is merged a stretch at a time, each with the last symbols made before it, which
//! keeps heap and symbols in the cache. That is exact: symbols are what merging makes of a text if
//! and only if each two neighbours are what it makes of the two alone. (Take the first merge that
//! would cross an end of one of them: all before it stayed inside, so among the two neighbours it
//! touches it is the best as well, and would be made there.) So a stretch is right once the first
//! of the symbols that are merged again comes out as it was.

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

    /// The piece of a symbol as merging begins with it, or [`NONE`].
    fn first_id(&self, bytes: &[u8]) -> u32;
}

/// Symbols of a stretch.
const STRETCH: usize = 512;

/// How many symbols before a stretch are merged again with it at first.
const BACK: usize = 4;

/// They may come of so many symbols, or the whole span is merged at once.
const BACK_MAX: usize = 16 * STRETCH;

/// A pair that may be joined. Ordered by priority, then leftmost; the rest only tells stale ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// Priority in the high half, complement of the left symbol's index in the low half.
    key: u64,
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
    pub(super) fn begin(&mut self, n_symbols: usize) -> Result<(), TryReserveError> {
        self.symbols.clear();
        self.joints.clear();
        self.symbols.try_reserve(n_symbols)
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
    /// follow one another from the first. The only error is a lack of memory.
    pub(super) fn merge(
        &mut self,
        pairs: &dyn Pairs,
        text: &[u8],
        keeps_joints: bool,
    ) -> Result<(), TryReserveError> {
        if let Some(last) = self.symbols.last_mut() {
            last.next = NONE;
        }
        let n = self.symbols.len();
        if keeps_joints {
            self.joints.try_reserve(n)?;
        }
        if keeps_joints || n < 2 * STRETCH {
            self.merge_range(pairs, text, (0, n), keeps_joints)?;
            crate::sorting::sort_by_key(&mut self.joints, |joint| (joint.start, joint.len));
            return Ok(());
        }
        let mut done = 0;
        while done < n {
            let to = if n - done < 2 * STRETCH {
                n
            } else {
                done + STRETCH
            };
            if !self.merge_on(pairs, text, (done, to))? {
                self.unmerge(pairs, text, (0, n));
                return self.merge_range(pairs, text, (0, n), false);
            }
            done = to;
        }
        Ok(())
    }

    /// Merges symbols `done..to` with what was made of those before. False if that would have to
    /// reach back too far.
    fn merge_on(
        &mut self,
        pairs: &dyn Pairs,
        text: &[u8],
        (done, to): (usize, usize),
    ) -> Result<bool, TryReserveError> {
        let (mut first, mut n_back) = (done, BACK);
        loop {
            for _ in 0..n_back {
                let symbol = self.symbols.get(first).filter(|_| first > 0);
                first = symbol.map_or(first, |symbol| symbol.previous as usize);
            }
            if done - first > BACK_MAX {
                return Ok(false);
            }
            let len_of = |span: &Span| span.symbols.get(first).map(|symbol| symbol.len);
            let len_before = len_of(self);
            self.unmerge(pairs, text, (first, to));
            self.merge_range(pairs, text, (first, to), false)?;
            // The outermost symbol must come out again; at the beginning of the text any may.
            if first == 0 || len_of(self) == len_before {
                return Ok(true);
            }
            n_back *= 2;
        }
    }

    /// Symbols `from..to` as they were before they were merged.
    fn unmerge(&mut self, pairs: &dyn Pairs, text: &[u8], (from, to): (usize, usize)) {
        let n = self.symbols.len();
        let mut end = self
            .symbols
            .get(to)
            .map_or(text.len() as u32, |symbol| symbol.start);
        for idx in (from..to).rev() {
            if let Some(symbol) = self.symbols.get_mut(idx) {
                symbol.len = end - symbol.start;
                symbol.id = pairs.first_id(symbol.bytes(text));
                symbol.next = if idx + 1 < n { idx as u32 + 1 } else { NONE };
                if idx > from {
                    symbol.previous = idx as u32 - 1;
                }
                end = symbol.start;
            }
        }
        let last = to.saturating_sub(1) as u32;
        if let Some(behind) = self.symbols.get_mut(to) {
            behind.previous = last;
        }
    }

    /// Merges symbols `from..to`, none of which is merged yet, without a look at others.
    fn merge_range(
        &mut self,
        pairs: &dyn Pairs,
        text: &[u8],
        (from, to): (usize, usize),
        keeps_joints: bool,
    ) -> Result<(), TryReserveError> {
        // Each join takes one pair out and puts at most two in, and there are fewer joins than
        // symbols.
        self.heap.try_reserve((to - from).saturating_mul(2))?;
        let range = from as u32..to as u32;
        for left in range.clone() {
            self.propose(pairs, text, left, range.end);
        }
        while let Some(candidate) = self.heap.pop() {
            let left = !(candidate.key as u32);
            if let Some((previous, joined)) = self.join(candidate, left) {
                if keeps_joints {
                    self.joints.push(joined);
                }
                if range.contains(&previous) {
                    self.propose(pairs, text, previous, range.end);
                }
                self.propose(pairs, text, left, range.end);
            }
        }
        Ok(())
    }

    /// Pushes the pair that begins at symbol `left` if it may be joined and stands before `end`.
    fn propose(&mut self, pairs: &dyn Pairs, text: &[u8], left: u32, end: u32) {
        let Some(first) = self.symbols.get(left as usize) else {
            return;
        };
        let second = self.symbols.get(first.next as usize);
        let Some(second) = second.filter(|_| first.next < end) else {
            return;
        };
        let Some((priority, id)) = pairs.joined(text, first, second) else {
            return;
        };
        self.heap.push(Candidate {
            key: u64::from(priority) << 32 | u64::from(!left),
            len: first.len + second.len,
            id,
        });
    }

    /// Joins the pair unless one side has changed: then both together are longer, or the left one
    /// is no more. Returns the symbol before it and the joint.
    fn join(&mut self, candidate: Candidate, left: u32) -> Option<(u32, Joint)> {
        let first = *self.symbols.get(left as usize)?;
        let second = *self.symbols.get(first.next as usize)?;
        if first.len == 0 || first.len + second.len != candidate.len {
            return None;
        }
        let joined = self.symbols.get_mut(left as usize)?;
        joined.len = candidate.len;
        joined.next = second.next;
        joined.id = candidate.id;
        self.symbols.get_mut(first.next as usize)?.len = 0;
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

        fn first_id(&self, _: &[u8]) -> u32 {
            NONE
        }
    }

    #[test]
    fn a_long_word_of_one_letter_costs_a_bounded_number_of_steps_per_letter() {
        let text = alloc::vec![b'a'; 100_000];
        let (mut span, pairs) = (Span::default(), Any(Cell::new(0)));
        span.begin(text.len()).unwrap();
        text.iter().for_each(|_| span.push(1, NONE));
        span.merge(&pairs, &text, false).unwrap();
        // One question per letter at first, then at most two per join; so again for all at once,
        // since the one symbol that becomes of all reaches back to the beginning.
        assert!(pairs.0.get() < 9 * text.len(), "{}", pairs.0.get());
        assert_eq!(span.symbols[0].len as usize, text.len());
        assert_eq!(span.symbols[0].next, NONE);
    }

    /// Texts over few letters by a list of merges: which become of a pair, and how early.
    struct Listed<'a>(&'a [(u32, u32)]);

    impl Pairs for Listed<'_> {
        fn joined(&self, _: &[u8], left: &Symbol, right: &Symbol) -> Option<(u32, u32)> {
            let place = self
                .0
                .iter()
                .position(|pair| *pair == (left.id, right.id))? as u32;
            Some((!place, 3 + place))
        }

        fn first_id(&self, bytes: &[u8]) -> u32 {
            u32::from(bytes[0] - b'a')
        }
    }

    #[test]
    fn stretches_give_what_merging_all_at_once_gives() {
        // Any scattered numbers do.
        let mut state = 1_u64;
        let mut next = move |n: u32| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
            (state >> 40) as u32 % n
        };
        for case in 0..300 {
            // Lists in which parts come before, or in any order at all.
            let n_merges = 1 + next(40);
            let part = |place: u32, next: &mut dyn FnMut(u32) -> u32| match case % 2 {
                0 => next(3 + place),
                _ => next(3 + n_merges),
            };
            let merges: Vec<(u32, u32)> = (0..n_merges)
                .map(|place| (part(place, &mut next), part(place, &mut next)))
                .collect();
            let n_letters = 1 + next(3);
            let n = 2 * STRETCH as u32 + next(3 * STRETCH as u32);
            let text: Vec<u8> = (0..n).map(|_| b'a' + next(n_letters) as u8).collect();
            let pairs = Listed(&merges);
            let runs = [false, true].map(|at_once| {
                let mut span = Span::default();
                span.begin(text.len()).unwrap();
                for byte in &text {
                    span.push(1, pairs.first_id(&[*byte]));
                }
                // Joints are kept only where all is merged at once.
                span.merge(&pairs, &text, at_once).unwrap();
                let (mut left, mut idx) = (Vec::new(), 0);
                while let Some(symbol) = span.symbols.get(idx) {
                    left.push((symbol.start, symbol.len, symbol.id));
                    idx = symbol.next as usize;
                }
                left
            });
            assert_eq!(runs[0], runs[1], "{merges:?}");
        }
    }
}
