//! The header: the first 64 bytes of every package.
//!
//! It says how long the file is, how much of it comes before the tensor data, and holds a digest
//! of itself and the section table, so that a reader that streams knows what to fetch and
//! everything after it is vouched for. The magic follows PNG's: it breaks under text transfers.

use super::error::{PackageError, PackageErrorKind};
use super::limits;
use crate::bytes::{Reader, put_u16, put_u32, put_u64};
use crate::digest::Sha256;
use alloc::vec::Vec;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 64;

/// The first eight bytes of every package.
pub const MAGIC: [u8; 8] = [0x89, b'S', b'L', b'M', 0x0D, 0x0A, 0x1A, 0x0A];

/// The format version that this code reads and writes.
pub const VERSION: (u16, u16) = (1, 0);

/// The bytes of the header that its digest covers.
pub(super) const HEADER_DIGESTED_BYTES: usize = 40;

/// Bytes of the digest that the header keeps.
const HEADER_DIGEST_BYTES: usize = HEADER_BYTES - HEADER_DIGESTED_BYTES;

/// What a package holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageKind {
    /// A whole model, `.slm`.
    Model,
    /// An adapter to a model, `.sla`.
    Adapter,
}

impl PackageKind {
    /// The number that the header stores.
    pub const fn id(self) -> u32 {
        match self {
            PackageKind::Model => 1,
            PackageKind::Adapter => 2,
        }
    }

    /// A word for people.
    pub const fn name(self) -> &'static str {
        match self {
            PackageKind::Model => "model",
            PackageKind::Adapter => "adapter",
        }
    }

    fn from_id(id: u32) -> Option<Self> {
        [PackageKind::Model, PackageKind::Adapter]
            .into_iter()
            .find(|kind| kind.id() == id)
    }
}

/// The header, validated as far as it can be by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the package holds.
    pub kind: PackageKind,
    /// How many sections it has.
    pub n_sections: u32,
    /// Length of the whole file.
    pub file_bytes: u64,
    /// Bytes before the tensor data.
    pub head_bytes: u32,
    /// The first 24 bytes of the digest of header and section table.
    pub digest: [u8; HEADER_DIGEST_BYTES],
}

impl Header {
    /// Reads the first 64 bytes of a file that is `file_bytes` long.
    ///
    /// Files that are shorter than 64 bytes are refused by [`Header::of_file`].
    pub fn parse(bytes: &[u8; HEADER_BYTES], file_bytes: u64) -> Result<Header, PackageError> {
        Header::of_file(bytes, file_bytes)
    }

    /// Reads the header at the beginning of `bytes`; the file is `file_bytes` long.
    pub fn of_file(bytes: &[u8], file_bytes: u64) -> Result<Header, PackageError> {
        let at = PackageError::at;
        let mut reader = Reader::new(bytes);
        let magic_end = bytes.len().min(MAGIC.len());
        if bytes.get(..magic_end) != MAGIC.get(..magic_end) {
            return Err(at(PackageErrorKind::BadMagic, 0));
        }
        if file_bytes < HEADER_BYTES as u64 || bytes.len() < HEADER_BYTES {
            return Err(at(PackageErrorKind::TooShort, bytes.len() as u64));
        }
        let too_short = |_| at(PackageErrorKind::TooShort, bytes.len() as u64);
        reader.take(MAGIC.len()).map_err(too_short)?;
        let version = (
            reader.u16().map_err(too_short)?,
            reader.u16().map_err(too_short)?,
        );
        if version != VERSION {
            return Err(at(PackageErrorKind::UnsupportedVersion, 8));
        }
        let kind = PackageKind::from_id(reader.u32().map_err(too_short)?)
            .ok_or_else(|| at(PackageErrorKind::UnknownKind, 12))?;
        let n_sections = reader.u32().map_err(too_short)?;
        let reserved = reader.u32().map_err(too_short)?;
        let stated_bytes = reader.u64().map_err(too_short)?;
        let head_bytes = reader.u32().map_err(too_short)?;
        let reserved_too = reader.u32().map_err(too_short)?;
        let digest = reader.array().map_err(too_short)?;
        if reserved != 0 || reserved_too != 0 {
            let offset = if reserved != 0 { 20 } else { 36 };
            return Err(at(PackageErrorKind::ReservedNotZero, offset));
        }
        if !(1..=limits::SECTIONS_MAX).contains(&n_sections) {
            return Err(at(PackageErrorKind::SectionCount, 16));
        }
        if stated_bytes > limits::FILE_BYTES_MAX {
            return Err(at(PackageErrorKind::FileTooLarge, 24));
        }
        if stated_bytes != file_bytes {
            return Err(at(PackageErrorKind::FileLength, 24));
        }
        let header = Header {
            kind,
            n_sections,
            file_bytes,
            head_bytes,
            digest,
        };
        header.check_head_bytes()?;
        Ok(header)
    }

    /// Where the section table ends.
    pub(super) fn table_end(&self) -> usize {
        HEADER_BYTES + self.n_sections as usize * super::section_table::SECTION_BYTES
    }

    fn check_head_bytes(&self) -> Result<(), PackageError> {
        let head_bytes = u64::from(self.head_bytes);
        if head_bytes > limits::HEAD_BYTES_MAX {
            return Err(PackageError::at(PackageErrorKind::HeadTooLarge, 32));
        }
        let is_aligned = head_bytes.is_multiple_of(limits::ALIGNMENT);
        let is_inside = head_bytes > self.table_end() as u64 && head_bytes < self.file_bytes;
        if !is_aligned || !is_inside {
            return Err(PackageError::at(PackageErrorKind::HeadBytes, 32));
        }
        Ok(())
    }

    /// The header's bytes, with the digest of themselves and `table`.
    pub(super) fn to_bytes(self, table: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(&MAGIC);
        put_u16(&mut out, VERSION.0);
        put_u16(&mut out, VERSION.1);
        put_u32(&mut out, self.kind.id());
        put_u32(&mut out, self.n_sections);
        put_u32(&mut out, 0);
        put_u64(&mut out, self.file_bytes);
        put_u32(&mut out, self.head_bytes);
        put_u32(&mut out, 0);
        let digest = header_digest(&out, table);
        out.extend_from_slice(&digest);
        out
    }
}

/// The first 24 bytes of SHA-256(the header's first 40 bytes ‖ section table).
pub(super) fn header_digest(header: &[u8], table: &[u8]) -> [u8; HEADER_DIGEST_BYTES] {
    let mut hash = Sha256::new();
    hash.update(header.get(..HEADER_DIGESTED_BYTES).unwrap_or_default());
    hash.update(table);
    let digest = hash.finish();
    digest.0.first_chunk().copied().unwrap_or_default()
}
