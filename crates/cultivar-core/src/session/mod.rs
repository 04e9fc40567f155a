//! A session: one sequence that is prompted and continued, token by token, with a digest of the
//! whole run.
//!
//! Steps are bounded by a budget of rows, so a host stays responsive; nothing is allocated per
//! token; the clock belongs to the host, which notes how long each step took.

mod advance;
mod constraint;
mod context;
mod diagnostics;
mod drafts;
mod error;
mod history;
mod output_text;
mod record;
mod replay;
mod report;
mod run_digest;
mod settings;
mod snapshot;
mod stop_watch;

pub use advance::{Batch, BatchStep};
pub use diagnostics::{Diagnostics, LoadTimes};
pub use drafts::DRAFT_TOKENS_MAX;
pub use error::{SessionError, SessionErrorDetail, SessionErrorKind};
pub use history::AssemblyEvent;
pub use output_text::OutputText;
pub use record::{
    RecordOptions, RecordedEvent, RecordedTurn, ReplayRecord, ids_sha256, record_json,
};
pub use replay::{Difference, Replay, ReplayStep};
pub use report::{ReportOptions, report_json};
pub use settings::{STOP_STRING_BYTES_MAX, STOPS_MAX, Settings};

use crate::adapter::Weighing;
use crate::digest::Digest;
use crate::memory::reserved;
use crate::model::{Begun, Engine, ModelError, Row};
use crate::sampler::{Logprobs, Sampler};
use advance::Made;
use alloc::vec::Vec;
use constraint::Constraint;
use context::Context;
use run_digest::RunDigest;
use stop_watch::StopWatch;

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
    /// Every reason, in the order of ids.
    pub const ALL: [Self; 6] = [
        Self::StopToken,
        Self::MaxTokens,
        Self::ContextFull,
        Self::Cancelled,
        Self::StopString,
        Self::GrammarEnd,
    ];

    /// Stable number: 1 and up.
    pub fn id(self) -> u32 {
        match self {
            Self::StopToken => 1,
            Self::MaxTokens => 2,
            Self::ContextFull => 3,
            Self::Cancelled => 4,
            Self::StopString => 5,
            Self::GrammarEnd => 6,
        }
    }

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
    /// Prompt and output tokens, in order.
    tokens: Vec<u32>,
    context: Context,
    turns: Vec<Turn>,
    stop: Option<StopReason>,
    sampler: Sampler,
    logprobs: Option<Logprobs>,
    stop_watch: StopWatch,
    constraint: Option<Constraint>,
    digest: RunDigest,
    /// The assembly of the first row.
    opened_by: Digest,
    events: Vec<AssemblyEvent>,
    /// `weights` identity and weight of the adapters of the first row, in stack order.
    opened_adapters: Vec<(Digest, Weighing)>,
    /// The engine's count of changes of stacks when they were last looked at.
    mix_revision: u64,
    diagnostics: Diagnostics,
    last_step: LastStep,
    /// The batch of the next step.
    rows: Vec<Row>,
    /// What the engine computed of it, where that is not all.
    begun: Option<Begun>,
    /// No step goes beyond this position, and nothing is taken from the cache: a replay's next
    /// change of the assembly.
    until: usize,
    /// How many rows at its end are a draft.
    n_drafted: usize,
    /// Tokens chosen from the last batch, and how many of them were handed out.
    made: Vec<Made>,
    n_handed: usize,
    /// Which row of the engine's logits gave the last token.
    logits_row: usize,
    /// Nobody has looked yet which pages of the prompt the cache has.
    is_new: bool,
    /// The cache has positions that are not wanted any more.
    is_unsettled: bool,
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
    /// Opens a session. All of its memory is allocated here but for the pages of keys and values:
    /// those come with each prompt, for it and `max_tokens` more. The table of a constraint must
    /// have been given to the engine before ([`Engine::add_grammar`]).
    pub fn new(engine: &mut Engine, settings: Settings) -> Result<Self, SessionError> {
        settings.check()?;
        let model_len = engine.model.dims.context_len;
        if settings.context_len as usize > model_len {
            let kind = SessionErrorKind::ContextTooLong(settings.context_len, model_len as u32);
            return Err(SessionError::new(kind));
        }
        let max_len = match settings.context_len as usize {
            0 => model_len,
            len => len,
        };
        settings.check_for(engine.model.dims.vocab_size, max_len)?;
        let constraint = Constraint::new(&settings, engine)?;
        let sequence = engine.open_sequence(0, settings.kv_format)?;
        let assembly = engine.assembly(None);
        let opened = run_digest::opened(&assembly, &settings, max_len);
        let sinks = settings.context_shift.map(|n| n as usize);
        let context = Context::new(sequence, (max_len, sinks), settings.kv_format, assembly);
        let session = context
            .and_then(|context| Self::with_context(engine, settings, context, opened))
            .and_then(|mut session| {
                session.reserve(max_len + 1)?;
                session.constraint = constraint;
                Some(session)
            });
        session.ok_or_else(|| {
            engine.close_sequence(sequence);
            no_room(max_len)
        })
    }

    /// A session without tokens on these positions; `None` if memory cannot be had.
    fn with_context(
        engine: &Engine,
        settings: Settings,
        context: Context,
        opened: Digest,
    ) -> Option<Self> {
        let vocab_size = engine.model.dims.vocab_size;
        Some(Self {
            tokens: Vec::new(),
            turns: Vec::new(),
            stop: None,
            sampler: Sampler::new(settings.sampling.clone(), vocab_size)?,
            logprobs: match settings.logprobs {
                Some(n) => Some(Logprobs::new(n as usize)?),
                None => None,
            },
            stop_watch: StopWatch::new(&settings)?,
            constraint: None,
            digest: RunDigest::new(opened),
            opened_by: context.assembly,
            events: Vec::new(),
            opened_adapters: Vec::new(),
            mix_revision: u64::MAX,
            diagnostics: Diagnostics::default(),
            last_step: LastStep::Nothing,
            rows: reserved(engine.max_rows())?,
            begun: None,
            until: usize::MAX,
            n_drafted: 0,
            made: reserved(DRAFT_TOKENS_MAX + 1)?,
            n_handed: 0,
            logits_row: 0,
            is_new: false,
            is_unsettled: false,
            context,
            settings,
        })
    }

    /// Room for so many tokens in all; `None` if memory cannot be had.
    fn reserve(&mut self, n_tokens: usize) -> Option<()> {
        let n_more = n_tokens.saturating_sub(self.tokens.len());
        self.tokens.try_reserve_exact(n_more).ok()?;
        self.digest.reserve(n_tokens)
    }

    /// Begins with the assembly of now, before there is any token.
    fn open_with(&mut self, engine: &Engine) {
        let assembly = engine.assembly(self.stack(engine));
        self.mix_revision = engine.mix_revision();
        self.opened_adapters = self.adapters_now(engine);
        self.opened_by = assembly;
        self.context.restart(assembly, self.settings.kv_format);
        let opened = run_digest::opened(&assembly, &self.settings, self.context.max_len);
        self.digest.reopen(opened);
    }

    /// Queues a prompt after everything that the session holds. Nothing is computed yet.
    ///
    /// Refused, without a change, if it is empty, does not fit the context, names an unknown
    /// token, or if there is no memory for its pages and those of the output.
    pub fn prompt(&mut self, engine: &mut Engine, ids: &[u32]) -> Result<(), SessionError> {
        if ids.is_empty() {
            return Err(SessionError::new(SessionErrorKind::EmptyPrompt));
        }
        let most = self.context.prompt_len_max();
        if ids.len() > most {
            let over = (ids.len() - most) as u64;
            let kind = SessionErrorKind::PromptTooLong(over, self.context.max_len as u64);
            return Err(SessionError::new(kind));
        }
        let vocab_size = engine.model.dims.vocab_size;
        if let Some(&id) = ids.iter().find(|id| **id as usize >= vocab_size) {
            let kind = SessionErrorKind::UnknownToken(id, vocab_size as u32);
            return Err(SessionError::new(kind));
        }
        let end = self.tokens.len() + ids.len();
        let n_most = ids.len().saturating_add(self.settings.max_tokens as usize);
        self.context.make_room(engine, n_most)?;
        if self.context.shifts() {
            // The context does not bound such a session, so each prompt makes room for its output.
            let n_tokens = end.saturating_add(self.settings.max_tokens as usize);
            self.reserve(n_tokens).ok_or_else(|| no_room(n_tokens))?;
        }
        self.forget_made();
        if self.tokens.is_empty() {
            self.open_with(engine);
        }
        self.turns.push(Turn {
            prompt_start: self.tokens.len(),
            output_start: end,
        });
        self.tokens.extend_from_slice(ids);
        self.context.tokens.extend_from_slice(ids);
        self.digest.prompt(ids);
        self.diagnostics.note_prompt(ids.len());
        self.stop = None;
        self.is_new = true;
        self.read_again(engine)
    }

    /// Ends the run where it is.
    pub fn cancel(&mut self) {
        if self.stop.is_none() {
            self.finish(StopReason::Cancelled);
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

    /// Settings that it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The settings with what the model decides filled in.
    fn settings_in_full(&self) -> Settings {
        Settings {
            context_len: self.context.max_len as u32,
            ..self.settings.clone()
        }
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

    /// Prompts and outputs in order.
    fn turns(&self) -> impl Iterator<Item = (&[u32], &[u32])> {
        self.turns.iter().enumerate().map(|(i, turn)| {
            let next = self.turns.get(i + 1);
            let end = next.map_or(self.tokens.len(), |next| next.prompt_start);
            let prompt = &self.tokens[turn.prompt_start..turn.output_start];
            (prompt, &self.tokens[turn.output_start..end])
        })
    }

    /// The run digest after each token of all outputs.
    fn output_digests(&self) -> impl Iterator<Item = &Digest> {
        let after = self.digest.after();
        self.turns.iter().enumerate().flat_map(move |(i, turn)| {
            let next = self.turns.get(i + 1);
            let end = next.map_or(after.len(), |next| next.prompt_start);
            &after[turn.output_start..end]
        })
    }

    /// Positions whose keys and values are in the cache.
    pub fn n_computed(&self) -> usize {
        self.context.n_computed
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

    /// The logits that the last token was chosen from: `[vocab_size]`, until the engine computes
    /// for someone else.
    ///
    /// # Panics
    /// Before the first token.
    pub fn logits<'a>(&self, engine: &'a Engine) -> &'a [f32] {
        engine.logits(self.logits_row)
    }

    /// Positions that the session can hold.
    pub fn context_len(&self) -> usize {
        self.context.max_len
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

fn no_room(n_tokens: usize) -> SessionError {
    let per_token = (size_of::<u32>() + size_of::<Digest>()) as u64;
    ModelError::out_of_memory((n_tokens as u64).saturating_mul(per_token)).into()
}
