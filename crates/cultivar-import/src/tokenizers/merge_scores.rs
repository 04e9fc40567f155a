//! Merges that a SentencePiece vocabulary was written out as, back into scores.
//!
//! The Hugging Face converter lists, per piece, every pair of pieces that spells it, the best
//! piece first. Such a list says no more than an order of pieces, and SentencePiece's own rule
//! gives the original's ids. A list that leaves a pair out, or mixes two pieces' pairs, was
//! trained as merges and stays so.

use cultivar_core::memory;
use cultivar_core::tokenizer::{PieceType, TokenizerRecord, Vocabulary};

/// Per piece a score, the first to be joined highest; nothing if the merges say more than that,
/// or memory lacks to find out.
pub(super) fn scores(record: &TokenizerRecord) -> Option<alloc::vec::Vec<f32>> {
    let n_pieces = record.pieces.len();
    let normal = |id: &u32| record.types.get(*id as usize) == Some(&(PieceType::Normal as u8));
    let mut ids = memory::reserved(n_pieces)?;
    ids.extend((0..n_pieces as u32).filter(normal));
    let vocabulary = Vocabulary::new(&record.pieces, &ids).ok()?;
    let find = |bytes: &[u8]| vocabulary.find(&record.pieces, bytes);
    let mut scores = memory::filled(f32::NEG_INFINITY, n_pieces)?;
    let mut n_merges = memory::filled(0usize, n_pieces)?;
    let mut whole = alloc::vec::Vec::new();
    let (mut current, mut place) = (None, 0u32);
    for (left, right) in &record.merges {
        whole.clear();
        whole.extend_from_slice(record.pieces.get(*left as usize)?);
        whole.extend_from_slice(record.pieces.get(*right as usize)?);
        let id = find(&whole)?;
        let score = scores.get_mut(id as usize)?;
        if current != Some(id) {
            if score.is_finite() {
                return None;
            }
            place += 1;
            current = Some(id);
            *score = -(place as f32);
        }
        *n_merges.get_mut(id as usize)? += 1;
    }
    for &id in &ids {
        let piece = core::str::from_utf8(record.pieces.get(id as usize)?).ok()?;
        let n_pairs = piece.char_indices().skip(1).filter(|(at, _)| {
            let (left, right) = piece.split_at(*at);
            find(left.as_bytes()).is_some() && find(right.as_bytes()).is_some()
        });
        if n_pairs.count() != *n_merges.get(id as usize)? {
            return None;
        }
    }
    let last = -(place as f32) - 1.0;
    for score in scores.iter_mut().filter(|score| !score.is_finite()) {
        *score = last;
    }
    Some(scores)
}
