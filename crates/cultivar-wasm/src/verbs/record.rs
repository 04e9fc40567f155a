//! Record verbs: what of a session outlives the module. Snapshots go on elsewhere without reading
//! a prompt again; replay records are computed again and compared, step by step.
//!
//! Must never take over what a record says: it is compared with what is computed here.

use crate::exports::exports;
use crate::host::Host;
use crate::status::{Failure, Status};
use alloc::boxed::Box;
use alloc::string::String;
use cultivar_core::json::JsonWriter;
use cultivar_core::session::{
    Difference, RecordOptions, Replay, ReplayRecord, ReplayStep, Session, record_json,
};

/// Outcome of a step of a replay: all is as recorded so far.
pub const REPLAY_GOING: i32 = 0;
/// Tokens and logits are those of the record, to the bit.
pub const REPLAY_SAME_BITS: i32 = 1;
/// A step differs; `replay_report` names it.
pub const REPLAY_DIFFERS: i32 = 2;
/// Tokens are the same, logits are not, and the record has no digests that say where.
pub const REPLAY_OTHER_LOGITS: i32 = 3;

/// Leave prompts out of a record but for their SHA-256.
const FLAG_REDACT: u32 = 1;
/// Put a digest after each token into a record.
const FLAG_STEPS: u32 = 2;

/// A record being replayed.
pub struct ReplaySlot {
    /// Handle of the package it runs on.
    pub(crate) package: i32,
    replay: Replay,
    n_steps: usize,
    difference: Option<Difference>,
    verdict: i32,
}

impl Host {
    /// Writes the session as a file.
    pub fn session_snapshot(&mut self, s: i32) -> Result<i32, Failure> {
        let (slot, package) = self.pair(s)?;
        let bytes = slot.session.snapshot(package.engine()?)?;
        self.buffer.put(&bytes)
    }

    /// Opens the session of the snapshot in the buffer.
    pub fn session_restore(&mut self, package: i32, len: u32) -> Result<i32, Failure> {
        let pool = self.adapters_of(package);
        let engine = self.packages.get_mut(package)?.engine()?;
        let session = Session::restore(engine, self.buffer.read(len)?, &pool)?;
        let n_drafts = session.settings().prompt_lookup as usize;
        let handle = self.keep(package, session)?;
        let slot = self.packages.get_mut(package)?;
        if let Err(failure) = slot.make_room(1, 1 + n_drafts) {
            self.session_close(handle)?;
            return Err(failure);
        }
        Ok(handle)
    }

    /// Writes the record of a session so far.
    pub fn session_record(&mut self, s: i32, flags: u32) -> Result<i32, Failure> {
        if flags > FLAG_REDACT | FLAG_STEPS {
            return Err(Failure::number(Status::UnknownOption, flags).named("flags"));
        }
        let options = RecordOptions {
            redacts_prompts: flags & FLAG_REDACT != 0,
            has_steps: flags & FLAG_STEPS != 0,
        };
        let (slot, package) = self.pair(s)?;
        let json = record_json(&slot.session, package.engine()?, options);
        self.buffer.put(json.as_bytes())
    }

    /// Begins to replay the record in the buffer.
    pub fn replay_new(&mut self, package: i32, len: u32) -> Result<i32, Failure> {
        let pool = self.adapters_of(package);
        let slot = self.packages.get_mut(package)?;
        let record = ReplayRecord::parse(self.buffer.read(len)?)?;
        slot.make_room(1, 1 + record.settings.prompt_lookup as usize)?;
        let replay = Replay::new(slot.engine()?, record, pool)?;
        let kept = self.replays.insert(Box::new(ReplaySlot {
            package,
            replay,
            n_steps: 0,
            difference: None,
            verdict: REPLAY_GOING,
        }));
        match kept {
            Ok(handle) => Ok(handle),
            Err((failure, refused)) => {
                let engine = self.packages.get_mut(package)?.engine()?;
                refused.replay.close(engine);
                Err(failure)
            }
        }
    }

    /// Does a bounded piece of work and answers how the replay stands.
    pub fn replay_step(&mut self, replay: i32, budget_rows: u32) -> Result<i32, Failure> {
        let slot = self.replays.get_mut(replay)?;
        let package = self.packages.get_mut(slot.package)?;
        if slot.verdict != REPLAY_GOING {
            return Ok(slot.verdict);
        }
        package.n_batches += 1;
        let step = slot.replay.step(package.engine()?, budget_rows as usize)?;
        slot.verdict = match step {
            ReplayStep::Going(n) => {
                slot.n_steps = n;
                REPLAY_GOING
            }
            ReplayStep::SameBits => REPLAY_SAME_BITS,
            ReplayStep::OtherLogits => REPLAY_OTHER_LOGITS,
            ReplayStep::Differs(difference) => {
                slot.difference = Some(difference);
                REPLAY_DIFFERS
            }
        };
        Ok(slot.verdict)
    }

    /// Writes how the replay stands.
    pub fn replay_report(&mut self, replay: i32) -> Result<i32, Failure> {
        let slot = self.replays.get(replay)?;
        let json = replay_json(slot);
        self.buffer.put(json.as_bytes())
    }

    /// Ends a replay and gives its memory back.
    pub fn replay_close(&mut self, replay: i32) -> Result<i32, Failure> {
        let slot = self.replays.remove(replay)?;
        let package = self.packages.get_mut(slot.package)?;
        slot.replay.close(package.engine()?);
        Ok(0)
    }
}

fn replay_json(slot: &ReplaySlot) -> String {
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field_str("schema", "cultivar.replayed.v1");
    json.field_bool("same_bits", slot.verdict == REPLAY_SAME_BITS);
    json.field_u64("n_steps", slot.n_steps as u64);
    json.field_display("run_digest", slot.replay.session().run_digest());
    json.key("first_difference");
    match &slot.difference {
        Some(difference) => difference.write_json(&mut json),
        None => {
            json.null();
        }
    }
    json.end_object();
    json.finish()
}

exports! {
    /// The session as a file into the buffer; answers its bytes.
    fn session_snapshot(session: i32) -> status;
    /// Opens the session of the snapshot of `len` bytes; answers a handle.
    fn session_restore(package: i32, len: u32) -> status;
    /// JSON `cultivar.replay.v1` into the buffer; answers its bytes. Flags: 1 without prompts, 2
    /// with a digest after each token.
    fn session_record(session: i32, flags: u32) -> status;
    /// Begins to replay the record of `len` bytes; answers a handle.
    fn replay_new(package: i32, len: u32) -> status;
    /// Computes up to `budget_rows` rows of a prompt, or one token; answers a REPLAY_STEP.
    fn replay_step(replay: i32, budget_rows: u32) -> status;
    /// JSON `cultivar.replayed.v1` into the buffer; answers its bytes.
    fn replay_report(replay: i32) -> status;
    /// Ends a replay.
    fn replay_close(replay: i32) -> status;
}
