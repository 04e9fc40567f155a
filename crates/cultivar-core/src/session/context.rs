//! What of a session stands in the cache: the tokens by position, how many of them are computed,
//! by which assembly, and what happens when the context is full.
//!
//! All of it follows from the session's tokens and the changes of its assembly, so going back or
//! coming again gives the same positions and the same bits.

use crate::digest::Digest;
use crate::kv_cache::{AssemblyChange, Content, KvFormat, PageCounts, SequenceId, root_key};
use crate::memory::reserved;
use crate::model::{Engine, ModelError};
use alloc::vec::Vec;

/// The positions of a session.
pub(super) struct Context {
    pub sequence: SequenceId,
    /// Positions that there are.
    pub max_len: usize,
    /// Tokens by position; one more than `max_len` at most.
    pub tokens: Vec<u32>,
    /// How many of them have keys and values in the cache.
    pub n_computed: usize,
    /// The assembly that the next row is computed by.
    pub assembly: Digest,
    /// With context shift: how many of the first tokens stay when the context is full.
    sinks: Option<usize>,
    /// Which of the session's tokens stands after the sinks.
    start: usize,
    root: Digest,
    changes: Vec<AssemblyChange>,
    /// Its pages came from outside: they are neither shown to others nor mixed with theirs.
    is_private: bool,
}

impl Context {
    /// An empty context; `None` if memory cannot be had.
    pub fn new(
        sequence: SequenceId,
        (max_len, sinks): (usize, Option<usize>),
        format: KvFormat,
        assembly: Digest,
    ) -> Option<Self> {
        Some(Self {
            sequence,
            max_len,
            tokens: reserved(max_len + 1)?,
            n_computed: 0,
            assembly,
            sinks,
            start: sinks.unwrap_or(0),
            root: root_key(&assembly, format),
            changes: Vec::new(),
            is_private: false,
        })
    }

    /// A copy of it for another sequence of the same positions; `None` if memory cannot be had.
    pub fn fork(&self, sequence: SequenceId) -> Option<Self> {
        let mut tokens = reserved(self.max_len + 1)?;
        tokens.extend_from_slice(&self.tokens);
        Some(Self {
            sequence,
            tokens,
            changes: self.changes.clone(),
            ..*self
        })
    }

    /// Begins anew with another assembly; nothing is computed yet.
    pub fn restart(&mut self, assembly: Digest, format: KvFormat) {
        self.assembly = assembly;
        self.root = root_key(&assembly, format);
    }

    /// Nothing is computed any more: every position comes from the assembly of now.
    pub fn compute_anew(
        &mut self,
        engine: &mut Engine,
        format: KvFormat,
    ) -> Result<(), ModelError> {
        engine.rewind_sequence(self.sequence, 0)?;
        self.n_computed = 0;
        self.changes.clear();
        self.is_private = false;
        self.restart(self.assembly, format);
        Ok(())
    }

    /// From the next row on, another assembly computes.
    pub fn change_assembly(&mut self, assembly: Digest) {
        self.assembly = assembly;
        self.note_change();
    }

    /// Notes from where on the assembly of the next row is in force.
    fn note_change(&mut self) {
        let position = self.n_computed as u32;
        self.changes.retain(|change| change.position < position);
        let last = self.changes.last();
        if last.is_none_or(|change| change.assembly != self.assembly) {
            let assembly = self.assembly;
            self.changes.push(AssemblyChange { position, assembly });
        }
    }

    /// Which of `n` tokens stands after the sinks: with each full context half of the rest goes.
    fn start_of(&self, n: usize) -> usize {
        let Some(sinks) = self.sinks else { return 0 };
        let mut start = sinks;
        let n_dropped = ((self.max_len - sinks) / 2).max(1);
        while (sinks + n).saturating_sub(start) > self.max_len {
            start += n_dropped;
        }
        start
    }

    /// Whether there is no position for the last token.
    pub fn is_full(&self) -> bool {
        self.tokens.len() > self.max_len
    }

    /// Whether a full context drops its middle and goes on.
    pub fn shifts(&self) -> bool {
        self.sinks.is_some()
    }

    /// Tokens that one prompt can have at most.
    pub fn prompt_len_max(&self) -> usize {
        match self.sinks {
            Some(sinks) => self.max_len - sinks,
            None => self.max_len.saturating_sub(self.tokens.len()),
        }
    }

    /// Brings the positions to what all of the session's tokens ask for: those appended since, or
    /// fewer, or after a full context those that stay. Keeps what is computed already, but at
    /// least `n_wanted` tokens are to be computed again.
    pub fn follow(
        &mut self,
        engine: &mut Engine,
        all: &[u32],
        n_wanted: usize,
    ) -> Result<(), ModelError> {
        let start = self.start_of(all.len());
        let n_same = match start == self.start {
            true => self.n_computed,
            false => self.n_computed.min(self.sinks.unwrap_or(0)),
        };
        let sinks = self.sinks.unwrap_or(0).min(all.len());
        let rest = all.get(start.max(sinks)..).unwrap_or(&[]);
        let len = sinks + rest.len();
        let n_kept = n_same.min(len.saturating_sub(n_wanted));
        if n_kept < self.n_computed {
            self.n_computed = engine.rewind_sequence(self.sequence, n_kept)?;
            if !self.changes.is_empty() {
                self.note_change();
            }
        }
        self.start = start;
        self.tokens.clear();
        self.tokens.extend_from_slice(&all[..sinks]);
        self.tokens.extend_from_slice(rest);
        Ok(())
    }

    /// Has pages for `n_more` tokens behind those that there are, as far as there are positions;
    /// refused without a change.
    pub fn make_room(&self, engine: &mut Engine, n_more: usize) -> Result<(), ModelError> {
        let n_wanted = match self.shifts() {
            true => self.max_len,
            false => self.tokens.len().saturating_add(n_more),
        };
        engine.set_room(self.sequence, n_wanted.min(self.max_len))
    }

    /// From where on which assembly computed.
    pub fn changes(&self) -> &[AssemblyChange] {
        &self.changes
    }

    /// Takes over what a snapshot says of the computed positions, which the cache holds.
    pub fn restore(&mut self, n_computed: usize, changes: Vec<AssemblyChange>, assembly: Digest) {
        self.n_computed = n_computed;
        self.assembly = assembly;
        self.changes = changes;
        self.is_private = true;
    }

    /// Takes from the cache what it has of the positions that are not computed yet.
    pub fn adopt(&mut self, engine: &mut Engine) -> Result<PageCounts, ModelError> {
        if self.is_private {
            return Ok(PageCounts::default());
        }
        let counts = engine.adopt_pages(self.sequence, &self.content())?;
        self.n_computed = engine.kv().len(self.sequence)?;
        Ok(counts)
    }

    /// Lets others find the whole pages that were computed.
    pub fn publish(&self, engine: &mut Engine) -> Result<(), ModelError> {
        match self.is_private {
            true => Ok(()),
            false => engine.publish_pages(self.sequence, &self.content()),
        }
    }

    fn content(&self) -> Content<'_> {
        Content {
            root: self.root,
            tokens: &self.tokens,
            changes: &self.changes,
        }
    }
}
