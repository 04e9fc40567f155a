//! The container: header, section table and the sections before the tensor data, whatever they
//! hold.
//!
//! The same for models and adapters: places, padding and digests are checked here, meaning is
//! not. Only `[0, head_bytes)` is needed, so a reader that streams can stop before the weights.

use super::error::{PackageError, PackageErrorKind};
use super::header::{Header, PackageKind};
use super::section_table::{Section, SectionId, SectionTable};
use crate::digest::sha256;
use alloc::vec::Vec;

/// A section that is kept as it is, because its id is unknown or its content is not ours.
pub type KeptSection = (SectionId, Vec<u8>);

/// The checked sections before the tensor data.
#[derive(Clone, Debug)]
pub struct Container<'a> {
    /// The file's header.
    pub header: Header,
    /// Where everything is.
    pub sections: SectionTable,
    head: &'a [u8],
}

impl<'a> Container<'a> {
    /// Reads `head`, the bytes `[0, head_bytes)` of a file of `file_bytes` bytes.
    pub fn parse(
        head: &'a [u8],
        file_bytes: u64,
        kind: PackageKind,
    ) -> Result<Container<'a>, PackageError> {
        let header = Header::of_file(head, file_bytes)?;
        if header.kind != kind {
            return Err(PackageError::at(PackageErrorKind::WrongKind, 12));
        }
        if head.len() as u64 != u64::from(header.head_bytes) {
            return Err(PackageError::at(
                PackageErrorKind::HeadLength,
                head.len() as u64,
            ));
        }
        let sections = SectionTable::parse(&header, head)?;
        let container = Container {
            header,
            sections,
            head,
        };
        check_padding(
            head,
            0,
            header.table_end() as u64,
            |id| id.is_head(),
            &container.sections,
        )?;
        for section in container
            .sections
            .sections()
            .iter()
            .filter(|section| section.id.is_head())
        {
            check_digest(section, container.bytes(section))?;
        }
        container.check_data_digest()?;
        Ok(container)
    }

    /// The bytes of a section before the tensor data, and where they begin in the file.
    pub fn section(&self, id: SectionId) -> Option<(&'a [u8], u64)> {
        let section = self.sections.get(id).filter(|_| id.is_head())?;
        Some((self.bytes(section), section.offset))
    }

    /// The bytes of a section that every package of this kind has.
    pub fn required(&self, id: SectionId) -> Result<(&'a [u8], u64), PackageError> {
        let missing = || PackageError::at(PackageErrorKind::MissingSection, 16);
        self.section(id).ok_or_else(|| missing().named(id))
    }

    /// Copies of the sections before the tensor data whose ids are unknown.
    pub fn unknown_sections(&self) -> Vec<KeptSection> {
        let head = self
            .sections
            .sections()
            .iter()
            .filter(|section| section.id.is_head());
        let unknown = head.filter(|section| section.id.name().is_none());
        unknown
            .map(|section| (section.id, self.bytes(section).to_vec()))
            .collect()
    }

    fn bytes(&self, section: &Section) -> &'a [u8] {
        slice(self.head, 0, section.offset, section.end())
    }

    /// The tensor data is vouched for by the directory: their digests in the table are equal.
    fn check_data_digest(&self) -> Result<(), PackageError> {
        let digest = |id| self.sections.get(id).map(|section| section.digest);
        if digest(SectionId::TENSOR_DATA) != digest(SectionId::TENSOR_DIRECTORY) {
            let offset = self
                .sections
                .get(SectionId::TENSOR_DATA)
                .map_or(0, |data| data.offset);
            let kind = PackageErrorKind::TensorDataDigest;
            return Err(PackageError::within(kind, SectionId::TENSOR_DATA, offset));
        }
        Ok(())
    }
}

/// The bytes from `start` to `end` of the file; `bytes` begin at byte `offset` of it.
pub(crate) fn slice(bytes: &[u8], offset: u64, start: u64, end: u64) -> &[u8] {
    let idx = |place: u64| usize::try_from(place.saturating_sub(offset)).unwrap_or(usize::MAX);
    bytes.get(idx(start)..idx(end)).unwrap_or_default()
}

/// Whether `bytes` of a section have the digest in the table.
pub(super) fn check_digest(section: &Section, bytes: &[u8]) -> Result<(), PackageError> {
    let is_whole = bytes.len() as u64 == section.len;
    if is_whole && sha256(bytes) == section.digest {
        return Ok(());
    }
    Err(PackageError::within(
        PackageErrorKind::SectionDigest,
        section.id,
        section.offset,
    ))
}

/// Whether the bytes between the sections that `is_here` picks are zero.
///
/// `bytes` begin at byte `offset` of the file, and the first section stands behind `place`.
pub(super) fn check_padding(
    bytes: &[u8],
    offset: u64,
    mut place: u64,
    is_here: impl Fn(SectionId) -> bool,
    sections: &SectionTable,
) -> Result<(), PackageError> {
    for section in sections
        .sections()
        .iter()
        .filter(|section| is_here(section.id))
    {
        check_zero(
            slice(bytes, offset, place, section.offset),
            place,
            section.id,
        )?;
        place = section.end();
    }
    if is_here(SectionId::CONFIG) {
        // The head ends where the tensor data begins; the file has no padding at its end.
        let end = offset + bytes.len() as u64;
        check_zero(
            slice(bytes, offset, place, end),
            place,
            SectionId::TENSOR_DATA,
        )?;
    }
    Ok(())
}

/// Whether padding at byte `place` of the file, before a part of `section`, is zero.
pub(super) fn check_zero(
    padding: &[u8],
    place: u64,
    section: SectionId,
) -> Result<(), PackageError> {
    match padding.iter().position(|byte| *byte != 0) {
        None => Ok(()),
        Some(idx) => {
            let kind = PackageErrorKind::PaddingNotZero;
            Err(PackageError::within(kind, section, place + idx as u64))
        }
    }
}
