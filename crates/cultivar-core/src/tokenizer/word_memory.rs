//! Words that were met before in the same text, so that the common ones are merged once.
//!
//! Nothing is copied: a word is remembered as a place in the text and its ids as a place in the
//! output. A word that is not found is merged again, so results never depend on this. One row of
//! slots, a new word replacing what had its slot, keeps the cost of any text bounded.

use super::vocabulary::hash;
use alloc::vec::Vec;

/// Slots of a text: enough for the words that make up most of any text.
const N_SLOTS: usize = 4096;

/// Texts below this are encoded faster than the slots are made.
const TEXT_BYTES_MIN: usize = 2048;

/// Longer words hardly come twice.
const WORD_BYTES_MAX: usize = 64;

/// A word and its ids: where both begin and how long they are. No word has length 0.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    start: u32,
    len: u32,
    ids_start: u32,
    n_ids: u32,
}

/// The words of one text.
#[derive(Debug)]
pub(super) struct WordMemory<'a> {
    text: &'a [u8],
    slots: Vec<Met>,
    /// Ids of that kind end the memory of a word: what they become depends on what stands before.
    unk_id: Option<u32>,
}

impl<'a> WordMemory<'a> {
    /// An empty memory; none at all for a short text, or without memory for it.
    pub(super) fn new(text: &'a str, unk_id: Option<u32>) -> WordMemory<'a> {
        let n_slots = if text.len() < TEXT_BYTES_MIN {
            0
        } else {
            N_SLOTS
        };
        WordMemory {
            text: text.as_bytes(),
            slots: crate::memory::filled(Met::default(), n_slots).unwrap_or_default(),
            unk_id,
        }
    }

    /// Appends the ids of the word at `start` if it was met before; else gives the word's slot,
    /// to be handed to [`WordMemory::keep`].
    pub(super) fn recall(&self, word: &[u8], out: &mut Vec<u32>) -> Option<usize> {
        let slot_idx = hash(word, 0) as usize % N_SLOTS;
        let met = self.slots.get(slot_idx).copied().unwrap_or_default();
        let (start, ids_start) = (met.start as usize, met.ids_start as usize);
        if self.text.get(start..start + met.len as usize) != Some(word) || word.is_empty() {
            return Some(slot_idx);
        }
        out.extend_from_within(ids_start..ids_start + met.n_ids as usize);
        None
    }

    /// Remembers that the word which begins at byte `start` of the text became `out[ids_start..]`.
    pub(super) fn keep(
        &mut self,
        slot_idx: usize,
        start: usize,
        word: &[u8],
        out: &[u32],
        ids_start: usize,
    ) {
        let ids = out.get(ids_start..).unwrap_or_default();
        let is_settled = self.unk_id.is_none_or(|unk_id| !ids.contains(&unk_id));
        if word.len() <= WORD_BYTES_MAX
            && is_settled
            && let Some(slot) = self.slots.get_mut(slot_idx)
        {
            *slot = Met {
                start: start as u32,
                len: word.len() as u32,
                ids_start: ids_start as u32,
                n_ids: ids.len() as u32,
            };
        }
    }
}
