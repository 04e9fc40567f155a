//! The breeder's jobs: files go in by ranges, a new file comes out by ranges, a report says how.
//!
//! A job is a row in [`JOBS`] and a file that reads its order. Whatever the job, the host drives it
//! the same way, so it needs one loop for all. A job holds only what its next step needs.

mod adapters;
mod intake;
mod order;

use crate::status::{Failure, Status};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::json::JsonValue;
use cultivar_import::SourceInfo;

/// What the host does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStep {
    /// Read exactly these bytes of a source and supply them.
    Read {
        /// Which source.
        source: usize,
        /// First byte.
        offset: u64,
        /// How many bytes.
        len: u64,
    },
    /// Take the output and write it at this byte of the new file.
    Write {
        /// First byte.
        offset: u64,
    },
    /// Nothing but to show how far it is.
    Progress {
        /// Bytes or pieces of work done.
        done: u64,
        /// In all.
        total: u64,
    },
    /// Everything is written.
    Done,
}

/// A job under way.
pub trait Job {
    /// Goes on, with about `budget_bytes` at once.
    fn step(&mut self, budget_bytes: u64) -> Result<JobStep, Failure>;

    /// Takes the bytes that the last step asked for.
    fn supply(&mut self, bytes: &[u8]) -> Result<(), Failure>;

    /// The bytes that the last step asked to write.
    fn output(&self) -> &[u8];

    /// What was done (JSON); empty before it is known.
    fn report(&self) -> Cow<'_, str>;
}

/// Makes a job of its sources and its order.
type Begin = fn(Vec<SourceInfo>, &JsonValue) -> Result<Box<dyn Job>, Failure>;

/// The module's jobs by the names that orders give them.
const JOBS: &[(&str, Begin)] = &[
    ("import_adapter", adapters::import),
    ("validate_adapter", adapters::validate),
    ("merge_adapters", adapters::merge),
    ("extract_adapter", adapters::extract),
    ("bake", adapters::bake),
];

/// `{"job": NAME, "sources": [{"name", "bytes"}, …], "options": {…}}`; options may be absent.
pub fn begin(order: &JsonValue) -> Result<Box<dyn Job>, Failure> {
    let name = order.get("job").and_then(JsonValue::as_str);
    let name = name.ok_or_else(|| bad("job"))?;
    let job = JOBS.iter().find(|(known, _)| *known == name);
    let (_, begin) = job.ok_or_else(|| Failure::of(Status::UnknownOption).named(name))?;
    begin(sources(order)?, order)
}

fn sources(order: &JsonValue) -> Result<Vec<SourceInfo>, Failure> {
    let wrong = || bad("sources must be a list of {name, bytes}");
    let items = order.get("sources").and_then(JsonValue::as_array);
    let mut sources = Vec::new();
    for item in items.ok_or_else(wrong)? {
        let name = item.get("name").and_then(JsonValue::as_str);
        let bytes = item.get("bytes").and_then(JsonValue::as_u64);
        sources.push(SourceInfo {
            name: String::from(name.ok_or_else(wrong)?),
            bytes: bytes.ok_or_else(wrong)?,
        });
    }
    Ok(sources)
}

/// The members of an order's `options`, which may be absent.
fn options(order: &JsonValue) -> Result<&[(String, JsonValue)], Failure> {
    let Some(options) = order.get("options") else {
        return Ok(&[]);
    };
    let members = options.as_object();
    members.ok_or_else(|| bad("options must be an object"))
}

/// A value of the order, named, has the wrong type or range.
fn bad(name: &str) -> Failure {
    Failure::of(Status::BadJson).named(name)
}
