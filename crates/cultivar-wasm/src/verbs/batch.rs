//! Batch verb: a step of several sessions of one package in one pass over its weights.
//!
//! What each session gets is what it would have got alone, to the bit; a refusal of one leaves the
//! others alone.

use super::package::{PackageSlot, PackageState};
use super::session::{STEP_WAITING, SessionSlot};
use crate::buffer::out_of_order;
use crate::exports::exports;
use crate::host::Host;
use crate::status::{Failure, Status};
use alloc::vec::Vec;
use cultivar_core::session::{Batch, Session};

impl Host {
    /// Steps the `n` sessions whose handles stand in the buffer; writes an outcome for each.
    pub fn batch_step(&mut self, n: u32, budget_rows: u32) -> Result<i32, Failure> {
        let handles = self.buffer.ids(n)?;
        let mut slots = self.sessions.get_many(&handles)?;
        let Some(package) = slots.first().map(|slot| slot.package) else {
            return Err(Failure::number(Status::BadLength, n).named("1 session or more"));
        };
        if slots.iter().any(|slot| slot.package != package) {
            return Err(out_of_order("sessions of one package"));
        }
        let package = self.packages.get_mut(package)?;
        let outcomes = step(package, &mut slots, budget_rows as usize)?;
        let codes: Vec<i32> = outcomes.into_iter().map(|o| self.settle(o)).collect();
        self.buffer
            .put_words(codes.into_iter().map(i32::to_le_bytes))
    }
}

fn step(
    package: &mut PackageSlot,
    slots: &mut [&mut SessionSlot],
    budget_rows: usize,
) -> Result<Vec<Result<i32, Failure>>, Failure> {
    package.make_room(slots.len(), slots.len())?;
    package.n_batches += 1;
    let batch_number = package.n_batches;
    let PackageState::Open(engine) = &mut package.state else {
        return Err(out_of_order("the package is not open yet"));
    };
    let no_room = || Failure::of(Status::OutOfMemory);
    let mut batch = Batch::new(engine, slots.len()).ok_or_else(no_room)?;
    let before: Vec<(u64, bool)> = slots.iter().map(|slot| slot.before()).collect();
    let mut sessions: Vec<&mut Session> = slots.iter_mut().map(|slot| &mut slot.session).collect();
    let steps = batch.step(engine, &mut sessions, budget_rows)?;
    let tokenizer = &engine.model.tokenizer;
    let noted = slots.iter_mut().zip(before).zip(steps);
    let outcomes = noted.map(|((slot, before), step)| match step {
        None => Ok(STEP_WAITING),
        Some(step) => slot.note(step.clone(), before, batch_number, tokenizer),
    });
    Ok(outcomes.collect())
}

exports! {
    /// Steps the `n` sessions of one package whose handles are in the buffer (u32 each), as
    /// `session_step` would; writes an outcome each (i32: a SESSION_STEP or a negative status).
    fn batch_step(n: u32, budget_rows: u32) -> status;
}
