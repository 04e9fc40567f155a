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
use super::merge_span::{NONE, Span, Symbol};
use super::record::{PieceType, TokenizerRecord};
use super::vocabulary::Vocabulary;
use alloc::collections::TryReserveError;
use alloc::vec;
use alloc::vec::Vec;

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
            let end = if self.splits_at_spaces {
                word_end(rest.as_bytes())
            } else {
                rest.len()
            };
            let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            span.merge(&self.vocabulary, record, word, self.has_unused)
                .map_err(no_memory)?;
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
            let joint = span
                .joints
                .binary_search_by_key(&key, |joint| (joint.start, joint.len));
            match joint.ok().and_then(|idx| span.joints.get(idx)) {
                Some(joint) if self.is_unused(record, id) => {
                    let (left, right) = part.split(joint.left_len);
                    parts.extend([right, left]);
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
            out.extend(
                bytes
                    .iter()
                    .filter_map(|byte| byte_ids.get(usize::from(*byte))),
            );
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
            && let Some(slot) = piece
                .first()
                .and_then(|byte| ids.get_mut(usize::from(*byte)))
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
        Some(byte) => Err(TokenizerError::new(
            TokenizerErrorKind::BytePieceMissing,
            byte as u32,
        )),
    }
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
