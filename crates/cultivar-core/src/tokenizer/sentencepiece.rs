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
use super::merge_span::{NONE, Pairs, Span, Symbol};
use super::record::{PieceType, TokenizerRecord};
use super::spelling::Spelling;
use super::vocabulary::Vocabulary;
use super::word_memory::WordMemory;
use alloc::collections::TryReserveError;
use alloc::vec;
use alloc::vec::Vec;

/// The indexes of one SentencePiece vocabulary.
#[derive(Clone, Debug)]
pub(super) struct SentencePiece {
    vocabulary: Vocabulary,
    spelling: Spelling,
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
        merge_ids
            .try_reserve_exact(record.pieces.len())
            .map_err(no_memory)?;
        for (id, (piece, &kind)) in (0u32..).zip(record.pieces.iter().zip(&record.types)) {
            match PieceType::from_u8(kind) {
                Some(PieceType::Normal | PieceType::User) => merge_ids.push(id),
                Some(PieceType::Unused) => unused_ids.push(id),
                _ => continue,
            }
            splits_at_spaces &= !piece
                .windows(2)
                .any(|pair| pair[0] != b' ' && pair[1] == b' ');
        }
        let mut vocabulary = Vocabulary::new(&record.pieces, &merge_ids)?;
        let has_unused = !unused_ids.is_empty();
        if has_unused {
            // Merging passes through unused pieces; of equal ones the first stands for all.
            let bytes_of = |id: &u32| record.pieces.get(*id as usize).unwrap_or(&[]);
            unused_ids.retain(|id| vocabulary.find(&record.pieces, bytes_of(id)).is_none());
            crate::sorting::sort_by(&mut unused_ids, |a, b| bytes_of(a).cmp(bytes_of(b)));
            unused_ids.dedup_by(|later, first| bytes_of(later) == bytes_of(first));
            merge_ids.extend(unused_ids);
            vocabulary = Vocabulary::new(&record.pieces, &merge_ids)?;
        }
        Ok(SentencePiece {
            vocabulary,
            spelling: Spelling::new(record)?,
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
        let mut memory = WordMemory::new(text, record.unk_id);
        let mut rest = text;
        while !rest.is_empty() {
            let end = if self.splits_at_spaces {
                word_end(rest.as_bytes())
            } else {
                rest.len()
            };
            let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            let (start, ids_start) = (text.len() - rest.len(), out.len());
            rest = after;
            let Some(slot_idx) = memory.recall(word.as_bytes(), out) else {
                continue;
            };
            span.begin(word.chars().count()).map_err(no_memory)?;
            word.chars()
                .for_each(|character| span.push(character.len_utf8(), NONE));
            span.merge(&(self, record), word.as_bytes(), self.has_unused)
                .map_err(no_memory)?;
            self.emit(record, word.as_bytes(), &span, out);
            memory.keep(slot_idx, start, word.as_bytes(), out, ids_start);
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
                self.spelling.spell(bytes, out, 0);
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
            let joint = span
                .joints
                .binary_search_by_key(&key, |joint| (joint.start, joint.len));
            match joint.ok().and_then(|idx| span.joints.get(idx)) {
                Some(joint) if self.is_unused(record, id) => {
                    let (left, right) = part.split(joint.left_len);
                    parts.extend([right, left]);
                }
                _ if id == NONE || self.is_unused(record, id) => self.spelling.spell(bytes, out, 0),
                _ => out.push(id),
            }
        }
    }

    fn is_unused(&self, record: &TokenizerRecord, id: u32) -> bool {
        record.types.get(id as usize) == Some(&(PieceType::Unused as u8))
    }
}

/// A pair is joined if both together are a piece, the best-scored first.
impl Pairs for (&SentencePiece, &TokenizerRecord) {
    fn joined(&self, text: &[u8], left: &Symbol, right: &Symbol) -> Option<(u32, u32)> {
        let (index, record) = self;
        let pair = left.with(right);
        let id = index.vocabulary.find(&record.pieces, pair.bytes(text))?;
        let score = record.scores.get(id as usize).copied().unwrap_or(0.0);
        Some((ordered_bits(score), id))
    }

    fn first_id(&self, _: &[u8]) -> u32 {
        NONE
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

fn no_memory(_: TryReserveError) -> TokenizerError {
    TokenizerError::new(TokenizerErrorKind::OutOfMemory, 0)
}

/// Where the first word ends: before the first space that follows a non-space.
fn word_end(text: &[u8]) -> usize {
    let n_spaces = text.iter().take_while(|byte| **byte == b' ').count();
    let rest = text.get(n_spaces..).unwrap_or(&[]);
    n_spaces
        + rest
            .iter()
            .position(|byte| *byte == b' ')
            .unwrap_or(rest.len())
}
