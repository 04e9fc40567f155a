//! A package back into the files of other programs: one GGUF file, or safetensors with
//! `config.json` and a tokenizer.
//!
//! Sans-IO like the importer: [`Exporter::step`] says what to read and what to write. Kept formats
//! keep their bits; what the other format cannot hold is re-quantized to one that is not smaller
//! and listed in [`Exporter::report_json`]. A configuration that the other format's families do
//! not have is refused by the name of the option.

mod family;
mod gguf_file;
mod gguf_metadata;
mod gguf_tokenizer;
mod hf_files;
mod sentencepiece_model;
mod tensor_rows;
mod tokenizer_json;
mod written_pieces;

use crate::error::{ImportError, ImportErrorKind};
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::json::JsonWriter;
use cultivar_core::package::{Head, metadata_key};
use cultivar_core::tokenizer::ChatFormat;
use tensor_rows::{OutTensor, Weave, woven};

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportKind {
    /// One GGUF file, version 3.
    Gguf,
    /// `model.safetensors`, `config.json`, `tokenizer_config.json` and, where it can be made,
    /// `tokenizer.model` or `tokenizer.json`.
    Safetensors,
}

/// The chat template's own text: as it was before its family was recognised, or a template of none.
fn chat_template(head: &Head) -> Option<&str> {
    let original = head.metadata.text(metadata_key::CHAT_TEMPLATE);
    let stored = head.chat_template.as_deref();
    original.or(stored.filter(|text| matches!(ChatFormat::from_stored(text), Ok(None))))
}

/// What the caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportStep {
    /// Read exactly these bytes of the package and [`Exporter::supply`] them.
    Read {
        /// First byte.
        offset: u64,
        /// How many bytes.
        len: u64,
    },
    /// Write [`Exporter::output`] at this byte of file `file` of [`Exporter::file_names`].
    Write {
        /// Which file.
        file: usize,
        /// First byte.
        offset: u64,
    },
    /// Everything is written.
    Done,
}

/// Chunks of a tensor are about this long as f32.
const CHUNK_BYTES_MAX: u64 = 8 << 20;

/// An export in progress.
pub struct Exporter {
    file_names: Vec<String>,
    /// Files that are there as a whole: file and bytes; the first is the header of the weights.
    whole: Vec<(usize, Vec<u8>)>,
    next_whole: usize,
    tensors: Vec<OutTensor>,
    next_tensor: usize,
    next_row: usize,
    /// Rows that were asked for.
    requested: Option<usize>,
    /// Rows of the parts before this one that are woven with it.
    held: Vec<u8>,
    output: Vec<u8>,
    output_offset: Option<u64>,
    n_bytes: u64,
    notes: Vec<String>,
}

impl Exporter {
    /// An export of the package with this head.
    ///
    /// # Errors
    /// `ExportUnsupported` for an option, a tokenizer or a format that cannot be written there.
    pub fn new(head: &Head, kind: ExportKind) -> Result<Exporter, ImportError> {
        match kind {
            ExportKind::Gguf => gguf_file::plan(head),
            ExportKind::Safetensors => hf_files::plan(head),
        }
    }

    /// An export of these files; the first is the one that tensors belong to.
    fn of(
        file_names: Vec<String>,
        whole: Vec<(usize, Vec<u8>)>,
        tensors: Vec<OutTensor>,
        mut notes: Vec<String>,
    ) -> Exporter {
        for tensor in tensors.iter().filter(|tensor| tensor.is_requantized()) {
            notes.push(tensor.note());
        }
        let header = whole.first().map_or(0, |(_, bytes)| bytes.len() as u64);
        let n_bytes = tensors.last().map_or(header, OutTensor::padded_end);
        Exporter {
            file_names,
            whole,
            next_whole: 0,
            tensors,
            next_tensor: 0,
            next_row: 0,
            requested: None,
            held: Vec::new(),
            output: Vec::new(),
            output_offset: None,
            n_bytes,
            notes,
        }
    }

    /// The files that are written; a GGUF file has no name of its own.
    pub fn file_names(&self) -> &[String] {
        &self.file_names
    }

    /// Length of the file that holds the tensors.
    pub fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// The bytes that the last step asked to write.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// What could not stay as it is, as canonical JSON (schema `cultivar.export.v1`).
    pub fn report_json(&self) -> String {
        let mut json = JsonWriter::new();
        json.begin_object();
        json.field_str("schema", "cultivar.export.v1");
        json.field_u64("n_tensors", self.tensors.len() as u64);
        json.field_u64("weights_bytes", self.n_bytes);
        json.key("notes").begin_array();
        for note in &self.notes {
            json.string(note);
        }
        json.end_array().end_object();
        json.finish()
    }

    /// What could not stay as it is, one sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Tensors done and in all.
    pub fn progress(&self) -> (usize, usize) {
        (self.next_tensor, self.tensors.len())
    }

    /// Says what the caller does next.
    pub fn step(&mut self) -> Result<ExportStep, ImportError> {
        if let Some(offset) = self.output_offset.take() {
            return Ok(ExportStep::Write { file: 0, offset });
        }
        if let Some((file, bytes)) = self.whole.get_mut(self.next_whole) {
            self.output = core::mem::take(bytes);
            self.next_whole += 1;
            return Ok(ExportStep::Write {
                file: *file,
                offset: 0,
            });
        }
        let Some(tensor) = self.tensors.get(self.next_tensor) else {
            return Ok(ExportStep::Done);
        };
        let n_rows = tensor.next_rows(self.next_row, CHUNK_BYTES_MAX);
        self.requested = Some(n_rows);
        let (offset, len) = tensor.stored_range(self.next_row, n_rows);
        Ok(ExportStep::Read { offset, len })
    }

    /// Takes the bytes that the last step asked to read.
    pub fn supply(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        let order = || ImportError::new(ImportErrorKind::OutOfOrder);
        let n_rows = self.requested.take().ok_or_else(order)?;
        let tensor = self.tensors.get(self.next_tensor).ok_or_else(order)?;
        let (_, len) = tensor.stored_range(self.next_row, n_rows);
        if bytes.len() as u64 != len {
            let error = ImportError::new(ImportErrorKind::SupplyLen);
            return Err(error.numbers(len, bytes.len() as u64));
        }
        tensor.convert(bytes, n_rows, &mut self.output)?;
        if tensor.weave != Weave::No {
            return self.weave();
        }
        let offset = tensor.place(self.next_row);
        self.next_row += n_rows;
        if self.next_row >= tensor.d_out {
            let end = tensor.padded_end();
            self.output.resize((end - offset) as usize, 0);
            self.next_tensor += 1;
            self.next_row = 0;
        }
        self.output_offset = Some(offset);
        Ok(())
    }

    /// The output is a part of a tensor, whole: with the last one all are written.
    fn weave(&mut self) -> Result<(), ImportError> {
        let order = || ImportError::new(ImportErrorKind::OutOfOrder);
        let tensor = self.tensors.get(self.next_tensor).ok_or_else(order)?;
        let n_bytes = self.output.len();
        let no_memory = ImportError::new(ImportErrorKind::OutOfMemory).numbers(n_bytes as u64, 0);
        self.held.try_reserve(n_bytes).map_err(|_| no_memory)?;
        self.held.append(&mut self.output);
        self.next_tensor += 1;
        let next = self.tensors.get(self.next_tensor);
        if next.is_some_and(|next| next.name == tensor.name) {
            return Ok(());
        }
        let before = self.tensors.get(..self.next_tensor).unwrap_or_default();
        let first = before.iter().rposition(|part| part.name != tensor.name);
        let parts = before
            .get(first.map_or(0, |idx| idx + 1)..)
            .unwrap_or_default();
        self.output = woven(parts, &core::mem::take(&mut self.held))?;
        self.output_offset = parts.first().map(|part| part.offset);
        Ok(())
    }
}
