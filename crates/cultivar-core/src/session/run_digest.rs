//! The digest of a run: a SHA-256 chain over assembly, settings, prompts, tokens and logits bits.
//!
//! Equal digests mean equal tokens and equal logits bits at every step. The module's own bytes
//! are not part of it: every build must give the same digest.

use super::Settings;
use crate::digest::{Digest, Sha256};
use crate::model::NUMERICS_VERSION;
use alloc::vec::Vec;

/// Stands before a change of the assembly.
const EVENT_MARK: u32 = u32::MAX - 1;

/// Stands before a prompt where a step has its token; no vocabulary reaches it.
const PROMPT_MARK: u32 = u32::MAX;

/// The id of the constraint among the options of a run.
const CONSTRAINT_OPTION: u32 = 64;

/// The chain, with the value after every token, so that it can be taken back.
pub(super) struct RunDigest {
    /// The value before any prompt.
    opened: Digest,
    /// The value after each token; within a prompt, that after the whole prompt.
    after: Vec<Digest>,
    /// The value now: that after the last token, and after a change since.
    now: Digest,
}

/// The chain's start.
pub(super) fn opened(assembly: &Digest, settings: &Settings, context_len: usize) -> Digest {
    let mut hash = Sha256::new();
    hash.update(b"cultivar.run.v1\0");
    hash.update(&NUMERICS_VERSION.to_le_bytes());
    hash.update(&assembly.0);
    hash.update(&settings.kv_format.id().to_le_bytes());
    let sampling = &settings.sampling;
    hash.update(&sampling.temperature.to_bits().to_le_bytes());
    hash.update(&sampling.top_k.to_le_bytes());
    hash.update(&sampling.top_p.to_bits().to_le_bytes());
    hash.update(&sampling.seed.to_le_bytes());
    sampling.for_each_option(|id, words| {
        // Each option by itself, so that its length needs no count.
        let mut option = Sha256::new();
        option.update(&id.to_le_bytes());
        for word in words {
            option.update(&word.to_le_bytes());
        }
        hash.update(&option.finish().0);
    });
    if let Some(sinks) = settings.context_shift {
        // Where the context ends decides what is dropped, so it belongs to this option.
        let mut option = Sha256::new();
        for word in [10, sinks, context_len as u32] {
            option.update(&word.to_le_bytes());
        }
        hash.update(&option.finish().0);
    }
    if let Some(constraint) = &settings.constraint {
        let (kind, text) = constraint.identity();
        let mut option = Sha256::new();
        option.update(&CONSTRAINT_OPTION.to_le_bytes());
        option.update(&kind.to_le_bytes());
        option.update(text.as_bytes());
        hash.update(&option.finish().0);
    }
    hash.finish()
}

impl RunDigest {
    /// A chain that begins with this value, without room for tokens yet.
    pub fn new(opened: Digest) -> Self {
        Self {
            opened,
            after: Vec::new(),
            now: opened,
        }
    }

    /// The value before any prompt.
    pub fn opened(&self) -> Digest {
        self.opened
    }

    /// Another start, before there is any token.
    pub fn reopen(&mut self, opened: Digest) {
        self.opened = opened;
        self.now = opened;
    }

    /// Room for so many tokens in all; `None` if memory cannot be had.
    pub fn reserve(&mut self, n_tokens: usize) -> Option<()> {
        let n_more = n_tokens.saturating_sub(self.after.len());
        self.after.try_reserve_exact(n_more).ok()
    }

    /// The values after each token.
    pub fn after(&self) -> &[Digest] {
        &self.after
    }

    /// Takes over the chain of another session; there is room for it.
    pub fn copy_from(&mut self, other: &Self) {
        self.opened = other.opened;
        self.after.clear();
        self.after.extend_from_slice(&other.after);
        self.now = other.now;
    }

    /// Takes over values after tokens, and the one now, as they were stored.
    pub fn restore(&mut self, after: impl Iterator<Item = Digest>, now: Digest) {
        self.after.extend(after);
        self.now = now;
    }

    /// Adds a change of the assembly: `SHA-256(value, mark, position, assembly)`.
    pub fn event(&mut self, position: usize, assembly: &Digest) {
        let mut hash = Sha256::new();
        hash.update(&self.value().0);
        hash.update(&EVENT_MARK.to_le_bytes());
        hash.update(&(position as u32).to_le_bytes());
        hash.update(&assembly.0);
        self.now = hash.finish();
    }

    /// The chain's value now.
    pub fn value(&self) -> Digest {
        self.now
    }

    /// Adds a prompt: `SHA-256(value, mark, n, ids)`.
    pub fn prompt(&mut self, ids: &[u32]) {
        let mut hash = Sha256::new();
        hash.update(&self.value().0);
        hash.update(&PROMPT_MARK.to_le_bytes());
        hash.update(&(ids.len() as u32).to_le_bytes());
        for id in ids {
            hash.update(&id.to_le_bytes());
        }
        self.now = hash.finish();
        self.after.resize(self.after.len() + ids.len(), self.now);
    }

    /// Adds a step: `SHA-256(value, token, fold of the logits it was chosen from)`.
    pub fn step(&mut self, token: u32, fold: [u32; 4]) {
        let mut hash = Sha256::new();
        hash.update(&self.value().0);
        hash.update(&token.to_le_bytes());
        for lane in fold {
            hash.update(&lane.to_le_bytes());
        }
        self.now = hash.finish();
        self.after.push(self.now);
    }

    /// Goes back to the value after `n` tokens, before whatever happened between them and the next.
    pub fn truncate(&mut self, n: usize) {
        self.after.truncate(n);
        self.now = self.after.last().copied().unwrap_or(self.opened);
    }
}
