//! The digest of a run: a SHA-256 chain over assembly, settings, prompts, tokens and logits bits.
//!
//! Equal digests mean equal tokens and equal logits bits at every step. The module's own bytes
//! are not part of it: every build must give the same digest.

use super::Settings;
use crate::digest::logits_fold::fold_logits;
use crate::digest::{Digest, Sha256};
use crate::memory::reserved;
use crate::model::NUMERICS_VERSION;
use alloc::vec::Vec;

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
}

impl RunDigest {
    /// The chain's start, with room for `max_len` tokens; `None` if memory cannot be had.
    pub fn new(assembly: &Digest, settings: &Settings, max_len: usize) -> Option<Self> {
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
        if let Some(constraint) = &settings.constraint {
            let (kind, text) = constraint.identity();
            let mut option = Sha256::new();
            option.update(&CONSTRAINT_OPTION.to_le_bytes());
            option.update(&kind.to_le_bytes());
            option.update(text.as_bytes());
            hash.update(&option.finish().0);
        }
        Some(Self {
            opened: hash.finish(),
            after: reserved(max_len)?,
        })
    }

    /// The chain's value now.
    pub fn value(&self) -> Digest {
        self.after.last().copied().unwrap_or(self.opened)
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
        let value = hash.finish();
        self.after.resize(self.after.len() + ids.len(), value);
    }

    /// Adds a step: `SHA-256(value, token, fold of the logits it was chosen from)`.
    pub fn step(&mut self, token: u32, logits: &[f32]) {
        let mut hash = Sha256::new();
        hash.update(&self.value().0);
        hash.update(&token.to_le_bytes());
        for lane in fold_logits(logits) {
            hash.update(&lane.to_le_bytes());
        }
        self.after.push(hash.finish());
    }

    /// Goes back to the tokens given: those from `turn_start` on are `turn`, whose first
    /// `n_prompt` are a prompt, which may have been cut short.
    pub fn rewind(&mut self, turn_start: usize, turn: &[u32], n_prompt: usize) {
        if n_prompt == turn.len() {
            self.after.truncate(turn_start);
            self.prompt(turn);
        } else {
            self.after.truncate(turn_start + turn.len());
        }
    }

    /// A copy of the chain, with room for `max_len` tokens; `None` if memory cannot be had.
    pub fn fork(&self, max_len: usize) -> Option<Self> {
        let mut after = reserved(max_len)?;
        after.extend_from_slice(&self.after);
        Some(Self {
            opened: self.opened,
            after,
        })
    }
}
