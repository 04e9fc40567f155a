//! Which tokens may come next: the vocabulary's tree walked with a grammar's states.
//!
//! Masks of states that were met are kept, so that the expensive ones (inside a string nearly
//! every token fits) are made once. Nothing here is allocated per token but when memory is full,
//! and then once.

use super::error::{GrammarError, GrammarErrorKind};
use super::states::{DEAD, Halt, States};
use super::table::Grammar;
use super::token_trie::{NO_TOKEN, TokenTrie};
use crate::memory::{filled, reserved};
use crate::tokenizer::Tokenizer;
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
        Self::allocate(grammar, trie)
            .ok_or_else(|| GrammarError::new(GrammarErrorKind::OutOfMemory))?
    }

    fn allocate(
        grammar: Arc<Grammar>,
        trie: Arc<TokenTrie>,
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
            states,
        };
        Some(matcher.reset().map(|()| matcher))
    }

    /// Another text of the same grammar and vocabulary, before its first byte.
    pub fn fork(&self) -> Result<Matcher, GrammarError> {
        Self::new(self.grammar.clone(), self.trie.clone())
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
    pub fn accept(&mut self, tokenizer: &Tokenizer, token: u32) -> Result<bool, GrammarError> {
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
        let (nodes, grammar) = (&self.trie.nodes, &*self.grammar);
        let mut at = 0;
        while let Some(node) = nodes.get(at) {
            self.walk.truncate(usize::from(node.depth));
            let state = self.walk.last().copied().unwrap_or(DEAD);
            let kind = grammar.kind_of_byte[usize::from(node.byte)];
            let next = self.states.step(grammar, state, kind)?;
            if next == DEAD {
                at = node.end as usize;
                continue;
            }
            self.walk.push(next);
            let mut token = node.token;
            while token != NO_TOKEN {
                mask[token as usize / 64] |= 1 << (token % 64);
                token = self.trie.next_alike[token as usize];
            }
            at += 1;
        }
        self.owners[slot] = self.state;
        self.slots[self.state as usize] = slot as u32;
        self.next_slot = (slot + 1) % self.owners.len();
        Ok(())
    }

    fn forget(&mut self) -> Result<(), GrammarError> {
        self.state = self.states.forget(self.state)?;
        self.owners.fill(NONE);
        self.slots.fill(NONE);
        Ok(())
    }
}

fn too_ambiguous() -> GrammarError {
    GrammarError::new(GrammarErrorKind::TooAmbiguous)
}
