//! Going back, branching, and changing the assembly on the way.
//!
//! What is gone back to is what a session would be that never went further: the same tokens,
//! positions, digest and, from there on, the same bits.

use super::{Session, SessionError, SessionErrorKind, no_room};
use crate::adapter::{LoadedAdapter, Stack, StackError, StackLimits, Weighing};
use crate::digest::Digest;
use crate::kv_cache::SequenceId;
use crate::model::{Engine, StackId};
use crate::sampler::Logprobs;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The assembly changed while a session ran.
#[derive(Clone, Debug, PartialEq)]
pub struct AssemblyEvent {
    /// Tokens that the session held.
    pub n_tokens: usize,
    /// Positions that had been computed; later ones come from the new assembly.
    pub position: usize,
    /// Its identity.
    pub assembly: Digest,
    /// `weights` identity of its adapters with what weighs them, in stack order.
    pub adapters: Vec<(Digest, Weighing)>,
}

impl Session {
    /// Goes back to the first `n` tokens of prompts and outputs; the next step goes on from
    /// there. Tokens, logits and digest are then those of a session that never went further.
    pub fn rewind(&mut self, engine: &mut Engine, n: usize) -> Result<(), SessionError> {
        if n == 0 || n > self.tokens.len() {
            let kind = SessionErrorKind::RewindRange(n as u64, self.tokens.len() as u64);
            return Err(SessionError::new(kind));
        }
        self.forget_made();
        self.settle(engine)?;
        // The last token is computed again, because its logits are wanted.
        self.context.follow(engine, &self.tokens[..n], 1)?;
        let n_kept = self.context.n_computed;
        self.tokens.truncate(n);
        self.turns.retain(|turn| turn.prompt_start < n);
        let mut prompt_start = n;
        if let Some(turn) = self.turns.last_mut() {
            turn.output_start = turn.output_start.min(n);
            if turn.output_start == n {
                // Nothing but the prompt, perhaps cut short, is left of the turn: it is hashed
                // again.
                prompt_start = turn.prompt_start;
            }
        }
        self.digest.truncate(prompt_start);
        // Positions that a change now forgotten has computed are computed anew.
        let gone = |event: &AssemblyEvent| event.n_tokens > prompt_start;
        let is_mixed = |event: &AssemblyEvent| gone(event) && event.position < n_kept;
        let mut is_mixed = self.events.iter().any(is_mixed);
        self.events.retain(|event| !gone(event));
        // So is everything where nothing was kept.
        is_mixed |= n_kept == 0 && !self.events.is_empty();
        for event in self.events.iter().filter(|e| e.n_tokens == prompt_start) {
            self.digest.event(event.position, &event.assembly);
        }
        if prompt_start < n {
            self.digest.prompt(&self.tokens[prompt_start..]);
        }
        self.take_up_assembly(engine, is_mixed)?;
        let known = self.events.last().map_or(self.opened_by, |e| e.assembly);
        if known != self.context.assembly || is_mixed && !self.events.is_empty() {
            self.note_event(engine);
        }
        self.stop = None;
        self.read_again(engine)
    }

    /// A session that continues from here on its own; the cache's pages are shared.
    pub fn fork(&self, engine: &mut Engine) -> Result<Self, SessionError> {
        let refused = || no_room(self.context.max_len);
        let constraint = match &self.constraint {
            Some(constraint) => Some(constraint.fork(&engine.model.tokenizer)?),
            None => None,
        };
        let sequence = engine.fork_sequence(self.context.sequence)?;
        let Some(mut fork) = self.copy_for(engine, sequence) else {
            engine.close_sequence(sequence);
            return Err(refused());
        };
        fork.constraint = constraint;
        fork.forget_made();
        match fork.read_again(engine).and_then(|()| fork.settle(engine)) {
            Ok(()) => Ok(fork),
            Err(error) => {
                fork.close(engine);
                Err(error)
            }
        }
    }

    fn copy_for(&self, engine: &Engine, sequence: SequenceId) -> Option<Self> {
        let settings = self.settings.clone();
        let context = self.context.fork(sequence)?;
        let mut fork = Self::with_context(engine, settings, context, self.digest.opened())?;
        fork.reserve(self.tokens.capacity())?;
        fork.tokens.extend_from_slice(&self.tokens);
        fork.digest.copy_from(&self.digest);
        fork.turns = self.turns.clone();
        fork.events = self.events.clone();
        fork.opened_by = self.opened_by;
        fork.opened_adapters = self.opened_adapters.clone();
        fork.stop = self.stop;
        fork.made.extend_from_slice(&self.made);
        fork.n_handed = self.n_handed;
        fork.is_unsettled = self.is_unsettled;
        Some(fork)
    }

    /// After a prompt or a rewind: reads all tokens anew for stop strings and grammar.
    pub(super) fn read_again(&mut self, engine: &Engine) -> Result<(), SessionError> {
        self.logprobs.iter_mut().for_each(Logprobs::forget);
        if let Some(turn) = self.turns.last() {
            let (before, output) = self.tokens.split_at(turn.output_start);
            let tokenizer = &engine.model.tokenizer;
            self.stop_watch.begin(tokenizer, before, output);
            if let Some(constraint) = &mut self.constraint {
                constraint.read_again(tokenizer, output)?;
            }
        }
        Ok(())
    }

    /// Gives the session a stack of adapters, or none: rows from here on are computed with it,
    /// and what is computed already stays. The next step or prompt notes the change. Several
    /// sessions may share a stack.
    pub fn use_stack(
        &mut self,
        engine: &mut Engine,
        stack: Option<StackId>,
    ) -> Result<(), SessionError> {
        let bound = engine.use_stack(self.context.sequence, stack);
        bound.map_err(|_| SessionError::new(SessionErrorKind::NoSuchStack))
    }

    /// Puts a stack in the place of the session's own, which it shares with none; adapters may
    /// come, go and move between any two tokens.
    pub fn change_stack(&mut self, engine: &mut Engine, stack: Stack) -> Result<(), StackError> {
        if let Some(id) = self.stack(engine) {
            return engine.replace_stack(id, stack);
        }
        let id = engine.add_stack(stack)?;
        let bound = engine.use_stack(self.context.sequence, Some(id));
        bound.inspect_err(|_| engine.remove_stack(id))
    }

    /// Gives the session adapters by identity, out of those at hand; refused as `missing`.
    pub(super) fn arrange(
        &mut self,
        engine: &mut Engine,
        (pool, adapters): (&[Arc<LoadedAdapter>], &[(Digest, Weighing)]),
        missing: fn() -> SessionErrorKind,
    ) -> Result<(), SessionError> {
        let missing = || SessionError::new(missing());
        if adapters.is_empty() && self.stack(engine).is_none() {
            return Ok(());
        }
        let mut stack = engine.new_stack(StackLimits::UNLIMITED);
        for (weights, weighing) in adapters {
            let adapter = pool.iter().find(|one| one.weights == *weights);
            let pushed = stack.push_weighed(adapter.ok_or_else(missing)?.clone(), weighing.clone());
            pushed.map_err(|_| missing())?;
        }
        self.change_stack(engine, stack).map_err(|_| missing())
    }

    /// Forgets what was computed by earlier weights of the adapters: the next steps read every
    /// token again, as a session would that had them from its start. Recorded as a change at
    /// position 0.
    pub fn reread(&mut self, engine: &mut Engine) -> Result<(), SessionError> {
        let assembly = engine.assembly(self.stack(engine));
        let is_whole = self.context.changes().is_empty() && self.context.assembly == assembly;
        if is_whole || self.tokens.is_empty() {
            return Ok(());
        }
        self.change_assembly(engine, true)
    }

    /// The stack that the session uses.
    pub fn stack(&self, engine: &Engine) -> Option<StackId> {
        engine.stack_of(self.context.sequence)
    }

    /// Notes whether another assembly computes from here on: another stack, or other weights.
    pub(super) fn note_assembly(&mut self, engine: &mut Engine) -> Result<(), SessionError> {
        if self.mix_revision == engine.mix_revision() {
            return Ok(());
        }
        if engine.assembly(self.stack(engine)) != self.context.assembly {
            return self.change_assembly(engine, false);
        }
        self.mix_revision = engine.mix_revision();
        Ok(())
    }

    /// Lets the assembly of now compute from here on, or everything anew, and notes that.
    pub(super) fn change_assembly(
        &mut self,
        engine: &mut Engine,
        is_anew: bool,
    ) -> Result<(), SessionError> {
        // What was chosen ahead came from the old one.
        self.forget_made();
        self.settle(engine)?;
        self.take_up_assembly(engine, is_anew)?;
        self.note_event(engine);
        Ok(())
    }

    fn take_up_assembly(&mut self, engine: &mut Engine, is_anew: bool) -> Result<(), SessionError> {
        self.mix_revision = engine.mix_revision();
        let assembly = engine.assembly(self.stack(engine));
        if is_anew {
            self.context.assembly = assembly;
            self.context.compute_anew(engine, self.settings.kv_format)?;
        } else if assembly != self.context.assembly {
            self.context.change_assembly(assembly);
        }
        Ok(())
    }

    /// The adapters that the next row was to be computed with when that was last looked at.
    pub(super) fn adapters_noted(&self) -> &[(Digest, Weighing)] {
        let last = self.events.last();
        last.map_or(&self.opened_adapters, |event| &event.adapters)
    }

    /// The session's adapters with their weights.
    pub(super) fn adapters_now(&self, engine: &Engine) -> Vec<(Digest, Weighing)> {
        let stack = self.stack(engine).and_then(|id| engine.stack(id));
        let entries = stack.map_or(&[][..], |stack| stack.entries()).iter();
        entries
            .map(|entry| (entry.adapter().weights, entry.weighing().clone()))
            .collect()
    }

    fn note_event(&mut self, engine: &Engine) {
        let event = AssemblyEvent {
            n_tokens: self.tokens.len(),
            position: self.context.n_computed,
            assembly: self.context.assembly,
            adapters: self.adapters_now(engine),
        };
        self.digest.event(event.position, &event.assembly);
        self.events.push(event);
    }

    /// Changes of the assembly on the way, in order.
    pub fn events(&self) -> &[AssemblyEvent] {
        &self.events
    }

    /// Gives the session's pages back; whole ones stay for others while the budget allows.
    pub fn close(self, engine: &mut Engine) {
        engine.close_sequence(self.context.sequence);
    }
}
