//! A session's grammar: logits of what may not come next are taken away before anything else is
//! done with them, and each token moves the grammar on.

use super::error::{SessionError, SessionErrorKind};
use super::settings::Settings;
use crate::grammar::{GrammarError, GrammarErrorKind, Matcher};
use crate::kernels::elementwise::keep_bits;
use crate::memory::filled;
use crate::model::Engine;
use crate::tokenizer::Detokenizer;
use alloc::vec::Vec;

/// The grammar of one output.
pub(super) struct Constraint {
    matcher: Matcher,
    /// Logits of what may come next, minus infinity for the rest: `[vocab_size]`.
    masked: Vec<f32>,
}

fn memory() -> SessionError {
    GrammarError::new(GrammarErrorKind::OutOfMemory).into()
}

impl Constraint {
    /// What the settings ask for, if anything, by the table that the engine was given.
    pub fn new(settings: &Settings, engine: &mut Engine) -> Result<Option<Self>, SessionError> {
        let Some(source) = &settings.constraint else {
            return Ok(None);
        };
        let matcher = engine.matcher(&source.digest())?;
        Self::of(matcher, &engine.model.tokenizer).map(Some)
    }

    fn of(matcher: Matcher, tokenizer: &Detokenizer) -> Result<Self, SessionError> {
        let masked = filled(0.0, tokenizer.vocab_size() as usize).ok_or_else(memory)?;
        Ok(Self { matcher, masked })
    }

    /// One for another output of the same grammar, at its beginning.
    pub fn fork(&self, tokenizer: &Detokenizer) -> Result<Self, SessionError> {
        Self::of(self.matcher.fork()?, tokenizer)
    }

    /// Whether the output is whole and nothing can follow.
    pub fn is_complete(&self) -> bool {
        self.matcher.is_complete()
    }

    /// The logits with only what may come next; `stops` may where the output may end.
    pub fn mask(
        &mut self,
        logits: &[f32],
        stops: impl Iterator<Item = u32>,
    ) -> Result<&[f32], SessionError> {
        let may_end = self.matcher.accepts();
        let mask = self.matcher.mask()?;
        keep_bits(&mut self.masked, logits, mask);
        // Stop tokens add no text, so no grammar speaks of them.
        for id in stops.filter(|_| may_end) {
            let id = id as usize;
            if let (Some(out), Some(logit)) = (self.masked.get_mut(id), logits.get(id)) {
                *out = *logit;
            }
        }
        Ok(&self.masked)
    }

    /// The sampler's choice, if it may come next; else (no logit of those that may is usable) the
    /// first token that may and is not banned.
    pub fn chosen(
        &mut self,
        token: u32,
        banned: &[u32],
        is_stop: impl Fn(u32) -> bool,
    ) -> Result<u32, SessionError> {
        let may_end = self.matcher.accepts();
        let mask = self.matcher.mask()?;
        let may = |id: u32| {
            let is_in = mask[id as usize / 64] >> (id % 64) & 1 == 1;
            (is_in || may_end && is_stop(id)) && banned.binary_search(&id).is_err()
        };
        let mut ids = core::iter::once(token).chain(0..self.masked.len() as u32);
        let none = GrammarError::new(GrammarErrorKind::NoToken);
        Ok(ids.find(|id| may(*id)).ok_or(none)?)
    }

    /// Takes a token of the output into account.
    pub fn accept(&mut self, tokenizer: &Detokenizer, token: u32) -> Result<(), SessionError> {
        self.matcher.accept(tokenizer, token)?;
        Ok(())
    }

    /// Begins anew and reads these tokens.
    pub fn read_again(&mut self, tokenizer: &Detokenizer, ids: &[u32]) -> Result<(), SessionError> {
        self.matcher.reset()?;
        ids.iter().try_for_each(|id| self.accept(tokenizer, *id))
    }
}

impl From<GrammarError> for SessionError {
    fn from(error: GrammarError) -> Self {
        Self::new(SessionErrorKind::Grammar(error))
    }
}
