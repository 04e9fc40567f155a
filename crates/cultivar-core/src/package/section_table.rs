//! The section table: what a package contains, where, and with which digest.
//!
//! Sections ascend by id and follow one another at multiples of 64 without gap or overlap, so
//! that one content has one layout. Unknown optional sections are kept; unknown required ones are
//! refused. A section with bit 0 of its flags set is required: who does not know it must stop.

use super::error::{PackageError, PackageErrorKind};
use super::header::{HEADER_BYTES, Header, PackageKind, header_digest};
use super::limits;
use crate::bytes::{Reader, ShortText, align_up, put_u32, put_u64};
use crate::digest::Digest;
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// Bytes of one row of the table.
pub const SECTION_BYTES: usize = 64;

/// Bit 0 of the flags: a reader that does not know the section must refuse the package.
pub const FLAG_REQUIRED: u32 = 1;

/// The number that says what a section holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectionId(pub u32);

impl SectionId {
    /// Options of the model or of the adapter.
    pub const CONFIG: SectionId = SectionId(0x10);
    /// The tokenizer of a model.
    pub const TOKENIZER: SectionId = SectionId(0x20);
    /// The chat template of a model.
    pub const CHAT_TEMPLATE: SectionId = SectionId(0x30);
    /// Name, licence, source, notes.
    pub const METADATA: SectionId = SectionId(0x40);
    /// Names, shapes, formats and digests of the tensors.
    pub const TENSOR_DIRECTORY: SectionId = SectionId(0x50);
    /// The tensors' bytes.
    pub const TENSOR_DATA: SectionId = SectionId(0x60);
    /// How the package was made from foreign files.
    pub const CONVERSION_RECORD: SectionId = SectionId(0x70);
    /// How the package was bred.
    pub const GENOME: SectionId = SectionId(0x80);
    /// Signatures over the content identity.
    pub const SIGNATURES: SectionId = SectionId(0xF0);

    /// The section's name; `None` for unknown ids.
    pub fn name(self) -> Option<&'static str> {
        KNOWN_SECTIONS
            .iter()
            .find(|known| known.id == self)
            .map(|known| known.name)
    }

    /// Whether the section stands before the tensor data.
    pub fn is_head(self) -> bool {
        self < SectionId::TENSOR_DATA
    }
}

impl fmt::Display for SectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "0x{:X}", self.0),
        }
    }
}

impl fmt::Debug for SectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<SectionId> for ShortText {
    fn from(id: SectionId) -> Self {
        let mut text = ShortText::EMPTY;
        // A name or eight digits always fit.
        let _ = write!(text, "{id}");
        text
    }
}

/// What is known about a section id.
struct KnownSection {
    id: SectionId,
    name: &'static str,
    /// Whether a model has it: always, perhaps, never.
    in_model: Presence,
    /// Whether an adapter has it.
    in_adapter: Presence,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Always,
    Perhaps,
    Never,
}

const fn known(
    id: SectionId,
    name: &'static str,
    in_model: Presence,
    in_adapter: Presence,
) -> KnownSection {
    KnownSection {
        id,
        name,
        in_model,
        in_adapter,
    }
}

use Presence::{Always, Never, Perhaps};

/// Every id that has a meaning, ascending. A section is flagged required where it is always there.
const KNOWN_SECTIONS: &[KnownSection] = &[
    known(SectionId::CONFIG, "config", Always, Always),
    known(SectionId::TOKENIZER, "tokenizer", Always, Never),
    known(SectionId::CHAT_TEMPLATE, "chat_template", Perhaps, Never),
    known(SectionId::METADATA, "metadata", Perhaps, Perhaps),
    known(
        SectionId::TENSOR_DIRECTORY,
        "tensor_directory",
        Always,
        Always,
    ),
    known(SectionId::TENSOR_DATA, "tensor_data", Always, Always),
    known(
        SectionId::CONVERSION_RECORD,
        "conversion_record",
        Perhaps,
        Perhaps,
    ),
    known(SectionId::GENOME, "genome", Perhaps, Perhaps),
    known(SectionId::SIGNATURES, "signatures", Perhaps, Perhaps),
];

impl KnownSection {
    fn presence(&self, kind: PackageKind) -> Presence {
        match kind {
            PackageKind::Model => self.in_model,
            PackageKind::Adapter => self.in_adapter,
        }
    }
}

/// Flags that a section has in a package of this kind; unknown sections are optional.
pub(super) fn section_flags(id: SectionId, kind: PackageKind) -> u32 {
    let known = KNOWN_SECTIONS.iter().find(|known| known.id == id);
    let is_required = known.is_some_and(|known| known.presence(kind) == Always);
    if is_required { FLAG_REQUIRED } else { 0 }
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// What the section holds.
    pub id: SectionId,
    /// Bit 0: required.
    pub flags: u32,
    /// Where it begins in the file.
    pub offset: u64,
    /// How many bytes it has.
    pub len: u64,
    /// SHA-256 of its bytes; of the tensor directory's bytes for the tensor data.
    pub digest: Digest,
}

impl Section {
    /// Where the section ends in the file.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }

    /// Where the next section begins.
    pub(super) fn padded_end(&self) -> u64 {
        align_up(self.end(), limits::ALIGNMENT).unwrap_or(u64::MAX)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Section, PackageError> {
        let offset = reader.offset();
        let ended = |_| PackageError::at(PackageErrorKind::HeadLength, offset);
        let id = SectionId(reader.u32().map_err(ended)?);
        let flags = reader.u32().map_err(ended)?;
        let section_offset = reader.u64().map_err(ended)?;
        let len = reader.u64().map_err(ended)?;
        let reserved = reader.u64().map_err(ended)?;
        let digest = Digest(reader.array().map_err(ended)?);
        if reserved != 0 {
            return Err(PackageError::at(PackageErrorKind::ReservedNotZero, offset + 24).named(id));
        }
        Ok(Section {
            id,
            flags,
            offset: section_offset,
            len,
            digest,
        })
    }

    /// Appends the row.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_u32(out, self.id.0);
        put_u32(out, self.flags);
        put_u64(out, self.offset);
        put_u64(out, self.len);
        put_u64(out, 0);
        out.extend_from_slice(&self.digest.0);
    }
}

/// The validated table of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionTable {
    sections: Vec<Section>,
}

impl SectionTable {
    /// Reads the table behind `header`; `head` holds the file from byte 0 on.
    ///
    /// Checks the header's digest, ids, flags, order and the place of every section.
    pub fn parse(header: &Header, head: &[u8]) -> Result<SectionTable, PackageError> {
        let table_end = header.table_end();
        let Some(table) = head.get(HEADER_BYTES..table_end) else {
            return Err(PackageError::at(
                PackageErrorKind::HeadLength,
                head.len() as u64,
            ));
        };
        if header_digest(head, table) != header.digest {
            return Err(PackageError::at(PackageErrorKind::HeaderDigest, 40));
        }
        let mut sections: Vec<Section> = Vec::with_capacity(header.n_sections as usize);
        let mut reader = Reader::at(table, HEADER_BYTES as u64);
        let mut place = table_end as u64;
        for _ in 0..header.n_sections {
            let offset = reader.offset();
            let section = Section::read(&mut reader)?;
            let refuse = |kind| PackageError::at(kind, offset).named(section.id);
            if sections.last().is_some_and(|last| last.id >= section.id) {
                return Err(refuse(PackageErrorKind::SectionOrder));
            }
            check_flags(header.kind, &section).map_err(refuse)?;
            if section.offset != place {
                return Err(refuse(PackageErrorKind::SectionOffset));
            }
            let end = section.offset.checked_add(section.len);
            if section.len == 0 || end.is_none_or(|end| end > header.file_bytes) {
                return Err(refuse(PackageErrorKind::SectionLength));
            }
            place = section.padded_end();
            sections.push(section);
        }
        let table = SectionTable { sections };
        table.check_whole(header)?;
        Ok(table)
    }

    /// Every known section that must be there is; the data begins and the file ends as it should.
    fn check_whole(&self, header: &Header) -> Result<(), PackageError> {
        for known in KNOWN_SECTIONS {
            if known.presence(header.kind) == Always && self.get(known.id).is_none() {
                let missing = PackageError::at(PackageErrorKind::MissingSection, 16);
                return Err(missing.named(known.id));
            }
        }
        let data_offset = self
            .get(SectionId::TENSOR_DATA)
            .map_or(0, |section| section.offset);
        if data_offset != u64::from(header.head_bytes) {
            return Err(PackageError::at(PackageErrorKind::HeadBytes, 32));
        }
        let end = self.sections.last().map_or(0, Section::end);
        if end != header.file_bytes {
            return Err(PackageError::at(PackageErrorKind::TrailingBytes, end));
        }
        let tail_bytes = header.file_bytes - self.data_end();
        if tail_bytes > limits::TAIL_BYTES_MAX {
            return Err(PackageError::at(
                PackageErrorKind::TailTooLarge,
                self.data_end(),
            ));
        }
        Ok(())
    }

    /// The sections in order.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The section of this id.
    pub fn get(&self, id: SectionId) -> Option<&Section> {
        self.sections.iter().find(|section| section.id == id)
    }

    /// Where the tensor data ends and the tail begins.
    pub fn data_end(&self) -> u64 {
        self.get(SectionId::TENSOR_DATA).map_or(0, Section::end)
    }
}

fn check_flags(kind: PackageKind, section: &Section) -> Result<(), PackageErrorKind> {
    if section.flags & !FLAG_REQUIRED != 0 {
        return Err(PackageErrorKind::SectionFlags);
    }
    match KNOWN_SECTIONS.iter().find(|known| known.id == section.id) {
        None if section.flags & FLAG_REQUIRED != 0 => Err(PackageErrorKind::UnknownSection),
        None => Ok(()),
        Some(known) if known.presence(kind) == Never => Err(PackageErrorKind::SectionNotAllowed),
        Some(_) if section.flags != section_flags(section.id, kind) => {
            Err(PackageErrorKind::SectionFlags)
        }
        Some(_) => Ok(()),
    }
}
