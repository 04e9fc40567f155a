//! Export verbs: a package back into the files of other programs, step by step; the host reads
//! the package and writes the files.
//!
//! The pump is the import's: after each step `export_request` says what the host is to do. Must
//! never hold more of the package than its head and one chunk.

use crate::exports::exports;
use crate::host::Host;
use crate::status::{Failure, Status};
use crate::verbs::pump::{STEP_DONE, STEP_READ, STEP_WRITE};
use alloc::boxed::Box;
use alloc::vec::Vec;
use cultivar_core::json::JsonWriter;
use cultivar_core::package::{HEADER_BYTES, Head, Header, PackageError, PackageErrorKind};
use cultivar_import::{ExportKind, ExportStep, Exporter};

/// What is read of the package next.
enum Stage {
    /// The header, which says how long the head is.
    Header,
    /// Everything before the tensors: so many bytes.
    Head(u64),
    /// The tensors, as the exporter asks for them.
    Tensors(Exporter),
}

/// An export and what it last asked for.
pub struct ExportSlot {
    kind: ExportKind,
    file_bytes: u64,
    stage: Stage,
    request: [u64; 3],
}

impl ExportSlot {
    /// The next outcome and its three numbers.
    fn step(&mut self) -> Result<(i32, [u64; 3]), Failure> {
        let exporter = match &mut self.stage {
            Stage::Header => {
                let n_bytes = self.file_bytes.min(HEADER_BYTES as u64);
                return Ok((STEP_READ, [0, 0, n_bytes]));
            }
            Stage::Head(n_bytes) => return Ok((STEP_READ, [0, 0, *n_bytes])),
            Stage::Tensors(exporter) => exporter,
        };
        Ok(match exporter.step()? {
            ExportStep::Read { offset, len } => (STEP_READ, [0, offset, len]),
            ExportStep::Write { file, offset } => {
                let n_bytes = exporter.output().len() as u64;
                (STEP_WRITE, [file as u64, offset, n_bytes])
            }
            ExportStep::Done => (STEP_DONE, [0; 3]),
        })
    }

    /// Takes what the last step asked to read.
    fn supply(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stage = match &mut self.stage {
            Stage::Header => {
                let header = Header::of_file(bytes, self.file_bytes)?;
                let n_bytes = u64::from(header.head_bytes);
                if n_bytes > self.file_bytes {
                    return Err(PackageError::at(PackageErrorKind::HeadBytes, 32).into());
                }
                Stage::Head(n_bytes)
            }
            Stage::Head(_) => {
                let head = Head::parse(bytes, self.file_bytes)?;
                Stage::Tensors(Exporter::new(&head, self.kind)?)
            }
            Stage::Tensors(exporter) => return Ok(exporter.supply(bytes)?),
        };
        Ok(())
    }

    /// Names of the files that are written and what could not stay as it is.
    fn files_json(&self) -> Result<alloc::string::String, Failure> {
        let Stage::Tensors(exporter) = &self.stage else {
            return Err(Failure::of(Status::OutOfOrder).named("export_step"));
        };
        let mut json = JsonWriter::new();
        json.begin_object();
        json.field_str("schema", "cultivar.export_files.v1");
        json.key("files").begin_array();
        for name in exporter.file_names() {
            json.string(name);
        }
        json.end_array();
        json.key("report").raw(&exporter.report_json());
        json.end_object();
        Ok(json.finish())
    }
}

impl Host {
    /// Begins an export of a package of `file_bytes`; the buffer has the format's name.
    pub fn export_begin(&mut self, len: u32, file_bytes: f64) -> Result<i32, Failure> {
        let kind = match self.buffer.read(len)? {
            b"gguf" => ExportKind::Gguf,
            b"safetensors" => ExportKind::Safetensors,
            _ => return Err(Failure::of(Status::UnknownOption).named("export format")),
        };
        let slot = ExportSlot {
            kind,
            // Saturates: not a number and negative ones become 0, and such a file is too short.
            file_bytes: file_bytes as u64,
            stage: Stage::Header,
            request: [0; 3],
        };
        self.exporters
            .insert(Box::new(slot))
            .map_err(|(failure, _)| failure)
    }

    /// Goes on; answers one of the import's outcomes.
    pub fn export_step(&mut self, export: i32) -> Result<i32, Failure> {
        let slot = self.exporters.get_mut(export)?;
        let (code, request) = slot.step()?;
        slot.request = request;
        Ok(code)
    }

    /// Writes what the last step asked for: file, offset, length.
    pub fn export_request(&mut self, export: i32) -> Result<i32, Failure> {
        let request = self.exporters.get(export)?.request;
        let words = request.iter().flat_map(|n| [*n as u32, (*n >> 32) as u32]);
        let words: Vec<[u8; 4]> = words.map(u32::to_le_bytes).collect();
        self.buffer.put_words(words.into_iter())
    }

    /// Hands over the bytes that a read step asked for.
    pub fn export_supply(&mut self, export: i32, len: u32) -> Result<i32, Failure> {
        let slot = self.exporters.get_mut(export)?;
        slot.supply(self.buffer.read(len)?)?;
        Ok(0)
    }

    /// Writes the bytes of a write step into the buffer.
    pub fn export_output(&mut self, export: i32) -> Result<i32, Failure> {
        match &self.exporters.get(export)?.stage {
            Stage::Tensors(exporter) => self.buffer.put(exporter.output()),
            _ => Err(Failure::of(Status::OutOfOrder).named("export_step")),
        }
    }

    /// Writes which files there are, once the head was read.
    pub fn export_files(&mut self, export: i32) -> Result<i32, Failure> {
        let json = self.exporters.get(export)?.files_json()?;
        self.buffer.put(json.as_bytes())
    }

    /// Ends an export, finished or not.
    pub fn export_close(&mut self, export: i32) -> Result<i32, Failure> {
        self.exporters.remove(export)?;
        Ok(0)
    }
}

exports! {
    /// Begins an export; the buffer has `gguf` or `safetensors`, the package is so long.
    fn export_begin(len: u32, file_bytes: f64) -> status;
    /// Goes on; answers an IMPORT_STEP.
    fn export_step(export: i32) -> status;
    /// What the last step wants, as three u64: file, offset, bytes (a read's file is the package).
    fn export_request(export: i32) -> status;
    /// Hands over the `len` bytes that a read step asked for.
    fn export_supply(export: i32, len: u32) -> status;
    /// The bytes of a write step, into the buffer; answers their number.
    fn export_output(export: i32) -> status;
    /// Names of the files and notes (JSON), into the buffer, once the head was read.
    fn export_files(export: i32) -> status;
    /// Ends the export, finished or not.
    fn export_close(export: i32) -> status;
}
