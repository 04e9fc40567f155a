//! Job verbs: files into a new file, step by step; the host reads and writes.
//!
//! After each step `job_request` says what the host is to do. Must never hold more of a file than
//! one step needs.

use crate::exports::exports;
use crate::host::Host;
use crate::jobs::{self, Job, JobStep};
use crate::status::{Failure, Status};
pub use crate::verbs::pump::{STEP_DONE, STEP_PROGRESS, STEP_READ, STEP_WRITE};
use alloc::boxed::Box;
use alloc::vec::Vec;
use cultivar_core::json;

/// A job and what it last asked for.
pub struct JobSlot {
    job: Box<dyn Job>,
    request: [u64; 3],
}

impl Host {
    /// Begins a job as the JSON in the buffer says; answers its handle.
    pub fn job_begin(&mut self, len: u32) -> Result<i32, Failure> {
        let order = json::parse_unique(self.buffer.read(len)?)
            .map_err(|error| Failure::of(Status::BadJson).named(&alloc::format!("{error}")))?;
        let slot = JobSlot {
            job: jobs::begin(&order)?,
            request: [0; 3],
        };
        self.jobs
            .insert(Box::new(slot))
            .map_err(|(failure, _)| failure)
    }

    /// Goes on; answers one of the outcomes.
    pub fn job_step(&mut self, job: i32, budget_bytes: u32) -> Result<i32, Failure> {
        let slot = self.jobs.get_mut(job)?;
        let (code, request) = match slot.job.step(u64::from(budget_bytes))? {
            JobStep::Done => (STEP_DONE, [0; 3]),
            JobStep::Read {
                source,
                offset,
                len,
            } => (STEP_READ, [source as u64, offset, len]),
            JobStep::Write { offset } => (STEP_WRITE, [0, offset, slot.job.output().len() as u64]),
            JobStep::Progress { done, total } => (STEP_PROGRESS, [0, done, total]),
        };
        slot.request = request;
        Ok(code)
    }

    /// Writes what the last step asked for: source, offset, length.
    pub fn job_request(&mut self, job: i32) -> Result<i32, Failure> {
        let request = self.jobs.get(job)?.request;
        let words = request.iter().flat_map(|n| [*n as u32, (*n >> 32) as u32]);
        let words: Vec<[u8; 4]> = words.map(u32::to_le_bytes).collect();
        self.buffer.put_words(words.into_iter())
    }

    /// Hands over the bytes that a read step asked for.
    pub fn job_supply(&mut self, job: i32, len: u32) -> Result<i32, Failure> {
        let slot = self.jobs.get_mut(job)?;
        slot.job.supply(self.buffer.read(len)?)?;
        Ok(0)
    }

    /// Writes the bytes of a write step into the buffer.
    pub fn job_output(&mut self, job: i32) -> Result<i32, Failure> {
        let slot = self.jobs.get(job)?;
        self.buffer.put(slot.job.output())
    }

    /// Writes the report, once it is known.
    pub fn job_report(&mut self, job: i32) -> Result<i32, Failure> {
        let slot = self.jobs.get(job)?;
        self.buffer.put(slot.job.report().as_bytes())
    }

    /// Ends a job, finished or not.
    pub fn job_close(&mut self, job: i32) -> Result<i32, Failure> {
        self.jobs.remove(job)?;
        Ok(0)
    }
}

exports! {
    /// Begins a job; `len` bytes of JSON `{"job", "sources": [{"name", "bytes"}], "options": {…}}`.
    fn job_begin(len: u32) -> status;
    /// Goes on, with about `budget_bytes` at once; answers a JOB_STEP.
    fn job_step(job: i32, budget_bytes: u32) -> status;
    /// What the last step wants, as three u64: source, offset, bytes (progress: 0, done, total).
    fn job_request(job: i32) -> status;
    /// Hands over the `len` bytes that a read step asked for.
    fn job_supply(job: i32, len: u32) -> status;
    /// The bytes of a write step, into the buffer; answers their number.
    fn job_output(job: i32) -> status;
    /// The report (JSON) into the buffer; answers its bytes, 0 before it is known.
    fn job_report(job: i32) -> status;
    /// Ends the job, finished or not.
    fn job_close(job: i32) -> status;
}
