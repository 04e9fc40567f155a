//! Where a text stands in a grammar: sets of stacks, each known by a number.
//!
//! A stack is a place in the table and the stack below it; equal stacks are one node, equal sets
//! one state, and a state's answer to a kind of byte is kept. So a text that repeats itself (the
//! inside of a string) costs a lookup per byte. All memory is had at once; when it is full,
//! everything but the present state is forgotten, which changes no answer.

use super::error::{GrammarError, GrammarErrorKind};
use super::table::{Element, Grammar};
use crate::memory::{filled, reserved};
use alloc::vec::Vec;

/// Nodes of stacks.
const NODES_MAX: usize = 1 << 15;

/// Nodes in all states together.
const SET_NODES_MAX: usize = 1 << 16;

/// Answers kept: states times kinds of bytes.
const ANSWERS_MAX: usize = 1 << 18;

/// Stacks of one state, and steps to find them.
const STACKS_MAX: usize = 256;

/// The bottom of every stack.
const BOTTOM: u32 = 0;

/// The stack of a text that is complete.
const COMPLETE: u32 = 1;

/// The state that nothing matches.
pub(super) const DEAD: u32 = 0;

const UNKNOWN: u32 = u32::MAX;

/// Memory is full, or a limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// [`States::forget`] helps.
    Full,
    /// Nothing helps.
    TooAmbiguous,
}

/// The states met so far.
pub(super) struct States {
    n_kinds: usize,
    max_states: usize,
    /// Place in the table and stack below.
    nodes: Vec<(u32, u32)>,
    node_index: Vec<u32>,
    /// The nodes of all states, one after the other, ascending within each.
    set_nodes: Vec<u32>,
    /// Where each state's nodes begin; they end where the next one's begin.
    starts: Vec<u32>,
    state_index: Vec<u32>,
    /// `[max_states, n_kinds]`.
    answers: Vec<u32>,
    /// Stacks to be opened, and those that were.
    open: Vec<(u32, u32)>,
    opened: Vec<(u32, u32)>,
    found: Vec<u32>,
}

impl States {
    /// Room for the states of a grammar; `None` if memory cannot be had.
    pub fn new(grammar: &Grammar) -> Option<Self> {
        let n_kinds = grammar.n_kinds;
        let max_states = (ANSWERS_MAX / n_kinds.max(1)).clamp(256, 8192);
        let mut states = Self {
            n_kinds,
            max_states,
            nodes: reserved(NODES_MAX)?,
            node_index: filled(UNKNOWN, 2 * NODES_MAX)?,
            set_nodes: reserved(SET_NODES_MAX)?,
            starts: reserved(max_states + 1)?,
            state_index: filled(UNKNOWN, 2 * max_states.next_power_of_two())?,
            answers: filled(UNKNOWN, max_states * n_kinds)?,
            open: reserved(2 * STACKS_MAX)?,
            opened: reserved(2 * STACKS_MAX)?,
            found: reserved(2 * STACKS_MAX)?,
        };
        states.clear();
        Some(states)
    }

    /// Room for states; their numbers are below this.
    pub fn max_states(&self) -> usize {
        self.max_states
    }

    fn clear(&mut self) {
        self.nodes.clear();
        self.nodes.extend([(UNKNOWN, UNKNOWN); 2]);
        self.node_index.fill(UNKNOWN);
        self.set_nodes.clear();
        self.starts.clear();
        // The dead state is the empty set.
        self.starts.extend([0, 0]);
        self.state_index.fill(UNKNOWN);
        self.answers.fill(UNKNOWN);
    }

    /// The state before any byte.
    pub fn start(&mut self, grammar: &Grammar) -> Result<u32, Halt> {
        self.found.clear();
        self.opened.clear();
        for &start in grammar.alternatives(0) {
            self.open_from(grammar, (start, BOTTOM))?;
        }
        self.found_state()
    }

    /// Whether a text may end here.
    pub fn accepts(&self, state: u32) -> bool {
        self.stacks(state).contains(&COMPLETE)
    }

    /// Whether a text must end here.
    pub fn is_complete(&self, state: u32) -> bool {
        self.stacks(state) == [COMPLETE]
    }

    fn stacks(&self, state: u32) -> &[u32] {
        let at = state as usize;
        &self.set_nodes[self.starts[at] as usize..self.starts[at + 1] as usize]
    }

    /// The state after one more byte of this kind.
    #[inline]
    pub fn step(&mut self, grammar: &Grammar, state: u32, kind: u8) -> Result<u32, Halt> {
        let answer = self.answers[state as usize * self.n_kinds + usize::from(kind)];
        if answer != UNKNOWN {
            return Ok(answer);
        }
        self.compute(grammar, state, kind)
    }

    fn compute(&mut self, grammar: &Grammar, state: u32, kind: u8) -> Result<u32, Halt> {
        self.found.clear();
        self.opened.clear();
        let at = state as usize;
        let range = self.starts[at] as usize..self.starts[at + 1] as usize;
        for i in range {
            let (place, below) = self.nodes[self.set_nodes[i] as usize];
            let Some(Element::Class(class)) = grammar.elements.get(place as usize) else {
                continue;
            };
            if grammar.has(*class, kind) {
                self.open_from(grammar, (place + 1, below))?;
            }
        }
        let next = self.found_state()?;
        self.answers[at * self.n_kinds + usize::from(kind)] = next;
        Ok(next)
    }

    /// Finds every stack that waits for a byte, from this one on.
    fn open_from(&mut self, grammar: &Grammar, stack: (u32, u32)) -> Result<(), Halt> {
        self.open.push(stack);
        while let Some((place, below)) = self.open.pop() {
            // Reached in several ways, it is opened once.
            if self.opened.contains(&(place, below)) {
                continue;
            }
            if self.opened.len() >= STACKS_MAX {
                self.open.clear();
                return Err(Halt::TooAmbiguous);
            }
            self.opened.push((place, below));
            match grammar.elements[place as usize] {
                Element::Class(_) => {
                    let node = self.node(place, below)?;
                    self.found.push(node);
                }
                Element::End if below == BOTTOM => self.found.push(COMPLETE),
                Element::End => self.open.push(self.nodes[below as usize]),
                Element::Rule(rule) => {
                    // What is last in its alternative leaves nothing to return to.
                    let is_last = grammar.elements[place as usize + 1] == Element::End;
                    let below = match is_last {
                        true => below,
                        false => self.node(place + 1, below)?,
                    };
                    let starts = grammar.alternatives(rule);
                    if self.open.len() + starts.len() > 2 * STACKS_MAX {
                        self.open.clear();
                        return Err(Halt::TooAmbiguous);
                    }
                    self.open.extend(starts.iter().map(|start| (*start, below)));
                }
            }
        }
        Ok(())
    }

    /// The node of a stack.
    fn node(&mut self, place: u32, below: u32) -> Result<u32, Halt> {
        let mask = self.node_index.len() - 1;
        let mut slot = mix(u64::from(place) << 32 | u64::from(below)) as usize & mask;
        loop {
            let node = self.node_index[slot];
            if node == UNKNOWN {
                break;
            }
            if self.nodes[node as usize] == (place, below) {
                return Ok(node);
            }
            slot = (slot + 1) & mask;
        }
        if self.nodes.len() >= NODES_MAX {
            self.open.clear();
            return Err(Halt::Full);
        }
        let node = self.nodes.len() as u32;
        self.nodes.push((place, below));
        self.node_index[slot] = node;
        Ok(node)
    }

    /// The state of the stacks found.
    fn found_state(&mut self) -> Result<u32, Halt> {
        if self.found.is_empty() {
            return Ok(DEAD);
        }
        crate::sorting::sort(&mut self.found);
        self.found.dedup();
        let mut hash = self.found.len() as u64;
        for node in &self.found {
            hash = mix(hash ^ u64::from(*node) << 20);
        }
        let mask = self.state_index.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let state = self.state_index[slot];
            if state == UNKNOWN {
                break;
            }
            if self.stacks(state) == self.found {
                return Ok(state);
            }
            slot = (slot + 1) & mask;
        }
        let n_states = self.starts.len() - 1;
        if n_states >= self.max_states || self.set_nodes.len() + self.found.len() > SET_NODES_MAX {
            return Err(Halt::Full);
        }
        self.set_nodes.extend_from_slice(&self.found);
        self.starts.push(self.set_nodes.len() as u32);
        self.state_index[slot] = n_states as u32;
        Ok(n_states as u32)
    }

    /// Forgets every state but this one, and returns its new number.
    ///
    /// Stacks are rebuilt from the bottom up; they are at most as deep as there were nodes.
    pub fn forget(&mut self, state: u32) -> Result<u32, GrammarError> {
        let memory = || GrammarError::new(GrammarErrorKind::OutOfMemory);
        let mut kept: Vec<u32> = reserved(self.stacks(state).len()).ok_or_else(memory)?;
        kept.extend_from_slice(self.stacks(state));
        let mut old: Vec<(u32, u32)> = reserved(self.nodes.len()).ok_or_else(memory)?;
        old.extend_from_slice(&self.nodes);
        self.clear();
        self.found.clear();
        for node in kept {
            let full = |_| GrammarError::new(GrammarErrorKind::TooAmbiguous);
            let node = self.rebuilt(&old, node).map_err(full)?;
            self.found.push(node);
        }
        let full = |_| GrammarError::new(GrammarErrorKind::TooAmbiguous);
        self.found_state().map_err(full)
    }

    fn rebuilt(&mut self, old: &[(u32, u32)], node: u32) -> Result<u32, Halt> {
        // From the top down to the bottom, then up again.
        let mut chain = Vec::new();
        let mut at = node;
        while at > COMPLETE {
            chain.push(old[at as usize].0);
            at = old[at as usize].1;
        }
        let mut below = at;
        for place in chain.into_iter().rev() {
            below = self.node(place, below)?;
        }
        Ok(below)
    }
}

/// Spreads the bits of a number (SplitMix64's finalizer, Steele, Lea and Flood, 2014).
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
