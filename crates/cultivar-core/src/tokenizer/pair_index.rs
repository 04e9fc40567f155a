//! A pair of numbers → its place in a list of pairs: open addressing over the list itself.
//!
//! The list is merges (left and right piece) or the edges of a tree (node and byte). As in
//! `vocabulary.rs`, nothing depends on a random seed, and pairs made to collide cost a bounded
//! number of probes and are then refused.

use super::error::{TokenizerError, TokenizerErrorKind};
use alloc::vec::Vec;

const EMPTY: u32 = u32::MAX;

/// How many different seeds are tried before a list is refused.
const SEEDS_MAX: u64 = 8;

/// Probes allowed for one pair. At a load of two thirds or less, honest lists of 2^21 pairs stay
/// below 128.
const PROBES_MAX: usize = 512;

/// The table: a power of two of places in the list, each with what bits are left of its pair's
/// hash above it, so that most other pairs are told apart without a look at the list.
#[derive(Clone, Debug)]
pub(super) struct PairIndex {
    slots: Vec<u32>,
    /// The bits of a place; all of them set stand for none.
    place_mask: u32,
    seed: u64,
}

impl PairIndex {
    /// Indexes a list. A repeated pair is refused with this kind, naming its second place.
    pub(super) fn new(
        pairs: &[(u32, u32)],
        repeated: TokenizerErrorKind,
    ) -> Result<PairIndex, TokenizerError> {
        let n_slots = (pairs.len() + pairs.len() / 2).max(2).next_power_of_two();
        for seed in 0..SEEDS_MAX {
            let slots = crate::memory::filled(EMPTY, n_slots)
                .ok_or(TokenizerError::new(TokenizerErrorKind::OutOfMemory, 0))?;
            let mut index = PairIndex {
                slots,
                place_mask: ((pairs.len() as u64 + 1).next_power_of_two() - 1) as u32,
                seed,
            };
            match index.fill(pairs) {
                Ok(true) => return Ok(index),
                Ok(false) => {}
                Err(second) => return Err(TokenizerError::new(repeated, second)),
            }
        }
        Err(TokenizerError::new(TokenizerErrorKind::PieceIndex, 0))
    }

    /// One attempt: false if a pair needs too many probes, an error at a repeated pair.
    fn fill(&mut self, pairs: &[(u32, u32)]) -> Result<bool, u32> {
        for (place, pair) in (0u32..).zip(pairs) {
            let (mut slot_idx, tag) = self.first_slot(*pair);
            let mut n_probes = 0;
            while let Some(slot) = self.slots.get_mut(slot_idx) {
                if *slot == EMPTY {
                    *slot = tag | place;
                    break;
                }
                if pairs.get((*slot & self.place_mask) as usize) == Some(pair) {
                    return Err(place);
                }
                slot_idx = (slot_idx + 1) & (self.slots.len() - 1);
                n_probes += 1;
                if n_probes > PROBES_MAX {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The place of a pair in the list that was indexed.
    pub(super) fn find(&self, pairs: &[(u32, u32)], pair: (u32, u32)) -> Option<u32> {
        let (mut slot_idx, tag) = self.first_slot(pair);
        loop {
            let slot = *self.slots.get(slot_idx)?;
            if slot == EMPTY {
                return None;
            }
            let place = slot & self.place_mask;
            if slot & !self.place_mask == tag && *pairs.get(place as usize)? == pair {
                return Some(place);
            }
            slot_idx = (slot_idx + 1) & (self.slots.len() - 1);
        }
    }

    /// Where the search for a pair begins, and its bits above a place.
    fn first_slot(&self, (left, right): (u32, u32)) -> (usize, u32) {
        let key = u64::from(left) << 32 | u64::from(right);
        let mixed = (key ^ self.seed.wrapping_mul(0xa076_1d64_78bd_642f))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let slot_idx = (mixed ^ mixed >> 32) as usize & (self.slots.len() - 1);
        (slot_idx, (mixed >> 32) as u32 & !self.place_mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_pair_and_nothing_else() {
        let pairs: Vec<(u32, u32)> = (0..3000).map(|n| (n / 7, n * n)).collect();
        let index = PairIndex::new(&pairs, TokenizerErrorKind::MergeRepeated).unwrap();
        for (place, pair) in (0u32..).zip(&pairs) {
            assert_eq!(index.find(&pairs, *pair), Some(place));
            assert_eq!(index.find(&pairs, (pair.0, pair.1 + 2)), None);
        }
        let empty = PairIndex::new(&[], TokenizerErrorKind::MergeRepeated).unwrap();
        assert_eq!(empty.find(&[], (0, 0)), None);
    }

    #[test]
    fn a_repeated_pair_is_named() {
        let pairs = [(1, 2), (2, 1), (1, 2)];
        let error = PairIndex::new(&pairs, TokenizerErrorKind::MergeRepeated).unwrap_err();
        assert_eq!(
            error,
            TokenizerError::new(TokenizerErrorKind::MergeRepeated, 2)
        );
    }
}
