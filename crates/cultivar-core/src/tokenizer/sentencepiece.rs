//! SentencePiece BPE: among all adjacent pairs whose joined bytes are a piece, join the one with
//! the best score, the leftmost on ties, until no pair is left (Kudo and Richardson, 2018).
//!
//! ```text
//! symbols = the text's characters, doubly linked
//! heap    = every adjacent pair that is a piece, best score first, then leftmost
//! pop a pair; skip it if either side has changed since; join; push the two new neighbours
//! ```
//!
//! A span whose pairs cannot join across its ends is encoded alone: where no piece has a space
//! after a non-space, every word is such a span, so the heap stays a few entries deep and time is
//! linear in the text. It must never depend on that split: results are the same without it.

use super::error::{TokenizerError, TokenizerErrorKind};
use super::record::{PieceType, Pieces, TokenizerRecord};
use super::vocabulary::Vocabulary;
use alloc::collections::{BinaryHeap, TryReserveError};
use alloc::vec;
use alloc::vec::Vec;

const NONE: u32 = u32::MAX;

/// The indexes of one SentencePiece vocabulary.
#[derive(Clone, Debug)]
pub(super) struct SentencePiece {
    vocabulary: Vocabulary,
    /// Per byte its piece, or nothing if the vocabulary has no byte pieces.
    byte_ids: Option<Vec<u32>>,
    unk_id: Option<u32>,
    /// No piece has a space after a non-space, so words are encoded one by one.
    splits_at_spaces: bool,
    has_unused: bool,
}

impl SentencePiece {
    /// Indexes the pieces that merging may make. Refuses repeats, and a vocabulary that could
    /// neither spell a text's bytes nor say "unknown".
    pub(super) fn new(record: &TokenizerRecord) -> Result<SentencePiece, TokenizerError> {
        let mut merge_ids = Vec::new();
        let mut unused_ids = Vec::new();
        let mut splits_at_spaces = true;
        merge_ids.try_reserve_exact(record.pieces.len()).map_err(no_memory)?;
        for (id, (piece, &kind)) in (0u32..).zip(record.pieces.iter().zip(&record.types)) {
            match PieceType::from_u8(kind) {
                Some(PieceType::Normal | PieceType::User) => merge_ids.push(id),
                Some(PieceType::Unused) => unused_ids.push(id),
                _ => continue,
            }
            splits_at_spaces &= !piece.windows(2).any(|pair| pair[0] != b' ' && pair[1] == b' ');
        }
        let mut vocabulary = Vocabulary::new(&record.pieces, &merge_ids)?;
        let has_unused = !unused_ids.is_empty();
        if has_unused {
            // Merging passes through unused pieces; of equal ones the first stands for all.
            let bytes_of = |id: &u32| record.pieces.get(*id as usize).unwrap_or(&[]);
            unused_ids.retain(|id| vocabulary.find(&record.pieces, bytes_of(id)).is_none());
            unused_ids.sort_by(|a, b| bytes_of(a).cmp(bytes_of(b)));
            unused_ids.dedup_by(|later, first| bytes_of(later) == bytes_of(first));
            merge_ids.extend(unused_ids);
            vocabulary = Vocabulary::new(&record.pieces, &merge_ids)?;
        }
        Ok(SentencePiece {
            vocabulary,
            byte_ids: byte_ids(record)?,
            unk_id: record.unk_id,
            splits_at_spaces,
            has_unused,
        })
    }

    /// Appends the ids of `text`, taken as it is (prefix and special pieces are the caller's).
    /// The only error is a lack of memory.
    pub(super) fn encode(
        &self,
        record: &TokenizerRecord,
        text: &str,
        out: &mut Vec<u32>,
    ) -> Result<(), TokenizerError> {
        let mut span = Span::default();
        let mut rest = text;
        while !rest.is_empty() {
            let end = if self.splits_at_spaces { word_end(rest.as_bytes()) } else { rest.len() };
            let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            span.merge(self, record, word).map_err(no_memory)?;
            self.emit(record, word.as_bytes(), &span, out);
            rest = after;
        }
        Ok(())
    }

    /// Appends the ids of a merged span, spelling what is no piece.
    fn emit(&self, record: &TokenizerRecord, text: &[u8], span: &Span, out: &mut Vec<u32>) {
        let mut symbol_idx = 0u32;
        while let Some(symbol) = span.symbols.get(symbol_idx as usize) {
            let bytes = symbol.bytes(text);
            let mut id = symbol.id;
            if id == NONE {
                id = self.vocabulary.find(&record.pieces, bytes).unwrap_or(NONE);
            }
            if self.has_unused && self.is_unused(record, id) {
                self.emit_unmerged(record, text, span, *symbol, out);
            } else if id == NONE {
                self.spell(bytes, out);
            } else {
                out.push(id);
            }
            symbol_idx = symbol.next;
        }
    }

    /// Undoes the merges of a symbol until no part is an unused piece, left to right.
    fn emit_unmerged(
        &self,
        record: &TokenizerRecord,
        text: &[u8],
        span: &Span,
        symbol: Symbol,
        out: &mut Vec<u32>,
    ) {
        let mut parts = vec![symbol];
        while let Some(part) = parts.pop() {
            let bytes = part.bytes(text);
            let id = self.vocabulary.find(&record.pieces, bytes).unwrap_or(NONE);
            let key = (part.start, part.len);
            let joint = span.joints.binary_search_by_key(&key, |joint| (joint.start, joint.len));
            match joint.ok().and_then(|idx| span.joints.get(idx)) {
                Some(joint) if self.is_unused(record, id) => {
                    let left_len = joint.left_len;
                    let (start, len) = (part.start + left_len, part.len - left_len);
                    parts.push(Symbol { start, len, ..part });
                    parts.push(Symbol { len: left_len, ..part });
                }
                _ if id == NONE || self.is_unused(record, id) => self.spell(bytes, out),
                _ => out.push(id),
            }
        }
    }

    fn is_unused(&self, record: &TokenizerRecord, id: u32) -> bool {
        record.types.get(id as usize) == Some(&(PieceType::Unused as u8))
    }

    /// Appends byte pieces, or one unknown id for a run of such characters.
    fn spell(&self, bytes: &[u8], out: &mut Vec<u32>) {
        if let Some(byte_ids) = &self.byte_ids {
            out.extend(bytes.iter().filter_map(|byte| byte_ids.get(usize::from(*byte))));
        } else if let Some(unk_id) = self.unk_id
            && out.last() != Some(&unk_id)
        {
            out.push(unk_id);
        }
    }
}

fn no_memory(_: TryReserveError) -> TokenizerError {
    TokenizerError::new(TokenizerErrorKind::OutOfMemory, 0)
}

/// All 256 byte pieces' ids; nothing if there are none and an unknown id stands in for them.
fn byte_ids(record: &TokenizerRecord) -> Result<Option<Vec<u32>>, TokenizerError> {
    let mut ids = vec![NONE; 256];
    let mut n_found = 0;
    for (id, (piece, &kind)) in (0u32..).zip(record.pieces.iter().zip(&record.types)) {
        if kind == PieceType::Byte as u8
            && let Some(slot) = piece.first().and_then(|byte| ids.get_mut(usize::from(*byte)))
        {
            if *slot != NONE {
                return Err(TokenizerError::new(TokenizerErrorKind::PieceRepeated, id));
            }
            *slot = id;
            n_found += 1;
        }
    }
    if n_found == 0 && record.unk_id.is_some() {
        return Ok(None);
    }
    match ids.iter().position(|id| *id == NONE) {
        None => Ok(Some(ids)),
        Some(byte) => {
            Err(TokenizerError::new(TokenizerErrorKind::BytePieceMissing, byte as u32))
        }
    }
}

/// Where the first word ends: before the first space that follows a non-space.
fn word_end(text: &[u8]) -> usize {
    let n_spaces = text.iter().take_while(|byte| **byte == b' ').count();
    let rest = text.get(n_spaces..).unwrap_or(&[]);
    n_spaces + rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len())
}

/// A run of characters that is, or may become, one piece. Offsets count bytes of the span.
#[derive(Clone, Copy, Debug)]
struct Symbol {
    start: u32,
    /// Zero once it has been joined to its left neighbour.
    len: u32,
    previous: u32,
    next: u32,
    id: u32,
}

impl Symbol {
    fn bytes(self, text: &[u8]) -> &[u8] {
        text.get(self.start as usize..(self.start + self.len) as usize).unwrap_or(&[])
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
struct Joint {
    start: u32,
    len: u32,
    left_len: u32,
}

/// The working memory of one span, reused for the next.
#[derive(Default)]
struct Span {
    symbols: Vec<Symbol>,
    heap: BinaryHeap<Candidate>,
    /// Only filled if the vocabulary has unused pieces; sorted by start and length at the end.
    joints: Vec<Joint>,
}

impl Span {
    fn merge(
        &mut self,
        index: &SentencePiece,
        record: &TokenizerRecord,
        text: &str,
    ) -> Result<(), TryReserveError> {
        self.symbols.clear();
        self.joints.clear();
        let n_symbols = text.chars().count();
        self.symbols.try_reserve(n_symbols)?;
        // Each join takes one pair out and puts at most two in, and there are fewer joins than
        // symbols.
        self.heap.try_reserve(n_symbols.saturating_mul(2))?;
        if index.has_unused {
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
            self.propose(index, &record.pieces, &record.scores, text, left);
        }
        while let Some(candidate) = self.heap.pop() {
            let left = !(candidate.key as u32);
            if let Some((previous, joined)) = self.join(candidate, left) {
                if index.has_unused {
                    self.joints.push(joined);
                }
                self.propose(index, &record.pieces, &record.scores, text, previous);
                self.propose(index, &record.pieces, &record.scores, text, left);
            }
        }
        self.joints.sort_unstable_by_key(|joint| (joint.start, joint.len));
        Ok(())
    }

    /// Pushes the pair that begins at symbol `left` if it is a piece.
    fn propose(
        &mut self,
        index: &SentencePiece,
        pieces: &Pieces,
        scores: &[f32],
        text: &[u8],
        left: u32,
    ) {
        let Some(first) = self.symbols.get(left as usize) else { return };
        let Some(second) = self.symbols.get(first.next as usize) else { return };
        let pair = Symbol { len: first.len + second.len, ..*first };
        let Some(id) = index.vocabulary.find(pieces, pair.bytes(text)) else { return };
        let score = scores.get(id as usize).copied().unwrap_or(0.0);
        let key = u64::from(ordered_bits(score)) << 32 | u64::from(!left);
        self.heap.push(Candidate { key, right: first.next, len: pair.len, id });
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
        let joint = Joint { start: first.start, len: candidate.len, left_len: first.len };
        Some((first.previous, joint))
    }
}

/// Bits that order as finite floats do, -0.0 and 0.0 being equal.
fn ordered_bits(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 0x8000_0000 }
}
