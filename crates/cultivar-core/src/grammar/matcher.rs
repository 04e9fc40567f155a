//! Which tokens may come next: the vocabulary's tree walked with a grammar's states.
//!
//! Masks of states that were met are kept. Inside a string nearly every token fits, and most lead
//! back to the same state: a subtree of bytes that all do is taken whole. Nothing here is allocated
//! per token but when memory is full, and then once.

use super::error::{GrammarError, GrammarErrorKind};
use super::states::{DEAD, Halt, States};
use super::table::Grammar;
use super::token_trie::TokenTrie;
use crate::memory::{filled, reserved};
use crate::tokenizer::Detokenizer;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Bytes of all masks that are kept, about.
const MASK_BYTES_MAX: usize = 1 << 20;

/// No mask, or nobody's.
const NONE: u32 = u32::MAX;

/// A text that is being matched, token by token.
pub struct Matcher {
    grammar: Arc<Grammar>,
    trie: Arc<TokenTrie>,
    /// Per node the kinds of bytes below it, as bits; kinds that are 64 apart share one.
    kinds_below: Arc<Vec<u64>>,
    states: States,
    state: u32,
    n_words: usize,
    /// `[n_slots, n_words]`, one bit per token.
    masks: Vec<u64>,
    /// The state whose mask a slot holds.
    owners: Vec<u32>,
    /// The slot that holds a state's mask.
    slots: Vec<u32>,
    next_slot: usize,
    /// Per depth the state there, while the tree is walked.
    walk: Vec<u32>,
}

impl Matcher {
    /// A matcher before the first byte.
    pub fn new(grammar: Arc<Grammar>, trie: Arc<TokenTrie>) -> Result<Matcher, GrammarError> {
        let kinds = kinds_below(&grammar, &trie).map(Arc::new);
        kinds
            .and_then(|kinds| Self::allocate(grammar, trie, kinds))
            .ok_or_else(|| GrammarError::new(GrammarErrorKind::OutOfMemory))?
    }

    fn allocate(
        grammar: Arc<Grammar>,
        trie: Arc<TokenTrie>,
        kinds_below: Arc<Vec<u64>>,
    ) -> Option<Result<Matcher, GrammarError>> {
        let states = States::new(&grammar)?;
        let n_words = trie.vocab_size().div_ceil(64);
        let n_slots = (MASK_BYTES_MAX / (8 * n_words.max(1))).clamp(8, 256);
        let mut matcher = Matcher {
            n_words,
            masks: filled(0, n_slots * n_words)?,
            owners: filled(NONE, n_slots)?,
            slots: filled(NONE, states.max_states())?,
            next_slot: 0,
            walk: reserved(trie.max_depth + 1)?,
            state: DEAD,
            grammar,
            trie,
            kinds_below,
            states,
        };
        Some(matcher.reset().map(|()| matcher))
    }

    /// Another text of the same grammar and vocabulary, before its first byte.
    pub fn fork(&self) -> Result<Matcher, GrammarError> {
        let kinds = self.kinds_below.clone();
        Self::allocate(self.grammar.clone(), self.trie.clone(), kinds)
            .ok_or_else(|| GrammarError::new(GrammarErrorKind::OutOfMemory))?
    }

    /// Goes back to before the first byte.
    pub fn reset(&mut self) -> Result<(), GrammarError> {
        self.state = match self.states.start(&self.grammar) {
            Ok(state) => state,
            Err(Halt::TooAmbiguous) => return Err(too_ambiguous()),
            Err(Halt::Full) => {
                self.forget()?;
                let start = self.states.start(&self.grammar);
                start.map_err(|_| too_ambiguous())?
            }
        };
        Ok(())
    }

    /// Whether the text may end here.
    pub fn accepts(&self) -> bool {
        self.states.accepts(self.state)
    }

    /// Whether the text is whole and nothing can follow.
    pub fn is_complete(&self) -> bool {
        self.states.is_complete(self.state)
    }

    /// One bit per token: whether its text may come next. Tokens without text are not in it.
    pub fn mask(&mut self) -> Result<&[u64], GrammarError> {
        if self.slots[self.state as usize] == NONE {
            match self.make_mask() {
                Ok(()) => {}
                Err(Halt::TooAmbiguous) => return Err(too_ambiguous()),
                Err(Halt::Full) => {
                    self.forget()?;
                    self.make_mask().map_err(|_| too_ambiguous())?;
                }
            }
        }
        let slot = self.slots[self.state as usize] as usize;
        Ok(&self.masks[slot * self.n_words..(slot + 1) * self.n_words])
    }

    /// Takes a token's text into account; `false` if the grammar does not allow it, and then
    /// nothing more matches.
    pub fn accept(&mut self, tokenizer: &Detokenizer, token: u32) -> Result<bool, GrammarError> {
        self.accept_bytes(tokenizer.text_bytes(token).unwrap_or(&[]))
    }

    /// The same of bytes.
    pub fn accept_bytes(&mut self, bytes: &[u8]) -> Result<bool, GrammarError> {
        for &byte in bytes {
            let kind = self.grammar.kind_of_byte[usize::from(byte)];
            self.state = match self.states.step(&self.grammar, self.state, kind) {
                Ok(state) => state,
                Err(Halt::TooAmbiguous) => return Err(too_ambiguous()),
                Err(Halt::Full) => {
                    self.forget()?;
                    let state = self.states.step(&self.grammar, self.state, kind);
                    state.map_err(|_| too_ambiguous())?
                }
            };
        }
        Ok(self.state != DEAD)
    }

    /// Walks the tree with the present state and keeps the mask.
    fn make_mask(&mut self) -> Result<(), Halt> {
        let loops = self.loops()?;
        let slot = self.next_slot;
        let mask = &mut self.masks[slot * self.n_words..(slot + 1) * self.n_words];
        // Until it is whole, it is nobody's.
        let owner = core::mem::replace(&mut self.owners[slot], NONE);
        if owner != NONE {
            self.slots[owner as usize] = NONE;
        }
        mask.fill(0);
        self.walk.clear();
        self.walk.push(self.state);
        let (trie, grammar) = (&*self.trie, &*self.grammar);
        let mut at = 0;
        while let Some(node) = trie.real_nodes().get(at) {
            self.walk.truncate(usize::from(node.depth));
            let state = self.walk.last().copied().unwrap_or(DEAD);
            let kind = grammar.kind_of_byte[usize::from(node.byte)];
            let next = self.states.step(grammar, state, kind)?;
            if next == DEAD {
                at = node.end as usize;
                continue;
            }
            self.walk.push(next);
            let is_whole = next == self.state && self.kinds_below[at] & !loops == 0;
            at = if is_whole { node.end as usize } else { at + 1 };
            let fit = node.first as usize..trie.nodes[at].first as usize;
            for &token in &trie.tokens[fit] {
                mask[token as usize / 64] |= 1 << (token % 64);
            }
        }
        self.owners[slot] = self.state;
        self.slots[self.state as usize] = slot as u32;
        self.next_slot = (slot + 1) % self.owners.len();
        Ok(())
    }

    /// The kinds of bytes that lead back to the present state, as bits.
    fn loops(&mut self) -> Result<u64, Halt> {
        let mut others = 0;
        for kind in 0..self.grammar.n_kinds {
            let next = self.states.step(&self.grammar, self.state, kind as u8)?;
            others |= u64::from(next != self.state) << (kind % 64);
        }
        Ok(!others)
    }

    fn forget(&mut self) -> Result<(), GrammarError> {
        self.state = self.states.forget(self.state)?;
        self.owners.fill(NONE);
        self.slots.fill(NONE);
        Ok(())
    }
}

/// Per node of a tree the kinds of bytes of all nodes below it; `None` if memory cannot be had.
fn kinds_below(grammar: &Grammar, trie: &TokenTrie) -> Option<Vec<u64>> {
    let nodes = trie.real_nodes();
    let mut below = filled(0, nodes.len())?;
    // Of the siblings behind the present node, by depth.
    let mut behind = filled(0, trie.max_depth + 2)?;
    for (node, below) in nodes.iter().zip(&mut below).rev() {
        let depth = usize::from(node.depth);
        *below = core::mem::take(&mut behind[depth + 1]);
        let kind = grammar.kind_of_byte[usize::from(node.byte)];
        behind[depth] |= *below | 1u64 << (kind % 64);
    }
    Some(below)
}

fn too_ambiguous() -> GrammarError {
    GrammarError::new(GrammarErrorKind::TooAmbiguous)
}
