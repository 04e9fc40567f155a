//! Piece bytes → id: an open-addressing table of ids over the record's own bytes.
//!
//! It must never copy a piece and never depend on a random seed. Pieces made to collide cost a
//! bounded number of probes and are then refused, so that a hostile vocabulary cannot hang the
//! build. The mixing steps are those of wyhash's (Wang Yi, 2019) folded multiplication.

use super::error::{TokenizerError, TokenizerErrorKind};
use super::record::Pieces;
use alloc::vec::Vec;

const EMPTY: u32 = u32::MAX;

/// How many different seeds are tried before a vocabulary is refused.
const SEEDS_MAX: u64 = 8;

/// Probes allowed for one piece. At a load of one half or less, honest vocabularies of 2^20
/// pieces stay below 64.
const PROBES_MAX: usize = 256;

/// The table: `slots.len()` is a power of two, at least twice the number of pieces.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    slots: Vec<u32>,
    seed: u64,
}

impl Vocabulary {
    /// Indexes the pieces of the given ids. Two of them with the same bytes are refused, naming
    /// the second.
    pub fn new(pieces: &Pieces, ids: &[u32]) -> Result<Vocabulary, TokenizerError> {
        for seed in 0..SEEDS_MAX {
            if let Some(vocabulary) = Self::with_seed(pieces, ids, seed)? {
                return Ok(vocabulary);
            }
        }
        Err(TokenizerError::new(TokenizerErrorKind::PieceIndex, 0))
    }

    /// One attempt; nothing if some piece needs too many probes.
    fn with_seed(
        pieces: &Pieces,
        ids: &[u32],
        seed: u64,
    ) -> Result<Option<Vocabulary>, TokenizerError> {
        let n_slots = ids.len().saturating_mul(2).max(2).next_power_of_two();
        let mut slots = Vec::new();
        slots
            .try_reserve_exact(n_slots)
            .map_err(|_| TokenizerError::new(TokenizerErrorKind::OutOfMemory, 0))?;
        slots.resize(n_slots, EMPTY);
        let mut vocabulary = Vocabulary { slots, seed };
        for &id in ids {
            let piece = pieces.get(id as usize).unwrap_or(&[]);
            let mut slot_idx = vocabulary.first_slot(piece);
            let mut n_probes = 0;
            loop {
                let Some(slot) = vocabulary.slots.get_mut(slot_idx) else {
                    return Ok(None);
                };
                if *slot == EMPTY {
                    *slot = id;
                    break;
                }
                if pieces.get(*slot as usize) == Some(piece) {
                    return Err(TokenizerError::new(TokenizerErrorKind::PieceRepeated, id));
                }
                slot_idx = (slot_idx + 1) & (n_slots - 1);
                n_probes += 1;
                if n_probes > PROBES_MAX {
                    return Ok(None);
                }
            }
        }
        Ok(Some(vocabulary))
    }

    /// The id of the piece with exactly these bytes; the pieces are those that were indexed.
    pub fn find(&self, pieces: &Pieces, bytes: &[u8]) -> Option<u32> {
        let mut slot_idx = self.first_slot(bytes);
        loop {
            let id = *self.slots.get(slot_idx)?;
            if id == EMPTY {
                return None;
            }
            if pieces.get(id as usize) == Some(bytes) {
                return Some(id);
            }
            slot_idx = (slot_idx + 1) & (self.slots.len() - 1);
        }
    }

    fn first_slot(&self, bytes: &[u8]) -> usize {
        hash(bytes, self.seed) as usize & (self.slots.len() - 1)
    }
}

/// 64 mixed bits of the bytes, their number and the seed.
pub(super) fn hash(bytes: &[u8], seed: u64) -> u64 {
    let mut state = seed.wrapping_mul(0xa076_1d64_78bd_642f) ^ (bytes.len() as u64);
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word));
    }
    let mut last = 0u64;
    for &byte in tail {
        last = last << 8 | u64::from(byte);
    }
    fold(state ^ last)
}

/// The two halves of a 128-bit product, added without carry.
fn fold(value: u64) -> u64 {
    let product = u128::from(value ^ 0xe703_7ed1_a0b4_28db) * 0x8ebc_6af0_9c88_c6e3;
    (product as u64) ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    #[test]
    fn finds_every_piece_and_nothing_else() {
        let names: Vec<String> = (0..5000).map(|n| format!("{n:x}{}", n % 7)).collect();
        let pieces: Pieces = names.iter().map(|name| name.as_bytes()).collect();
        let ids: Vec<u32> = (0..5000).collect();
        let vocabulary = Vocabulary::new(&pieces, &ids).unwrap();
        for (id, name) in ids.iter().zip(&names) {
            assert_eq!(vocabulary.find(&pieces, name.as_bytes()), Some(*id));
            assert_eq!(
                vocabulary.find(&pieces, format!("{name}z").as_bytes()),
                None
            );
        }
        assert_eq!(vocabulary.find(&pieces, b""), None);
    }

    #[test]
    fn a_repeated_piece_is_named() {
        let pieces: Pieces = [&b"ab"[..], b"c", b"ab"].into_iter().collect();
        let error = Vocabulary::new(&pieces, &[0, 1, 2]).unwrap_err();
        assert_eq!(
            error,
            TokenizerError::new(TokenizerErrorKind::PieceRepeated, 2)
        );
        assert!(Vocabulary::new(&pieces, &[0, 1]).is_ok());
    }
}
