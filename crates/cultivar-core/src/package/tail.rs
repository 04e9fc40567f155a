//! The tail: the optional sections behind the tensor data, and the identity of the whole.
//!
//! Small and last, so that a writer can report on the tensors it streamed. The genome and the
//! signatures are kept as bytes here; what they mean is for the code that makes them.

use super::container::{KeptSection, check_digest, check_padding, slice};
use super::error::{PackageError, PackageErrorKind};
use super::head::read_text;
use super::header::Header;
use super::identity;
use super::section_table::{SectionId, SectionTable};
use crate::digest::Digest;
use alloc::string::String;
use alloc::vec::Vec;

/// What stands behind the tensor data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// How the package was made from foreign files: JSON, as written by the importer.
    pub conversion_record: Option<String>,
    /// All other sections, known or not, in order.
    pub kept: Vec<KeptSection>,
    /// SHA-256 over everything but signatures.
    pub content: Digest,
}

impl Tail {
    /// Reads `tail`, exactly the bytes behind the tensor data up to the end of the file.
    pub fn parse(
        header: &Header,
        sections: &SectionTable,
        tail: &[u8],
    ) -> Result<Tail, PackageError> {
        let offset = sections.data_end();
        if offset + tail.len() as u64 != header.file_bytes {
            return Err(PackageError::at(PackageErrorKind::TailLength, offset));
        }
        let is_tail = |id| id > SectionId::TENSOR_DATA;
        check_padding(tail, offset, offset, is_tail, sections)?;
        let mut conversion_record = None;
        let mut kept = Vec::new();
        for section in sections
            .sections()
            .iter()
            .filter(|section| is_tail(section.id))
        {
            let bytes = slice(tail, offset, section.offset, section.end());
            check_digest(section, bytes)?;
            if section.id == SectionId::CONVERSION_RECORD {
                conversion_record = Some(read_text(bytes, section.offset, section.id)?);
            } else {
                kept.push((section.id, bytes.to_vec()));
            }
        }
        let content = identity::content(header.kind, sections);
        Ok(Tail {
            conversion_record,
            kept,
            content,
        })
    }

    /// The bytes of a section behind the tensor data.
    pub fn section(&self, id: SectionId) -> Option<&[u8]> {
        if id == SectionId::CONVERSION_RECORD {
            return self.conversion_record.as_deref().map(str::as_bytes);
        }
        self.kept
            .iter()
            .find(|(kept, _)| *kept == id)
            .map(|(_, bytes)| bytes.as_slice())
    }

    /// All sections in order of their ids, as a writer takes them.
    pub fn sections(&self) -> Vec<KeptSection> {
        let mut sections = self.kept.clone();
        if let Some(record) = &self.conversion_record {
            sections.push((SectionId::CONVERSION_RECORD, record.as_bytes().to_vec()));
        }
        crate::sorting::sort_by_key(&mut sections, |(id, _)| *id);
        sections
    }
}
