//! Import verbs: foreign files into a package, step by step; the host reads and writes.
//!
//! After each step `import_request` says what the host is to do. Must never hold more of a file
//! than one step needs.

use crate::exports::exports;
use crate::host::Host;
use crate::status::{Failure, Status};
pub use crate::verbs::pump::{STEP_DONE, STEP_PROGRESS, STEP_READ, STEP_WRITE};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::json::JsonValue;
use cultivar_import::{ImportOptions, ImportStep, Importer, Requantize, SourceInfo, TargetFormat};

/// An import and what it last asked for.
pub struct ImportSlot {
    importer: Importer,
    request: [u64; 3],
}

impl Host {
    /// Begins an import as the JSON in the buffer says; answers its handle.
    pub fn import_begin(&mut self, len: u32) -> Result<i32, Failure> {
        let value = self.buffer.json(len)?;
        let importer = Importer::new(sources(&value)?, options(&value)?)?;
        let slot = ImportSlot {
            importer,
            request: [0; 3],
        };
        self.imports
            .insert(Box::new(slot))
            .map_err(|(failure, _)| failure)
    }

    /// Goes on; answers one of the outcomes.
    pub fn import_step(&mut self, import: i32, budget_bytes: u32) -> Result<i32, Failure> {
        let slot = self.imports.get_mut(import)?;
        let (code, request) = match slot.importer.step(u64::from(budget_bytes))? {
            ImportStep::Done => (STEP_DONE, [0; 3]),
            ImportStep::Read {
                source,
                offset,
                len,
            } => (STEP_READ, [source as u64, offset, len]),
            ImportStep::Write { offset } => {
                (STEP_WRITE, [0, offset, slot.importer.output().len() as u64])
            }
            ImportStep::Progress {
                done_bytes,
                total_bytes,
            } => (STEP_PROGRESS, [0, done_bytes, total_bytes]),
        };
        slot.request = request;
        Ok(code)
    }

    /// Writes what the last step asked for: source, offset, length.
    pub fn import_request(&mut self, import: i32) -> Result<i32, Failure> {
        let request = self.imports.get(import)?.request;
        let words = request.iter().flat_map(|n| [*n as u32, (*n >> 32) as u32]);
        let words: Vec<[u8; 4]> = words.map(u32::to_le_bytes).collect();
        self.buffer.put_words(words.into_iter())
    }

    /// Hands over the bytes that a read step asked for.
    pub fn import_supply(&mut self, import: i32, len: u32) -> Result<i32, Failure> {
        let slot = self.imports.get_mut(import)?;
        slot.importer.supply(self.buffer.read(len)?)?;
        Ok(0)
    }

    /// Writes the bytes of a write step into the buffer.
    pub fn import_output(&mut self, import: i32) -> Result<i32, Failure> {
        let slot = self.imports.get(import)?;
        self.buffer.put(slot.importer.output())
    }

    /// Writes the plan, once all headers are read.
    pub fn import_plan(&mut self, import: i32) -> Result<i32, Failure> {
        let slot = self.imports.get(import)?;
        self.buffer.put(slot.importer.plan_json().as_bytes())
    }

    /// Writes the conversion record, once the head is about to be written.
    pub fn import_report(&mut self, import: i32) -> Result<i32, Failure> {
        let slot = self.imports.get(import)?;
        self.buffer.put(slot.importer.record_json().as_bytes())
    }

    /// Ends an import, finished or not.
    pub fn import_close(&mut self, import: i32) -> Result<i32, Failure> {
        self.imports.remove(import)?;
        Ok(0)
    }
}

/// `{"sources": [{"name", "bytes"}, …]}`.
fn sources(value: &JsonValue) -> Result<Vec<SourceInfo>, Failure> {
    let bad = || Failure::of(Status::BadJson).named("sources must be a list of {name, bytes}");
    let items = value
        .get("sources")
        .and_then(JsonValue::as_array)
        .ok_or_else(bad)?;
    let mut sources = Vec::new();
    for item in items {
        let name = item
            .get("name")
            .and_then(JsonValue::as_str)
            .ok_or_else(bad)?;
        let bytes = item
            .get("bytes")
            .and_then(JsonValue::as_u64)
            .ok_or_else(bad)?;
        sources.push(SourceInfo {
            name: String::from(name),
            bytes,
        });
    }
    Ok(sources)
}

/// `{"options": {"format", "requantize", "name", "license", "source", "notes", …}}`; all may be
/// absent.
fn options(value: &JsonValue) -> Result<ImportOptions, Failure> {
    let mut options = ImportOptions::default();
    let Some(fields) = value.get("options") else {
        return Ok(options);
    };
    let bad = |name: &str| Failure::of(Status::BadJson).named(name);
    let fields = fields
        .as_object()
        .ok_or_else(|| bad("options must be an object"))?;
    for (field, value) in fields {
        if field == "skip_unrecognised" {
            let choice = value.as_bool();
            options.skip_unrecognised = choice.ok_or_else(|| bad("skip_unrecognised"))?;
            continue;
        }
        let text = value.as_str().ok_or_else(|| bad(field))?;
        match field.as_str() {
            "format" => options.format = TargetFormat::from_name(text)?,
            "requantize" => options.requantize = Requantize::from_name(text)?,
            "name" => options.name = String::from(text),
            "license" => options.license = String::from(text),
            "source" => options.source = String::from(text),
            "notes" => options.notes = String::from(text),
            _ => return Err(Failure::of(Status::UnknownOption).named(field)),
        }
    }
    Ok(options)
}

exports! {
    /// Begins an import; `len` bytes of JSON `{"sources": [{"name", "bytes"}], "options": {…}}`.
    fn import_begin(len: u32) -> status;
    /// Goes on, reading about `budget_bytes` at once; answers an IMPORT_STEP.
    fn import_step(import: i32, budget_bytes: u32) -> status;
    /// What the last step wants, as three u64: source, offset, bytes (progress: 0, done, total).
    fn import_request(import: i32) -> status;
    /// Hands over the `len` bytes that a read step asked for.
    fn import_supply(import: i32, len: u32) -> status;
    /// The bytes of a write step, into the buffer; answers their number.
    fn import_output(import: i32) -> status;
    /// What is known before weights are read (JSON), into the buffer; answers its bytes.
    fn import_plan(import: i32) -> status;
    /// The conversion record (JSON) into the buffer; answers its bytes, 0 before it is known.
    fn import_report(import: i32) -> status;
    /// Ends the import, finished or not.
    fn import_close(import: i32) -> status;
}
