//! Session verbs: prompt, step, token, text, report.
//!
//! A session belongs to the engine of its package and shares its workspace with the others, so
//! every verb finds both; closing the package ends its sessions.

use super::adapter::{end, own_stack};
use super::package::PackageSlot;
use crate::buffer::out_of_order;
use crate::exports::exports;
use crate::host::Host;
use crate::status::{Failure, Status};
use alloc::boxed::Box;
use alloc::string::String;
use cultivar_core::session::{
    BatchStep, OutputText, ReportOptions, Session, Settings, Step, StopReason, report_json,
};
use cultivar_core::tokenizer::Detokenizer;

/// Outcome of a step: part of the prompt was read.
pub const STEP_PREFILLING: i32 = 0;
/// Outcome of a step: there is a new token.
pub const STEP_TOKEN: i32 = 1;
/// Outcome of a step: nothing more will come before the next prompt.
pub const STEP_DONE: i32 = 2;
/// Outcome for a session that found no room in a batch: it is to be asked first the next time.
pub const STEP_WAITING: i32 = 3;

/// The model gave one of its stop tokens.
pub const REASON_STOP_TOKEN: i32 = 1;
/// As many tokens as the settings allow were given.
pub const REASON_MAX_TOKENS: i32 = 2;
/// The context is full.
pub const REASON_CONTEXT_FULL: i32 = 3;
/// The host cancelled it.
pub const REASON_CANCELLED: i32 = 4;
/// The output reached a stop string.
pub const REASON_STOP_STRING: i32 = 5;
/// See [`StopReason::GrammarEnd`].
pub const REASON_GRAMMAR_END: i32 = 6;

/// Bytes reserved for text that the host has not taken: several of the longest pieces (1 KiB). A
/// host that takes the text of each token makes it no larger.
const FRESH_TEXT_BYTES: usize = 8 << 10;

/// A session with its text.
pub struct SessionSlot {
    /// Handle of the package it runs on.
    pub(crate) package: i32,
    pub(crate) session: Session,
    text: OutputText,
    /// Text of the output that the host has not taken yet.
    fresh_text: String,
    last_token: Option<u32>,
    n_prefilled: usize,
    /// Which of the engine's batches gave the last token; 0 for none.
    logits_of: u64,
}

impl SessionSlot {
    fn new(package: i32, session: Session, text: OutputText) -> SessionSlot {
        SessionSlot {
            package,
            session,
            text,
            fresh_text: String::with_capacity(FRESH_TEXT_BYTES),
            last_token: None,
            n_prefilled: 0,
            logits_of: 0,
        }
    }

    /// Rows computed so far, and whether it runs: what [`SessionSlot::note`] wants to know of the
    /// time before a step.
    pub(crate) fn before(&self) -> (u64, bool) {
        let is_running = self.session.stop_reason().is_none();
        (self.session.diagnostics().n_rows, is_running)
    }

    /// Takes in what a step did, the engine's `batch`-th; answers one of the outcomes.
    pub(crate) fn note(
        &mut self,
        outcome: BatchStep,
        (n_rows, was_running): (u64, bool),
        batch: u64,
        tokenizer: &Detokenizer,
    ) -> Result<i32, Failure> {
        let made_token = match outcome? {
            Step::Prefilling { done, .. } => {
                self.n_prefilled = done;
                return Ok(STEP_PREFILLING);
            }
            Step::Token(_) => true,
            Step::Done(reason) => {
                was_running && [StopReason::StopToken, StopReason::StopString].contains(&reason)
            }
        };
        if made_token {
            if n_rows < self.session.diagnostics().n_rows {
                self.logits_of = batch;
            }
            self.last_token = self.session.output_ids().last().copied();
        }
        let reason = self.session.stop_reason();
        if made_token && reason != Some(StopReason::StopToken) {
            let id = self.last_token.unwrap_or_default();
            self.text.push(tokenizer, id, &mut self.fresh_text);
        }
        if reason.is_none() {
            return Ok(STEP_TOKEN);
        }
        self.text.finish(&mut self.fresh_text);
        Ok(STEP_DONE)
    }

    /// Decodes all tokens anew, after a prompt or a rewind.
    fn decode_again(&mut self, tokenizer: &Detokenizer) {
        let (before, output) = halves(&self.session);
        self.text.begin(tokenizer, before);
        for &id in output {
            self.fresh_text.clear();
            self.text.push(tokenizer, id, &mut self.fresh_text);
        }
        self.fresh_text.clear();
        self.last_token = self.session.output_ids().last().copied();
    }

    /// The whole output as text, decoded anew: reports are rare, and a text kept for them would
    /// have to grow with every token.
    fn output_text(&self, tokenizer: &Detokenizer) -> String {
        let Some(mut decoder) = OutputText::new(&self.session.settings().stop_strings) else {
            return String::new();
        };
        let (before, output) = halves(&self.session);
        let mut text = String::new();
        decoder.begin(tokenizer, before);
        for &id in output {
            decoder.push(tokenizer, id, &mut text);
        }
        if self.session.stop_reason().is_some() {
            decoder.finish(&mut text);
        }
        text
    }
}

/// All tokens before the output, and those of the output that are text.
fn halves(session: &Session) -> (&[u32], &[u32]) {
    let (tokens, n_output) = (session.tokens(), session.output_ids().len());
    (
        tokens.split_at(tokens.len() - n_output).0,
        session.text_ids(),
    )
}

impl Host {
    /// Opens a session with the settings (JSON) in the buffer; answers its handle.
    pub fn session_new(&mut self, package: i32, len: u32) -> Result<i32, Failure> {
        let slot = self.packages.get_mut(package)?;
        let settings = Settings::from_json(self.buffer.text(len)?)?;
        settings.check()?;
        slot.make_room(1, 1 + settings.prompt_lookup as usize)?;
        let session = Session::new(slot.engine()?, settings)?;
        self.keep(package, session)
    }

    /// Queues the ids in the buffer as a prompt; answers their number.
    pub fn session_prompt_ids(&mut self, s: i32, n: u32) -> Result<i32, Failure> {
        let ids = self.buffer.ids(n)?;
        let (slot, package) = self.pair(s)?;
        let engine = package.engine()?;
        slot.session.prompt(engine, &ids)?;
        slot.n_prefilled = 0;
        slot.decode_again(&engine.model.tokenizer);
        Ok(ids.len() as i32)
    }

    /// The handle of the package that a session runs on.
    pub fn session_package(&mut self, s: i32) -> Result<i32, Failure> {
        Ok(self.sessions.get(s)?.package)
    }

    /// Does a bounded piece of work and answers one of the outcomes.
    pub fn session_step(&mut self, s: i32, rows: u32, row_layers: u32) -> Result<i32, Failure> {
        let row_layers = match row_layers {
            0 => usize::MAX,
            n => n as usize,
        };
        let (slot, package) = self.pair(s)?;
        let before = slot.before();
        let engine = package.engine()?;
        let outcome = slot.session.step_part(engine, rows as usize, row_layers);
        let has_computed = outcome.is_err() || before.0 < slot.session.diagnostics().n_rows;
        package.n_batches += u64::from(has_computed);
        let batch = package.n_batches;
        slot.note(outcome, before, batch, package.tokenizer()?)
    }

    /// The last token of the output, a stop token included.
    pub fn session_token(&mut self, s: i32) -> Result<i32, Failure> {
        let last = self.sessions.get(s)?.last_token;
        last.map(|id| id as i32)
            .ok_or_else(|| out_of_order("there is no token since the last prompt"))
    }

    /// Writes the text that was completed since the last call.
    pub fn session_text(&mut self, s: i32) -> Result<i32, Failure> {
        let slot = self.sessions.get_mut(s)?;
        let len = self.buffer.put(slot.fresh_text.as_bytes())?;
        slot.fresh_text.clear();
        Ok(len)
    }

    /// Tokens of the last prompt that have been computed.
    pub fn session_prefilled(&mut self, s: i32) -> Result<i32, Failure> {
        Ok(self.sessions.get(s)?.n_prefilled as i32)
    }

    /// Tokens of all prompts and outputs.
    pub fn session_len(&mut self, s: i32) -> Result<i32, Failure> {
        Ok(self.sessions.get(s)?.session.tokens().len() as i32)
    }

    /// Why the session stopped; 0 while it runs.
    pub fn session_stop_reason(&mut self, s: i32) -> Result<i32, Failure> {
        Ok(match self.sessions.get(s)?.session.stop_reason() {
            None => 0,
            Some(StopReason::StopToken) => REASON_STOP_TOKEN,
            Some(StopReason::MaxTokens) => REASON_MAX_TOKENS,
            Some(StopReason::ContextFull) => REASON_CONTEXT_FULL,
            Some(StopReason::Cancelled) => REASON_CANCELLED,
            Some(StopReason::StopString) => REASON_STOP_STRING,
            Some(StopReason::GrammarEnd) => REASON_GRAMMAR_END,
        })
    }

    /// Notes how long the last step took by the host's clock.
    pub fn session_note_ms(&mut self, s: i32, ms: f64) -> Result<i32, Failure> {
        self.sessions.get_mut(s)?.session.note_ms(ms);
        Ok(0)
    }

    /// Ends the output where it is.
    pub fn session_cancel(&mut self, s: i32) -> Result<i32, Failure> {
        let slot = self.sessions.get_mut(s)?;
        slot.session.cancel();
        slot.text.finish(&mut slot.fresh_text);
        Ok(0)
    }

    /// Writes the report.
    pub fn session_report(&mut self, s: i32) -> Result<i32, Failure> {
        let (slot, package) = self.pair(s)?;
        let load = package.load;
        let engine = package.engine()?;
        let text = slot.output_text(&engine.model.tokenizer);
        let (heap, _) = crate::memory_figures();
        let json = report_json(
            &slot.session,
            engine,
            ReportOptions {
                text: Some(&text),
                load,
                watts: None,
                heap_bytes: [heap.used_bytes, heap.peak_bytes].map(|n| n as u64),
            },
        );
        self.buffer.put(json.as_bytes())
    }

    /// Writes the logits of the last computed position.
    pub fn session_logits(&mut self, s: i32) -> Result<i32, Failure> {
        let slot = self.sessions.get(s)?;
        let package = self.packages.get_mut(slot.package)?;
        if package.n_batches != slot.logits_of {
            return Err(out_of_order(
                "a step of this session must give a token first",
            ));
        }
        let logits = slot.session.logits(package.engine()?);
        self.buffer
            .put_words(logits.iter().map(|logit| logit.to_le_bytes()))
    }

    /// Writes the log-probabilities of the last token and the likeliest: id and f32 each.
    pub fn session_logprobs(&mut self, s: i32) -> Result<i32, Failure> {
        let slot = self.sessions.get(s)?;
        let Some(logprobs) = slot.session.logprobs() else {
            return Err(out_of_order(
                "the setting logprobs, and a step that gives a token",
            ));
        };
        let n = 1 + logprobs.top.len();
        self.buffer.put_words((0..2 * n).map(|i| {
            let row = match i / 2 {
                0 => Some(&logprobs.chosen),
                nth => logprobs.top.get(nth - 1),
            };
            let (id, logprob) = row.map_or((0, 0.0), |row| (row.token, row.logprob));
            if i % 2 == 0 {
                id.to_le_bytes()
            } else {
                logprob.to_le_bytes()
            }
        }))?;
        Ok(n as i32)
    }

    /// Goes back to the first `n` tokens.
    pub fn session_rewind(&mut self, s: i32, n: u32) -> Result<i32, Failure> {
        let (slot, package) = self.pair(s)?;
        slot.logits_of = 0;
        let engine = package.engine()?;
        slot.session.rewind(engine, n as usize)?;
        slot.decode_again(&engine.model.tokenizer);
        Ok(0)
    }

    /// Opens a session that continues from here on its own.
    pub fn session_fork(&mut self, s: i32) -> Result<i32, Failure> {
        let (slot, package) = self.pair(s)?;
        let engine = package.engine()?;
        let mut fork = slot.session.fork(engine)?;
        if let Err(failure) = own_stack(&mut fork, engine) {
            fork.close(engine);
            return Err(failure);
        }
        let (package, n_prefilled) = (slot.package, slot.n_prefilled);
        let handle = self.keep(package, fork)?;
        self.sessions.get_mut(handle)?.n_prefilled = n_prefilled;
        Ok(handle)
    }

    /// Closes a session and gives its memory back.
    pub fn session_close(&mut self, s: i32) -> Result<i32, Failure> {
        let slot = self.sessions.remove(s)?;
        let package = self.packages.get_mut(slot.package)?;
        end(slot.session, package.engine()?);
        Ok(0)
    }

    /// Stores a new session, or gives its pages back when there are too many.
    pub(crate) fn keep(&mut self, package: i32, session: Session) -> Result<i32, Failure> {
        let engine = self.packages.get_mut(package)?.engine()?;
        let (failure, session) = match OutputText::new(&session.settings().stop_strings) {
            None => (Failure::of(Status::OutOfMemory), session),
            Some(text) => {
                let mut slot = SessionSlot::new(package, session, text);
                slot.decode_again(&engine.model.tokenizer);
                match self.sessions.insert(Box::new(slot)) {
                    Ok(handle) => return Ok(handle),
                    Err((failure, slot)) => (failure, slot.session),
                }
            }
        };
        end(session, engine);
        Err(failure)
    }

    /// A session and the package it runs on.
    pub(crate) fn pair(&mut self, s: i32) -> Result<(&mut SessionSlot, &mut PackageSlot), Failure> {
        let slot = self.sessions.get_mut(s)?;
        let package = self.packages.get_mut(slot.package)?;
        Ok((slot, package))
    }
}

exports! {
    /// Opens a session with `len` bytes of settings (JSON object); answers a handle.
    fn session_new(package: i32, len: u32) -> status;
    /// Handle of the package that the session runs on.
    fn session_package(session: i32) -> status;
    /// Queues `n` ids (u32 each) as a prompt; answers `n`.
    fn session_prompt_ids(session: i32, n: u32) -> status;
    /// Computes up to `budget_rows` rows of the prompt, or one token; of the rows only about
    /// `row_layers` times layers, unless that is 0. Answers a SESSION_STEP.
    fn session_step(session: i32, budget_rows: u32, row_layers: u32) -> status;
    /// Id of the last token of the output, a stop token included.
    fn session_token(session: i32) -> status;
    /// Text completed since the last call, into the buffer; answers its bytes.
    fn session_text(session: i32) -> status;
    /// Tokens of the last prompt that are computed.
    fn session_prefilled(session: i32) -> status;
    /// Tokens that the session holds, prompts and outputs.
    fn session_len(session: i32) -> status;
    /// A STOP_REASON; 0 while the session runs.
    fn session_stop_reason(session: i32) -> status;
    /// Notes how long the last step took, in milliseconds, for reports.
    fn session_note_ms(session: i32, ms: f64) -> status;
    /// Ends the output where it is; the next prompt continues after it.
    fn session_cancel(session: i32) -> status;
    /// JSON `cultivar.run.v1` into the buffer; answers its bytes.
    fn session_report(session: i32) -> status;
    /// Logits that gave the last token, into the buffer (f32 each); answers their number.
    fn session_logits(session: i32) -> status;
    /// Pairs of id (u32) and ln p (f32) into the buffer: the last token, then the likeliest;
    /// answers the number of pairs.
    fn session_logprobs(session: i32) -> status;
    /// Goes back to the first `n` tokens.
    fn session_rewind(session: i32, n: u32) -> status;
    /// Opens a session that continues from here on its own; answers a handle.
    fn session_fork(session: i32) -> status;
    /// Closes the session.
    fn session_close(session: i32) -> status;
}
