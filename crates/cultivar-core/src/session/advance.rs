//! Steps: what a session computes next, alone or in one batch with others, and what comes of it.
//!
//! A step plans rows, the engine computes them, the session absorbs the logits. Rows of other
//! sessions, the number of rows and verified drafts change no bit of what comes out.

use super::constraint::Constraint;
use super::drafts;
use super::{LastStep, Session, SessionError, SessionErrorKind, Settings, Step, StopReason};
use crate::kernels::logits_fold::fold_logits;
use crate::memory::reserved;
use crate::model::{Engine, ModelError, Row};
use crate::sampler::RandomStream;
use crate::tokenizer::Detokenizer;
use alloc::vec::Vec;

/// A token that was chosen and not handed out yet.
#[derive(Clone, Copy)]
pub(super) struct Made {
    token: u32,
    /// Of the logits that it was chosen from.
    fold: [u32; 4],
}

/// What a step may use of the engine's batch.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub n_rows: usize,
    pub n_logit_rows: usize,
}

/// What a batch did for one session; a refusal of one leaves the others alone.
pub type BatchStep = Result<Step, SessionError>;

/// Several sessions of one engine, a step each in one pass over the weights.
pub struct Batch {
    rows: Vec<Row>,
    /// Per session the number of its rows.
    n_rows: Vec<usize>,
    steps: Vec<Option<BatchStep>>,
}

impl Batch {
    /// Room for batches of this engine and so many sessions; `None` if memory cannot be had.
    pub fn new(engine: &Engine, n_sessions: usize) -> Option<Self> {
        Some(Self {
            rows: reserved(engine.max_rows())?,
            n_rows: reserved(n_sessions)?,
            steps: reserved(n_sessions)?,
        })
    }

    /// A step of each session, as [`Session::step`] would do them one by one; nothing for those
    /// that found no room in the batch, who are to be asked first the next time.
    ///
    /// `budget_rows` is for each session. What a session refuses stands in its place; an error of
    /// the whole batch leaves all sessions as they were. Does not allocate.
    pub fn step(
        &mut self,
        engine: &mut Engine,
        sessions: &mut [&mut Session],
        budget_rows: usize,
    ) -> Result<&[Option<BatchStep>], SessionError> {
        self.rows.clear();
        self.n_rows.clear();
        self.steps.clear();
        let mut n_logit_rows = 0;
        for session in sessions.iter_mut() {
            let room = Room {
                n_rows: engine.max_rows() - self.rows.len(),
                n_logit_rows: engine.max_logit_rows() - n_logit_rows,
            };
            let has_room = room.n_rows > 0 && room.n_logit_rows > 0;
            let step = match has_room {
                true => session.plan(engine, budget_rows, room).transpose(),
                false => None,
            };
            let rows = match step {
                None if has_room => &session.rows[..],
                _ => &[],
            };
            n_logit_rows += rows.iter().filter(|row| row.wants_logits).count();
            self.rows.extend_from_slice(rows);
            self.n_rows.push(rows.len());
            self.steps.push(step);
        }
        if !self.rows.is_empty() {
            engine.forward(&self.rows)?;
        }
        let mut logits_row = 0;
        let planned = self.n_rows.iter().zip(&mut self.steps);
        for (session, (n_rows, step)) in sessions.iter_mut().zip(planned) {
            if *n_rows > 0 {
                let wanted = session.rows.iter().filter(|row| row.wants_logits).count();
                *step = Some(session.absorb(engine, logits_row));
                logits_row += wanted;
            }
        }
        Ok(&self.steps)
    }
}

impl Session {
    /// Does a bounded piece of work: up to `budget_rows` rows of the prompt, or one token.
    pub fn step(&mut self, engine: &mut Engine, budget_rows: usize) -> Result<Step, SessionError> {
        self.step_part(engine, budget_rows, usize::MAX)
    }

    /// As [`Session::step`], but of a prompt only about `budget_row_layers` rows times layers at
    /// once, at least a layer: so a step is short and its batch long. No bit depends on it. What
    /// others computed in between is no harm, but then the batch is computed anew, at once.
    pub fn step_part(
        &mut self,
        engine: &mut Engine,
        budget_rows: usize,
        budget_row_layers: usize,
    ) -> Result<Step, SessionError> {
        let room = Room {
            n_rows: engine.max_rows(),
            n_logit_rows: engine.max_logit_rows(),
        };
        let begun = self.begun;
        let held = begun.filter(|begun| engine.holds(begun));
        if held.is_none()
            && let Some(step) = self.plan(engine, budget_rows, room)?
        {
            return Ok(step);
        }
        let n_layers = match self.rows.len() {
            n if n > 1 && begun == held => budget_row_layers / n,
            _ => usize::MAX,
        };
        self.begun = None;
        self.begun = engine.forward_part(&self.rows, held, n_layers)?;
        if self.begun.is_some() {
            self.last_step = LastStep::Prefill {
                n_rows: 0,
                first_token: false,
            };
            return Ok(self.progress());
        }
        self.absorb(engine, 0)
    }

    /// How much of the prompt is computed.
    fn progress(&self) -> Step {
        let n_pending = self.context.tokens.len() - self.context.n_computed;
        let total = self.prompt_ids().len();
        let done = total.saturating_sub(n_pending);
        Step::Prefilling { done, total }
    }

    /// Puts the rows of the next step into `rows`, or answers what needs no computing.
    pub(super) fn plan(
        &mut self,
        engine: &mut Engine,
        budget_rows: usize,
        room: Room,
    ) -> Result<Option<Step>, SessionError> {
        self.last_step = LastStep::Nothing;
        self.begun = None;
        self.rows.clear();
        let turn = self
            .turn()
            .ok_or_else(|| SessionError::new(SessionErrorKind::NotPrompted))?;
        if let Some(reason) = self.stop {
            return Ok(Some(Step::Done(reason)));
        }
        let n_output = self.tokens.len() - turn.output_start;
        if n_output >= self.settings.max_tokens as usize {
            return Ok(Some(self.finish(StopReason::MaxTokens)));
        }
        let is_complete = |constraint: &Constraint| constraint.is_complete();
        if n_output > 0 && self.constraint.as_ref().is_some_and(is_complete) {
            return Ok(Some(self.finish(StopReason::GrammarEnd)));
        }
        self.note_assembly(engine)?;
        if self.n_handed < self.made.len() {
            return self.hand_out(engine).map(Some);
        }
        self.settle(engine)?;
        if self.context.is_full() {
            if !self.context.shifts() {
                return Ok(Some(self.finish(StopReason::ContextFull)));
            }
            self.shift(engine)?;
        }
        let n_pending = self.context.tokens.len() - self.context.n_computed;
        if n_pending > 1 && self.until == usize::MAX {
            let counts = self.context.adopt(engine)?;
            // Misses count once, when a prompt is first looked up.
            self.diagnostics
                .note_pages(counts, core::mem::take(&mut self.is_new));
        }
        // Nothing new, unless the engine's batches grew since the session was opened.
        let no_room = || ModelError::out_of_memory((room.n_rows * size_of::<Row>()) as u64);
        let reserved = self.rows.try_reserve(room.n_rows);
        reserved.map_err(|_| no_room())?;
        self.plan_rows(budget_rows.clamp(1, room.n_rows), room, n_output);
        Ok(None)
    }

    /// Drops the middle of a context that is full.
    pub(super) fn shift(&mut self, engine: &mut Engine) -> Result<(), SessionError> {
        if self.context.is_full() {
            self.context.follow(engine, &self.tokens, 1)?;
            self.diagnostics.n_context_shifts += 1;
        }
        Ok(())
    }

    /// Rows of the positions that are not computed yet, and of a draft behind the last.
    fn plan_rows(&mut self, n_rows: usize, room: Room, n_output: usize) {
        let context = &self.context;
        let sequence = context.sequence;
        let last = context.tokens.len() - 1;
        let end = match self.until > context.n_computed {
            true => self.until.min(last + 1),
            false => last + 1,
        };
        let positions = context.n_computed..end;
        self.rows.extend(positions.take(n_rows).map(|i| Row {
            sequence,
            position: i as u32,
            token: context.tokens[i],
            wants_logits: i == last,
        }));
        self.n_drafted = 0;
        let is_last = self.rows.last().is_some_and(|row| row.wants_logits);
        if self.settings.prompt_lookup == 0
            || !is_last
            || self.logprobs.is_some()
            || self.constraint.is_some()
        {
            return;
        }
        let n_more = (self.settings.max_tokens as usize - n_output).saturating_sub(1);
        let n_most = (self.settings.prompt_lookup as usize)
            .min(n_more)
            .min(room.n_rows - self.rows.len())
            .min(room.n_logit_rows - 1)
            .min(context.max_len - context.tokens.len());
        let draft = drafts::find(&self.tokens, n_most);
        self.rows
            .extend(draft.iter().enumerate().map(|(i, &token)| Row {
                sequence,
                position: (last + 1 + i) as u32,
                token,
                wants_logits: true,
            }));
        self.n_drafted = draft.len();
        self.diagnostics.n_drafted += draft.len() as u64;
    }

    /// Takes what the engine computed of `rows`; their logits begin with row `logits_row`.
    pub(super) fn absorb(
        &mut self,
        engine: &mut Engine,
        logits_row: usize,
    ) -> Result<Step, SessionError> {
        let n_rows = self.rows.len() - self.n_drafted;
        self.context.n_computed += self.rows.len();
        self.diagnostics.n_rows += self.rows.len() as u64;
        let turn_start = self.turn().map_or(0, |turn| turn.output_start);
        let first_token = self.tokens.len() == turn_start;
        let n_pending = self
            .context
            .tokens
            .len()
            .saturating_sub(self.context.n_computed);
        if n_pending > 0 {
            self.context.publish(engine)?;
            self.last_step = LastStep::Prefill {
                n_rows,
                first_token: false,
            };
            return Ok(self.progress());
        }
        if let Err(error) = self.choose(engine, logits_row, turn_start) {
            // The row is computed again with the next step.
            self.context.n_computed -= 1;
            self.is_unsettled = true;
            return Err(error);
        }
        self.context.publish(engine)?;
        self.last_step = match first_token || n_rows > 1 {
            true => LastStep::Prefill {
                n_rows,
                first_token,
            },
            false => LastStep::Decode,
        };
        self.hand_out(engine)
    }

    /// Chooses a token from each row of logits for as long as the draft was right, and takes the
    /// rest of the draft back.
    fn choose(
        &mut self,
        engine: &mut Engine,
        logits_row: usize,
        output_start: usize,
    ) -> Result<(), SessionError> {
        self.made.clear();
        self.n_handed = 0;
        self.logits_row = logits_row;
        let n_tokens = self.tokens.len();
        let mut n_wrong = self.n_drafted;
        let first_draft = self.rows.len() - self.n_drafted;
        for i in 0..=self.n_drafted {
            let logits = engine.logits(logits_row + i);
            let index = match self.settings.sampling.random_stream {
                RandomStream::Session => self.tokens.len(),
                RandomStream::Prompt => self.tokens.len() - output_start,
            };
            let token = self.choose_one(&engine.model.tokenizer, logits, index as u64)?;
            if let Some(logprobs) = &mut self.logprobs {
                logprobs.measure(logits, token);
            }
            let fold = fold_logits(logits);
            self.made.push(Made { token, fold });
            let drafted = self.rows.get(first_draft + i).map(|row| row.token);
            if drafted != Some(token) || self.is_stop(engine, token) {
                break;
            }
            // Only while later rows are judged: tokens are handed out one by one.
            self.tokens.push(token);
            n_wrong -= 1;
        }
        self.tokens.truncate(n_tokens);
        self.diagnostics.n_drafts_accepted += (self.n_drafted - n_wrong) as u64;
        self.context.n_computed -= n_wrong;
        // Positions that were just committed can be taken back.
        let taken_back = engine.uncommit_rows(self.context.sequence, n_wrong);
        debug_assert!(taken_back.is_ok(), "rows of this very batch");
        Ok(())
    }

    /// The next token: of those that the grammar allows, if there is one, by the sampler.
    fn choose_one(
        &mut self,
        tokenizer: &Detokenizer,
        logits: &[f32],
        index: u64,
    ) -> Result<u32, SessionError> {
        let Some(constraint) = &mut self.constraint else {
            return Ok(self.sampler.sample(logits, &self.tokens, index));
        };
        let settings = &self.settings;
        let is_stop = |id| is_stop_token(settings, tokenizer, id);
        let own = &tokenizer.record().eos_ids;
        let own = own.iter().filter(|_| !settings.ignore_stop);
        let masked = constraint.mask(logits, own.chain(&settings.stop_tokens).copied())?;
        let token = self.sampler.sample(masked, &self.tokens, index);
        let token = constraint.chosen(token, &settings.sampling.banned_tokens, is_stop)?;
        constraint.accept(tokenizer, token)?;
        Ok(token)
    }

    /// Makes the next chosen token part of the session.
    fn hand_out(&mut self, engine: &mut Engine) -> Result<Step, SessionError> {
        let Some(Made { token, fold }) = self.made.get(self.n_handed).copied() else {
            return Err(SessionError::new(SessionErrorKind::NotPrompted));
        };
        if self.n_handed > 0 {
            self.last_step = LastStep::Decode;
            self.logits_row += 1;
        }
        self.n_handed += 1;
        self.digest.step(token, fold);
        self.tokens.push(token);
        self.context.tokens.push(token);
        self.diagnostics.n_output_tokens += 1;
        if self.is_stop(engine, token) {
            return Ok(self.finish(StopReason::StopToken));
        }
        Ok(match self.stop_watch.push(&engine.model.tokenizer, token) {
            true => self.finish(StopReason::StopString),
            false => Step::Token(token),
        })
    }

    fn is_stop(&self, engine: &Engine, token: u32) -> bool {
        is_stop_token(&self.settings, &engine.model.tokenizer, token)
    }

    pub(super) fn finish(&mut self, reason: StopReason) -> Step {
        self.stop = Some(reason);
        self.forget_made();
        Step::Done(reason)
    }

    /// Forgets a batch that was begun, and tokens that were chosen and not handed out;
    /// [`Session::settle`] takes back their rows.
    pub(super) fn forget_made(&mut self) {
        self.begun = None;
        if self.n_handed < self.made.len() {
            let n_due = self.context.tokens.len().saturating_sub(1);
            let n_over = self.context.n_computed.saturating_sub(n_due);
            self.context.n_computed -= n_over;
            self.is_unsettled |= n_over > 0;
        }
        self.made.clear();
        self.n_handed = 0;
    }

    /// Takes positions back that the cache has and the session does not want.
    pub(super) fn settle(&mut self, engine: &mut Engine) -> Result<(), SessionError> {
        if self.is_unsettled {
            let n_due = self.context.n_computed;
            self.context.n_computed = engine.rewind_sequence(self.context.sequence, n_due)?;
            self.is_unsettled = false;
        }
        Ok(())
    }
}

/// Whether this token ends an output.
fn is_stop_token(settings: &Settings, tokenizer: &Detokenizer, token: u32) -> bool {
    let is_own = !settings.ignore_stop && tokenizer.is_stop(token);
    is_own || settings.stop_tokens.contains(&token)
}
