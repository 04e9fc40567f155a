//! Replays of a record, step by step, and the first step that differs.
//!
//! A replay is an ordinary session that is told its prompts, its adapters and their weights; what
//! it computes is compared, never taken over.

use super::record::ReplayRecord;
use super::{Session, SessionError, SessionErrorKind, Step};
use crate::adapter::LoadedAdapter;
use crate::json::JsonWriter;
use crate::model::Engine;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The record names an adapter that is not at hand.
fn other_adapters() -> SessionErrorKind {
    SessionErrorKind::RecordOfOther("list of adapters")
}

/// The first step that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Index among the tokens of all outputs.
    pub step: usize,
    /// The recorded token; `None` if the record ends here.
    pub recorded_token: Option<u32>,
    /// The token of the replay; `None` if it stopped before.
    pub token: Option<u32>,
    /// The recorded digest after the step, if the record has it: its first 8 bytes.
    pub recorded_digest: Option<[u8; 8]>,
    /// That of the replay.
    pub digest: [u8; 8],
}

impl Difference {
    /// Writes it as an object; digests as 16 hexadecimal digits.
    pub fn write_json(&self, json: &mut JsonWriter) {
        let hex = |digest: [u8; 8]| format!("{:016x}", u64::from_be_bytes(digest));
        json.begin_object();
        json.field_u64("step", self.step as u64);
        let tokens = [
            ("recorded_token", self.recorded_token),
            ("token", self.token),
        ];
        for (key, id) in tokens {
            match id {
                Some(id) => json.field_u64(key, u64::from(id)),
                None => json.key(key).null(),
            };
        }
        match self.recorded_digest {
            Some(digest) => json.field_str("recorded_digest", &hex(digest)),
            None => json.key("recorded_digest").null(),
        };
        json.field_str("digest", &hex(self.digest));
        json.end_object();
    }
}

/// How far a replay has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayStep {
    /// Tokens of the outputs so far, all as recorded.
    Going(usize),
    /// All tokens and all logits are those of the record.
    SameBits,
    /// A step differs: another token, or other logits.
    Differs(Difference),
    /// All tokens are the same and logits are not; the record has no digests of steps.
    OtherLogits,
}

/// A record being replayed.
pub struct Replay {
    record: ReplayRecord,
    session: Session,
    /// Adapters at hand; the record names those that it wants.
    pool: Vec<Arc<LoadedAdapter>>,
    /// Turns that were prompted.
    n_turns: usize,
    n_events: usize,
    /// Tokens of outputs of earlier turns.
    n_before: usize,
}

impl Replay {
    /// Opens the run again. The engine must be of the recorded model; the recorded adapters are
    /// taken from `pool`, by their identities.
    pub fn new(
        engine: &mut Engine,
        record: ReplayRecord,
        pool: Vec<Arc<LoadedAdapter>>,
    ) -> Result<Self, SessionError> {
        if let Some(i) = record.turns.iter().position(|turn| !turn.has_its_prompt()) {
            return Err(SessionError::new(SessionErrorKind::RecordPrompt(i as u32)));
        }
        let session = Session::new(engine, record.settings.clone())?;
        let mut replay = Self {
            record,
            session,
            pool,
            n_turns: 0,
            n_events: 0,
            n_before: 0,
        };
        match replay.begin(engine) {
            Ok(()) => Ok(replay),
            Err(error) => {
                replay.close(engine);
                Err(error)
            }
        }
    }

    /// Puts the adapters of the start; refused if that is not the recorded assembly.
    fn begin(&mut self, engine: &mut Engine) -> Result<(), SessionError> {
        let mix = (&*self.pool, &*self.record.adapters);
        self.session.arrange(engine, mix, other_adapters)?;
        match engine.assembly(self.session.stack(engine)) == self.record.assembly {
            true => Ok(()),
            false => {
                let kind = SessionErrorKind::RecordOfOther("model or adapters");
                Err(SessionError::new(kind))
            }
        }
    }

    /// The session that replays.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Does a bounded piece of work: up to `budget_rows` rows of a prompt, or one token.
    pub fn step(
        &mut self,
        engine: &mut Engine,
        budget_rows: usize,
    ) -> Result<ReplayStep, SessionError> {
        let done = self.session.output_ids().len();
        let expected = self.current_output().len();
        self.apply_events(engine)?;
        if done >= expected {
            let next = self.record.turns.get(self.n_turns);
            let Some(prompt) = next.and_then(|turn| turn.prompt_ids.as_deref()) else {
                return Ok(self.verdict());
            };
            self.session.prompt(engine, prompt)?;
            self.n_before += done;
            self.n_turns += 1;
            return Ok(ReplayStep::Going(self.n_before));
        }
        let step = self.session.step(engine, budget_rows)?;
        if self.session.output_ids().len() == done {
            // Nothing came, though the record goes on: the settings ended it.
            return Ok(match step {
                Step::Done(_) => ReplayStep::Differs(self.difference(done, None)),
                _ => ReplayStep::Going(self.n_before + done),
            });
        }
        Ok(self.compare(done))
    }

    fn current_output(&self) -> &[u32] {
        let current = self.n_turns.checked_sub(1);
        let turn = current.and_then(|i| self.record.turns.get(i));
        turn.map_or(&[], |turn| &turn.output_ids)
    }

    /// Compares the token that was just made, the `done`-th of its turn.
    fn compare(&self, done: usize) -> ReplayStep {
        let token = self.session.output_ids().get(done).copied();
        let difference = self.difference(done, token);
        let recorded = difference.recorded_digest;
        let same_digest = recorded.is_none_or(|recorded| recorded == difference.digest);
        match difference.recorded_token == token && same_digest {
            true => ReplayStep::Going(difference.step + 1),
            false => ReplayStep::Differs(difference),
        }
    }

    fn difference(&self, done: usize, token: Option<u32>) -> Difference {
        let step = self.n_before + done;
        let mut digest = [0; 8];
        digest.copy_from_slice(&self.session.run_digest().0[..8]);
        Difference {
            step,
            recorded_token: self.current_output().get(done).copied(),
            token,
            recorded_digest: self.record.steps.get(step).copied(),
            digest,
        }
    }

    fn verdict(&self) -> ReplayStep {
        match self.session.run_digest() == self.record.run_digest {
            true => ReplayStep::SameBits,
            false => ReplayStep::OtherLogits,
        }
    }

    /// Puts the adapters that are due; where the next change falls within the step, the step ends
    /// there.
    fn apply_events(&mut self, engine: &mut Engine) -> Result<(), SessionError> {
        self.session.until = usize::MAX;
        while let Some(event) = self.record.events.get(self.n_events) {
            if event.n_tokens != self.session.tokens().len() {
                break;
            }
            // Fewer positions than now are there only when a full context has dropped its middle;
            // perhaps nothing was computed since.
            let n_sinks = self.record.settings.context_shift.unwrap_or(0) as usize;
            if event.position == n_sinks && n_sinks < self.session.n_computed() {
                self.session.shift(engine)?;
            }
            if event.position != 0 && event.position != self.session.n_computed() {
                self.session.until = event.position;
                break;
            }
            let mix = (&*self.pool, &*event.adapters);
            self.session.arrange(engine, mix, other_adapters)?;
            self.session.change_assembly(engine, event.position == 0)?;
            self.n_events += 1;
        }
        Ok(())
    }

    /// Gives the session's pages back, and its stack.
    pub fn close(self, engine: &mut Engine) {
        let stack = self.session.stack(engine);
        self.session.close(engine);
        stack.into_iter().for_each(|id| engine.remove_stack(id));
    }
}
