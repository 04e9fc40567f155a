//! A session: one sequence that is prompted and continued, token by token, with a digest of the
//! whole run.
//!
//! Steps are bounded by a budget of rows, so a host stays responsive; nothing is allocated per
//! token; the clock belongs to the host, which notes how long each step took.

mod diagnostics;
mod error;
mod report;
mod run_digest;
mod settings;

pub use diagnostics::{Diagnostics, LoadTimes};
pub use error::{SessionError, SessionErrorKind};
pub use report::report_json;
pub use settings::Settings;

use crate::digest::Digest;
use crate::kv_cache::SequenceId;
use crate::memory::reserved;
use crate::model::{Engine, ModelError, Row};
use crate::package::identity;
use crate::sampler::Sampler;
use alloc::vec::Vec;
use run_digest::RunDigest;

/// Why a session stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The model produced one of its stop tokens.
    StopToken,
    /// `max_tokens` tokens were produced since the last prompt.
    MaxTokens,
    /// The sequence fills the context.
    ContextFull,
    /// The host stopped it.
    Cancelled,
}

impl StopReason {
    /// The name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::StopToken => "stop_token",
            Self::MaxTokens => "max_tokens",
            Self::ContextFull => "context_full",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Part of the prompt was read: tokens done and in all, of what was queued.
    Prefilling {
        /// Prompt tokens computed so far.
        done: usize,
        /// Prompt tokens queued by the last prompt.
        total: usize,
    },
    /// A token was produced.
    Token(u32),
    /// Nothing more will be produced until the next prompt.
    Done(StopReason),
}

/// One conversation with a model. Methods that compute take the engine that it was opened on.
pub struct Session {
    settings: Settings,
    sequence: SequenceId,
    context_len: usize,
    /// Prompt and output tokens, in order; one more than the context at most.
    tokens: Vec<u32>,
    /// Tokens of `tokens` whose keys and values are in the cache.
    n_computed: usize,
    turns: Vec<Turn>,
    stop: Option<StopReason>,
    sampler: Sampler,
    digest: RunDigest,
    diagnostics: Diagnostics,
    last_step: LastStep,
    /// The batch of the next step.
    rows: Vec<Row>,
}

/// A prompt and what followed it, as ranges of the session's tokens.
#[derive(Clone, Copy)]
struct Turn {
    prompt_start: usize,
    output_start: usize,
}

/// What the host's next note of elapsed time is about.
#[derive(Clone, Copy, PartialEq)]
enum LastStep {
    Nothing,
    Prefill { n_rows: usize, first_token: bool },
    Decode,
}

impl Session {
    /// Opens a session. All of its memory is allocated here.
    pub fn new(engine: &mut Engine, settings: Settings) -> Result<Self, SessionError> {
        settings.check()?;
        let model_len = engine.model.dims.context_len;
        if settings.context_len as usize > model_len {
            let kind = SessionErrorKind::ContextTooLong(settings.context_len, model_len as u32);
            return Err(SessionError::new(kind));
        }
        let context_len = match settings.context_len as usize {
            0 => model_len,
            len => len,
        };
        let assembly = identity::assembly(&engine.model.head.identities.weights, &[]);
        // Everything else first: pages are the one thing that would have to be given back.
        let tokens = room_for_tokens(context_len)?;
        let digest =
            RunDigest::new(&assembly, &settings, context_len + 1).ok_or(no_room(context_len))?;
        Ok(Self {
            context_len,
            tokens,
            n_computed: 0,
            turns: Vec::new(),
            stop: None,
            sampler: Sampler::new(settings.sampler()),
            digest,
            diagnostics: Diagnostics::default(),
            last_step: LastStep::Nothing,
            rows: Vec::with_capacity(engine.max_rows()),
            settings,
            sequence: engine.open_sequence(context_len, settings.kv_format)?,
        })
    }

    /// Queues a prompt after everything that the session holds. Nothing is computed yet.
    ///
    /// Refused, without a change, if it is empty, does not fit the context, or names an unknown
    /// token.
    pub fn prompt(&mut self, engine: &Engine, ids: &[u32]) -> Result<(), SessionError> {
        if ids.is_empty() {
            return Err(SessionError::new(SessionErrorKind::EmptyPrompt));
        }
        let end = self.tokens.len() + ids.len();
        if end > self.context_len {
            let over = (end - self.context_len) as u64;
            let kind = SessionErrorKind::PromptTooLong(over, self.context_len as u64);
            return Err(SessionError::new(kind));
        }
        let vocab_size = engine.model.dims.vocab_size;
        if let Some(&id) = ids.iter().find(|id| **id as usize >= vocab_size) {
            let kind = SessionErrorKind::UnknownToken(id, vocab_size as u32);
            return Err(SessionError::new(kind));
        }
        self.turns.push(Turn {
            prompt_start: self.tokens.len(),
            output_start: end,
        });
        self.tokens.extend_from_slice(ids);
        self.digest.prompt(ids);
        self.diagnostics.n_prompt_tokens += ids.len() as u64;
        self.stop = None;
        Ok(())
    }

    /// Does a bounded piece of work: up to `budget_rows` rows of the prompt, or one token.
    pub fn step(&mut self, engine: &mut Engine, budget_rows: usize) -> Result<Step, SessionError> {
        self.last_step = LastStep::Nothing;
        let turn = self
            .turn()
            .ok_or(SessionError::new(SessionErrorKind::NotPrompted))?;
        if let Some(reason) = self.stop {
            return Ok(Step::Done(reason));
        }
        if self.tokens.len() - turn.output_start >= self.settings.max_tokens as usize {
            return Ok(self.finish(StopReason::MaxTokens));
        }
        if self.tokens.len() > self.context_len {
            return Ok(self.finish(StopReason::ContextFull));
        }
        let n_rows = self.compute(engine, budget_rows)?;
        let first_token = self.tokens.len() == turn.output_start;
        if self.n_computed < self.tokens.len() {
            self.last_step = LastStep::Prefill {
                n_rows,
                first_token: false,
            };
            return Ok(Step::Prefilling {
                done: self.n_computed.saturating_sub(turn.prompt_start),
                total: turn.output_start - turn.prompt_start,
            });
        }
        let logits = engine.logits(0);
        let token = self.sampler.sample(logits, self.tokens.len() as u64);
        self.digest.step(token, logits);
        self.tokens.push(token);
        self.diagnostics.n_output_tokens += 1;
        self.last_step = match first_token {
            true => LastStep::Prefill {
                n_rows,
                first_token,
            },
            false => LastStep::Decode,
        };
        if !self.settings.ignore_stop && engine.model.tokenizer.is_stop(token) {
            return Ok(self.finish(StopReason::StopToken));
        }
        Ok(Step::Token(token))
    }

    /// Computes up to `budget_rows` of the tokens that the cache lacks.
    fn compute(&mut self, engine: &mut Engine, budget_rows: usize) -> Result<usize, SessionError> {
        let n_rows = budget_rows.clamp(1, engine.max_rows());
        let last = self.tokens.len() - 1;
        self.rows.clear();
        let pending = self
            .tokens
            .iter()
            .enumerate()
            .skip(self.n_computed)
            .take(n_rows);
        self.rows.extend(pending.map(|(i, &token)| Row {
            sequence: self.sequence,
            position: i as u32,
            token,
            wants_logits: i == last,
        }));
        engine.forward(&self.rows)?;
        self.n_computed += self.rows.len();
        Ok(self.rows.len())
    }

    fn finish(&mut self, reason: StopReason) -> Step {
        self.stop = Some(reason);
        Step::Done(reason)
    }

    /// Ends the run where it is.
    pub fn cancel(&mut self) {
        if self.stop.is_none() {
            self.stop = Some(StopReason::Cancelled);
        }
    }

    /// Notes how long the last step took, by the host's monotonic clock.
    pub fn note_ms(&mut self, ms: f64) {
        match core::mem::replace(&mut self.last_step, LastStep::Nothing) {
            LastStep::Nothing => {}
            LastStep::Prefill {
                n_rows,
                first_token,
            } => {
                self.diagnostics.note_prefill(n_rows, ms, first_token);
            }
            LastStep::Decode => self.diagnostics.note_decode(ms),
        }
    }

    /// Goes back to the first `n` tokens of prompts and outputs; the next step goes on from
    /// there. Tokens, logits and digest are then those of a session that never went further.
    pub fn rewind(&mut self, engine: &mut Engine, n: usize) -> Result<(), SessionError> {
        if n == 0 || n > self.tokens.len() {
            let kind = SessionErrorKind::RewindRange(n as u64, self.tokens.len() as u64);
            return Err(SessionError::new(kind));
        }
        // The last token is computed again, because its logits are wanted.
        let n_kept = self.n_computed.min(n - 1);
        engine.rewind_sequence(self.sequence, n_kept)?;
        self.n_computed = n_kept;
        self.tokens.truncate(n);
        self.turns.retain(|turn| turn.prompt_start < n);
        if let Some(turn) = self.turns.last_mut() {
            turn.output_start = turn.output_start.min(n);
            self.digest
                .rewind(turn.prompt_start, &self.tokens[turn.prompt_start..], {
                    turn.output_start - turn.prompt_start
                });
        }
        self.stop = None;
        Ok(())
    }

    /// A session that continues from here on its own; the cache's pages are shared.
    pub fn fork(&self, engine: &mut Engine) -> Result<Self, SessionError> {
        let mut tokens = room_for_tokens(self.context_len)?;
        tokens.extend_from_slice(&self.tokens);
        let digest = self.digest.fork(self.context_len + 1);
        Ok(Self {
            digest: digest.ok_or(no_room(self.context_len))?,
            sequence: engine.fork_sequence(self.sequence)?,
            tokens,
            turns: self.turns.clone(),
            sampler: Sampler::new(self.settings.sampler()),
            diagnostics: Diagnostics::default(),
            last_step: LastStep::Nothing,
            rows: Vec::with_capacity(engine.max_rows()),
            ..*self
        })
    }

    /// Gives the session's pages back.
    pub fn close(self, engine: &mut Engine) {
        engine.close_sequence(self.sequence);
    }

    /// Settings that it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn turn(&self) -> Option<Turn> {
        self.turns.last().copied()
    }

    /// Tokens of the last prompt.
    pub fn prompt_ids(&self) -> &[u32] {
        self.turn().map_or(&[], |turn| {
            &self.tokens[turn.prompt_start..turn.output_start]
        })
    }

    /// Tokens produced since the last prompt, a stop token included.
    pub fn output_ids(&self) -> &[u32] {
        self.turn()
            .map_or(&[], |turn| &self.tokens[turn.output_start..])
    }

    /// All tokens, prompts and outputs in order.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Why it stopped; `None` while it runs.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.stop
    }

    /// Digest of the run so far.
    pub fn run_digest(&self) -> Digest {
        self.digest.value()
    }

    /// Counts and durations so far.
    pub fn diagnostics(&self) -> &Diagnostics {
        &self.diagnostics
    }

    /// Choices that fell back to greedy.
    pub fn n_sampler_fallbacks(&self) -> u64 {
        self.sampler.n_fallbacks()
    }
}

/// Room for every token that a session of this context can hold: one more than the context.
fn room_for_tokens(context_len: usize) -> Result<Vec<u32>, SessionError> {
    reserved(context_len + 1).ok_or(no_room(context_len))
}

fn no_room(context_len: usize) -> SessionError {
    let per_token = size_of::<u32>() + size_of::<Digest>();
    ModelError::out_of_memory((context_len * per_token) as u64).into()
}
