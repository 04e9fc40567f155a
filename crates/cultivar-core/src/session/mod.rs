//! A session: one sequence that is prompted and continued, token by token, with a digest of the
//! whole run.
//!
//! Steps are bounded by a budget of rows, so a host stays responsive; nothing is allocated per
//! token; the clock belongs to the host, which notes how long each step took.

mod constraint;
mod diagnostics;
mod error;
mod output_text;
mod report;
mod run_digest;
mod settings;

pub use diagnostics::{Diagnostics, LoadTimes};
pub use error::{SessionError, SessionErrorKind};
pub use output_text::OutputText;
pub use report::report_json;
pub use settings::{STOP_STRING_BYTES_MAX, STOPS_MAX, Settings};

use crate::digest::Digest;
use crate::kv_cache::SequenceId;
use crate::memory::reserved;
use crate::model::{Engine, ModelError, Row};
use crate::package::identity;
use crate::sampler::{Logprobs, RandomStream, Sampler};
use crate::tokenizer::{PIECE_TEXT_BYTES_MAX, Tokenizer};
use alloc::string::String;
use alloc::vec::Vec;
use constraint::Constraint;
use run_digest::RunDigest;

/// Why a session stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The model produced one of its stop tokens, or one that the settings name.
    StopToken,
    /// The output reached one of the stop strings of the settings.
    StopString,
    /// `max_tokens` tokens were produced since the last prompt.
    MaxTokens,
    /// The sequence fills the context.
    ContextFull,
    /// The host stopped it.
    Cancelled,
    /// The output is a whole text of its grammar, and nothing can follow.
    GrammarEnd,
}

impl StopReason {
    /// The name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::StopToken => "stop_token",
            Self::StopString => "stop_string",
            Self::MaxTokens => "max_tokens",
            Self::ContextFull => "context_full",
            Self::Cancelled => "cancelled",
            Self::GrammarEnd => "grammar_end",
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
    logprobs: Option<Logprobs>,
    stop_watch: Option<StopWatch>,
    constraint: Option<Constraint>,
    digest: RunDigest,
    diagnostics: Diagnostics,
    last_step: LastStep,
    /// The batch of the next step.
    rows: Vec<Row>,
}

/// Looks for stop strings in the output.
struct StopWatch {
    text: OutputText,
    /// What the text hands out, which nobody reads.
    scratch: String,
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
        let vocab_size = engine.model.dims.vocab_size;
        settings.check_tokens(vocab_size)?;
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
            sampler: Sampler::new(settings.sampling.clone(), vocab_size)
                .ok_or(no_room(vocab_size))?,
            logprobs: room_for_logprobs(&settings)?,
            stop_watch: StopWatch::new(&settings)?,
            constraint: Constraint::new(&settings, &engine.model.tokenizer)?,
            digest,
            diagnostics: Diagnostics::default(),
            last_step: LastStep::Nothing,
            rows: Vec::with_capacity(engine.max_rows()),
            // Last, so that nothing that may fail comes after it.
            sequence: engine.open_sequence(context_len, settings.kv_format)?,
            settings,
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
        self.watch_again(&engine.model.tokenizer)
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
        let is_complete = |constraint: &Constraint| constraint.is_complete();
        let has_output = self.tokens.len() > turn.output_start;
        if has_output && self.constraint.as_ref().is_some_and(is_complete) {
            return Ok(self.finish(StopReason::GrammarEnd));
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
        let index = match self.settings.sampling.random_stream {
            RandomStream::Session => self.tokens.len(),
            RandomStream::Prompt => self.tokens.len() - turn.output_start,
        };
        let token = self.choose(&engine.model.tokenizer, logits, index as u64)?;
        self.digest.step(token, logits);
        if let Some(logprobs) = &mut self.logprobs {
            logprobs.measure(logits, token);
        }
        self.tokens.push(token);
        self.diagnostics.n_output_tokens += 1;
        self.last_step = match first_token {
            true => LastStep::Prefill {
                n_rows,
                first_token,
            },
            false => LastStep::Decode,
        };
        match self.reached_stop(&engine.model.tokenizer, token) {
            Some(reason) => Ok(self.finish(reason)),
            None => Ok(Step::Token(token)),
        }
    }

    /// The next token: of those that the grammar allows, if there is one, by the sampler.
    fn choose(
        &mut self,
        tokenizer: &Tokenizer,
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

    /// Whether this token, just added, ends the output.
    fn reached_stop(&mut self, tokenizer: &Tokenizer, token: u32) -> Option<StopReason> {
        if is_stop_token(&self.settings, tokenizer, token) {
            return Some(StopReason::StopToken);
        }
        let StopWatch { text, scratch } = self.stop_watch.as_mut()?;
        scratch.clear();
        let found = text.push(tokenizer, token, scratch);
        found.then_some(StopReason::StopString)
    }

    /// After a prompt or a rewind: reads all tokens anew for stop strings and grammar.
    fn watch_again(&mut self, tokenizer: &Tokenizer) -> Result<(), SessionError> {
        self.logprobs.iter_mut().for_each(Logprobs::forget);
        let turn = self.turns.last();
        if let (Some(StopWatch { text, scratch }), Some(turn)) = (&mut self.stop_watch, turn) {
            let (before, output) = self.tokens.split_at(turn.output_start);
            text.begin(tokenizer, before);
            for &id in output {
                scratch.clear();
                text.push(tokenizer, id, scratch);
            }
        }
        match (&mut self.constraint, turn) {
            (Some(constraint), Some(turn)) => {
                constraint.read_again(tokenizer, &self.tokens[turn.output_start..])
            }
            _ => Ok(()),
        }
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
        self.watch_again(&engine.model.tokenizer)
    }

    /// A session that continues from here on its own; the cache's pages are shared.
    pub fn fork(&self, engine: &mut Engine) -> Result<Self, SessionError> {
        let mut tokens = room_for_tokens(self.context_len)?;
        tokens.extend_from_slice(&self.tokens);
        let digest = self.digest.fork(self.context_len + 1);
        let vocab_size = engine.model.dims.vocab_size;
        let sampler = Sampler::new(self.settings.sampling.clone(), vocab_size);
        let mut fork = Self {
            digest: digest.ok_or(no_room(self.context_len))?,
            tokens,
            context_len: self.context_len,
            n_computed: self.n_computed,
            turns: self.turns.clone(),
            stop: self.stop,
            sampler: sampler.ok_or(no_room(vocab_size))?,
            logprobs: room_for_logprobs(&self.settings)?,
            stop_watch: StopWatch::new(&self.settings)?,
            constraint: match &self.constraint {
                Some(constraint) => Some(constraint.fork(&engine.model.tokenizer)?),
                None => None,
            },
            diagnostics: Diagnostics::default(),
            last_step: LastStep::Nothing,
            rows: Vec::with_capacity(engine.max_rows()),
            sequence: engine.fork_sequence(self.sequence)?,
            settings: self.settings.clone(),
        };
        fork.watch_again(&engine.model.tokenizer)?;
        Ok(fork)
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

    /// Tokens of the output whose text counts: all but a stop token.
    pub fn text_ids(&self) -> &[u32] {
        let output = self.output_ids();
        let n_stop = usize::from(self.stop == Some(StopReason::StopToken));
        &output[..output.len() - n_stop]
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

    /// Log-probabilities of the last token, if the settings ask for them and there is one.
    pub fn logprobs(&self) -> Option<&Logprobs> {
        self.logprobs.as_ref().filter(|l| l.is_fresh())
    }

    /// Choices that fell back to greedy.
    pub fn n_sampler_fallbacks(&self) -> u64 {
        self.sampler.n_fallbacks()
    }
}

/// Whether this token ends an output.
fn is_stop_token(settings: &Settings, tokenizer: &Tokenizer, token: u32) -> bool {
    let is_stop = !settings.ignore_stop && tokenizer.is_stop(token);
    is_stop || settings.stop_tokens.contains(&token)
}

impl StopWatch {
    /// `None` where there is nothing to watch for.
    fn new(settings: &Settings) -> Result<Option<Self>, SessionError> {
        if settings.stop_strings.is_empty() {
            return Ok(None);
        }
        let made = || {
            // One token can free what was held before it, and its own text.
            let room = STOP_STRING_BYTES_MAX + PIECE_TEXT_BYTES_MAX;
            Some(Self {
                text: OutputText::new(&settings.stop_strings)?,
                scratch: String::from_utf8(reserved(room)?).ok()?,
            })
        };
        made().map(Some).ok_or(no_room(0))
    }
}

fn room_for_logprobs(settings: &Settings) -> Result<Option<Logprobs>, SessionError> {
    match settings.logprobs {
        Some(n) => Logprobs::new(n as usize).map(Some).ok_or(no_room(0)),
        None => Ok(None),
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
