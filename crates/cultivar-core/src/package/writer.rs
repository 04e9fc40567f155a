//! The writer: canonical, and streaming.
//!
//! Every size before the tensor data follows from names, shapes and formats, so all places are
//! known before the first weight: the caller writes tensors where they belong, in any order, sets
//! their digests, and at the end writes the head at byte 0 and the tail behind the tensors.
//! Bytes that nobody writes must be zero. The same content always gives the same bytes.

use super::config::ModelConfig;
use super::container::KeptSection;
use super::directory::{Directory, Entry, TensorPlan};
use super::error::{PackageError, PackageErrorKind};
use super::header::{HEADER_BYTES, Header, PackageKind};
use super::limits;
use super::metadata::Metadata;
use super::records::Records;
use super::schema::check_tensors;
use super::section_table::{SECTION_BYTES, Section, SectionId, SectionTable, section_flags};
use super::tokenizer_section::{read_tokenizer, tokenizer_records};
use crate::bytes::{align_up, put_padding};
use crate::digest::{Digest, sha256};
use crate::sorting::{sort, sort_by_key};
use crate::tokenizer::TokenizerRecord;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// What a model's package holds beside its tensors.
#[derive(Clone, Debug)]
pub struct ModelParts {
    /// The model's options.
    pub config: ModelConfig,
    /// Its tokenizer.
    pub tokenizer: TokenizerRecord,
    /// Its chat template, if there is one; not empty.
    pub chat_template: Option<String>,
    /// Name, licence, source, notes.
    pub metadata: Metadata,
    /// Optional sections before the tensor data with ids that this version does not know.
    pub unknown: Vec<KeptSection>,
}

/// A package that is being written.
#[derive(Clone, Debug)]
pub struct PackageWriter {
    kind: PackageKind,
    /// Sections before the directory, ascending by id.
    sections: Vec<KeptSection>,
    directory: Directory,
    /// Which tensors have their digest.
    is_set: Vec<bool>,
    tail_ids: Vec<SectionId>,
}

/// What is written last: the head at byte 0, the tail behind the tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedPackage {
    /// The bytes `[0, head_bytes)`.
    pub head: Vec<u8>,
    /// Where the tail belongs.
    pub tail_offset: u64,
    /// The bytes behind the tensor data, the padding before its first section included.
    pub tail: Vec<u8>,
    /// Length of the whole file.
    pub file_bytes: u64,
}

impl PackageWriter {
    /// Lays out a model. `tail_ids` names the sections that [`PackageWriter::finish`] will be
    /// given; only their number matters here, their content comes last.
    pub fn model(
        parts: &ModelParts,
        tensors: Vec<TensorPlan>,
        tail_ids: &[SectionId],
    ) -> Result<PackageWriter, PackageError> {
        // What is written must be what a reader accepts, so the reader's own rules judge it.
        let config = parts.config.to_records().finish();
        ModelConfig::from_records(&Records::parse(SectionId::CONFIG, &config, 0)?)?;
        let tokenizer = tokenizer_records(&parts.tokenizer).finish();
        read_tokenizer(&tokenizer, 0, parts.config.vocab_size)?;
        let mut sections = vec![
            (SectionId::CONFIG, config),
            (SectionId::TOKENIZER, tokenizer),
        ];
        if let Some(template) = &parts.chat_template {
            sections.push((SectionId::CHAT_TEMPLATE, template.as_bytes().to_vec()));
        }
        sections.push((SectionId::METADATA, parts.metadata.to_bytes().to_vec()));
        sections.extend(parts.unknown.iter().cloned());
        let writer = PackageWriter::new(PackageKind::Model, sections, tensors, tail_ids)?;
        if parts.config.check_supported().is_ok() {
            check_tensors(&parts.config, &writer.directory)?;
        }
        Ok(writer)
    }

    /// Lays out a package of either kind from sections as bytes; empty ones are left out.
    pub fn new(
        kind: PackageKind,
        mut sections: Vec<KeptSection>,
        tensors: Vec<TensorPlan>,
        tail_ids: &[SectionId],
    ) -> Result<PackageWriter, PackageError> {
        sections.retain(|(_, bytes)| !bytes.is_empty());
        for (_, metadata) in sections.iter().filter(|(id, _)| *id == SectionId::METADATA) {
            Records::parse(SectionId::METADATA, metadata, 0)?;
        }
        sort_by_key(&mut sections, |(id, _)| *id);
        let mut tail_ids = tail_ids.to_vec();
        sort(&mut tail_ids);
        let mut writer = PackageWriter {
            kind,
            sections,
            directory: Directory::plan(tensors, 0)?,
            is_set: Vec::new(),
            tail_ids,
        };
        // The directory's length does not depend on where the data begins.
        let plans = writer.directory.entries().iter().map(|entry| TensorPlan {
            name: entry.name.clone(),
            format: entry.format,
            shape: entry.shape.clone(),
        });
        let plans = plans.collect();
        writer.directory = Directory::plan(plans, writer.head_bytes()?)?;
        writer.is_set = vec![false; writer.directory.entries().len()];
        writer.check_sections()?;
        Ok(writer)
    }

    /// The tensors in the order of the file: ascending by name, with their places.
    pub fn entries(&self) -> &[Entry] {
        self.directory.entries()
    }

    /// The directory that will be stored; digests that are not set yet are zero.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The place of a tensor among [`PackageWriter::entries`].
    pub fn position(&self, name: &str) -> Option<usize> {
        self.directory.position(name)
    }

    /// Where the tensor data begins: how many bytes the head will have.
    pub fn data_offset(&self) -> u64 {
        self.directory.data_offset()
    }

    /// Where the tensor data ends and the tail begins.
    pub fn tail_offset(&self) -> u64 {
        self.directory.data_offset() + self.directory.data_bytes()
    }

    /// Sets the digest of the stored bytes of tensor `idx`; false if there is no such tensor.
    pub fn set_digest(&mut self, idx: usize, digest: Digest) -> bool {
        if let Some(is_set) = self.is_set.get_mut(idx) {
            *is_set = true;
        }
        self.directory.set_digest(idx, digest)
    }

    /// The head and the tail, once every digest is set. `tail` has exactly the announced sections.
    pub fn finish(&self, tail: &[KeptSection]) -> Result<FinishedPackage, PackageError> {
        let unset = self
            .entries()
            .iter()
            .zip(&self.is_set)
            .find(|(_, is_set)| !**is_set);
        if let Some((entry, _)) = unset {
            let kind = PackageErrorKind::MissingDigest;
            let error = PackageError::within(kind, SectionId::TENSOR_DIRECTORY, entry.offset);
            return Err(error.named(entry.name.as_str()));
        }
        let mut tail: Vec<&KeptSection> = tail.iter().collect();
        sort_by_key(&mut tail, |(id, _)| *id);
        let is_announced = tail.iter().map(|(id, _)| id).eq(&self.tail_ids);
        let tail_offset = self.tail_offset();
        if !is_announced || tail.iter().any(|(_, bytes)| bytes.is_empty()) {
            return Err(PackageError::at(
                PackageErrorKind::TailSections,
                tail_offset,
            ));
        }
        let directory = self.directory.to_bytes();
        let directory_digest = sha256(&directory);
        let mut head_sections: Vec<(SectionId, &[u8])> = self
            .sections
            .iter()
            .map(|(id, bytes)| (*id, bytes.as_slice()))
            .collect();
        head_sections.push((SectionId::TENSOR_DIRECTORY, &directory));
        sort_by_key(&mut head_sections, |(id, _)| *id);

        let mut rows = Rows {
            kind: self.kind,
            place: self.table_end(),
            rows: Vec::new(),
        };
        for (id, bytes) in &head_sections {
            rows.push(*id, bytes.len() as u64, sha256(bytes))?;
        }
        rows.push(
            SectionId::TENSOR_DATA,
            self.directory.data_bytes(),
            directory_digest,
        )?;
        for (id, bytes) in &tail {
            rows.push(*id, bytes.len() as u64, sha256(bytes))?;
        }
        let file_bytes = rows.rows.last().map_or(0, Section::end);
        if file_bytes > limits::FILE_BYTES_MAX {
            return Err(PackageError::at(PackageErrorKind::FileTooLarge, 24));
        }
        let head = self.head(&rows.rows, &head_sections, file_bytes)?;
        let tail = tail_bytes(tail_offset, &rows.rows, &tail);
        Ok(FinishedPackage {
            head,
            tail_offset,
            tail,
            file_bytes,
        })
    }

    /// The bytes `[0, head_bytes)`, checked once more by the parser's own rules.
    fn head(
        &self,
        rows: &[Section],
        sections: &[(SectionId, &[u8])],
        file_bytes: u64,
    ) -> Result<Vec<u8>, PackageError> {
        let mut table = Vec::with_capacity(rows.len() * SECTION_BYTES);
        rows.iter().for_each(|row| row.put(&mut table));
        let header = Header {
            kind: self.kind,
            n_sections: rows.len() as u32,
            file_bytes,
            // Checked against the limit of 256 MiB when the layout was made.
            head_bytes: self.data_offset() as u32,
            digest: Default::default(),
        };
        let mut head = header.to_bytes(&table);
        head.extend_from_slice(&table);
        for (_, bytes) in sections {
            put_padding(&mut head, limits::ALIGNMENT as usize);
            head.extend_from_slice(bytes);
        }
        put_padding(&mut head, limits::ALIGNMENT as usize);
        let header = Header::of_file(&head, file_bytes)?;
        SectionTable::parse(&header, &head)?;
        Ok(head)
    }

    fn table_end(&self) -> u64 {
        // Directory and tensor data are always there.
        let n_sections = self.sections.len() + 2 + self.tail_ids.len();
        (HEADER_BYTES + n_sections * SECTION_BYTES) as u64
    }

    /// Where the tensor data begins: sections and directory, each padded to 64 bytes.
    fn head_bytes(&self) -> Result<u64, PackageError> {
        let directory_bytes = self.directory.to_bytes().len();
        let lengths = self
            .sections
            .iter()
            .map(|(_, bytes)| bytes.len())
            .chain([directory_bytes]);
        let end = lengths.fold(self.table_end(), |place, len| {
            align_up(place.saturating_add(len as u64), limits::ALIGNMENT).unwrap_or(u64::MAX)
        });
        if end > limits::HEAD_BYTES_MAX {
            return Err(PackageError::at(PackageErrorKind::HeadTooLarge, 32));
        }
        Ok(end)
    }

    /// Sections given as bytes stand before the data and not twice; announced ones behind it.
    fn check_sections(&self) -> Result<(), PackageError> {
        let at = PackageError::at;
        if self.sections.len() + 2 + self.tail_ids.len() > limits::SECTIONS_MAX as usize {
            return Err(at(PackageErrorKind::SectionCount, 16));
        }
        let wrong = self
            .sections
            .iter()
            .map(|(id, _)| *id)
            .find(|id| !id.is_head() || *id == SectionId::TENSOR_DIRECTORY);
        let wrong = wrong.or(self
            .tail_ids
            .iter()
            .copied()
            .find(|id| *id <= SectionId::TENSOR_DATA));
        let doubled = self
            .sections
            .array_windows()
            .find(|[(a, _), (b, _)]| a == b);
        let wrong = wrong.or(doubled.map(|[(id, _), _]| *id));
        let doubled = self.tail_ids.array_windows().find(|[a, b]| a == b);
        match wrong.or(doubled.map(|[id, _]| *id)) {
            Some(id) => Err(at(PackageErrorKind::SectionOrder, HEADER_BYTES as u64).named(id)),
            None => Ok(()),
        }
    }
}

/// Rows of the section table in the making.
struct Rows {
    kind: PackageKind,
    place: u64,
    rows: Vec<Section>,
}

impl Rows {
    fn push(&mut self, id: SectionId, len: u64, digest: Digest) -> Result<(), PackageError> {
        let flags = section_flags(id, self.kind);
        let row = Section {
            id,
            flags,
            offset: self.place,
            len,
            digest,
        };
        self.place = row.padded_end();
        self.rows.push(row);
        if self.place == u64::MAX {
            return Err(PackageError::at(PackageErrorKind::FileTooLarge, 24).named(id));
        }
        Ok(())
    }
}

/// The bytes behind the tensor data, each section behind its padding.
fn tail_bytes(tail_offset: u64, rows: &[Section], tail: &[&KeptSection]) -> Vec<u8> {
    let mut out = Vec::new();
    let rows = rows.iter().filter(|row| row.id > SectionId::TENSOR_DATA);
    for (row, (_, bytes)) in rows.zip(tail) {
        out.resize((row.offset - tail_offset) as usize, 0);
        out.extend_from_slice(bytes);
    }
    out
}
