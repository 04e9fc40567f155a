//! The tensor directory: name, shape, format, place and digest of every tensor.
//!
//! Entries ascend by name and tensors follow one another in that order at multiples of 64, so
//! that offsets and lengths follow from names, shapes and formats alone; they are stored to be
//! checked, not believed. The bytes of tensors are never read here.

use super::error::{PackageError, PackageErrorKind};
use super::limits;
use super::section_table::SectionId;
use crate::bytes::{Reader, ShortText, align_up, put_u8, put_u16, put_u32, put_u64};
use crate::digest::Digest;
use crate::tensor::{Format, TensorRef};
use alloc::string::String;
use alloc::vec::Vec;

/// The fewest bytes of an entry: a name of one byte and one dimension.
const ENTRY_BYTES_MIN: usize = 2 + 1 + 2 + 2 + 1 + 8 + 8 + 8 + 32;

const SECTION: SectionId = SectionId::TENSOR_DIRECTORY;

/// What a tensor is before it has bytes: the input of a writer.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorPlan {
    /// Its full name, for example `layers.0.w_q`.
    pub name: String,
    /// How its elements are stored.
    pub format: &'static Format,
    /// Its dimensions, outermost first: `[d_out, d_in]` for a matrix.
    pub shape: Vec<u64>,
}

/// One tensor of a package.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its full name, for example `layers.0.w_q`.
    pub name: String,
    /// How its elements are stored.
    pub format: &'static Format,
    /// Its dimensions, outermost first: `[d_out, d_in]` for a matrix.
    pub shape: Vec<u64>,
    /// Where its bytes begin in the file.
    pub offset: u64,
    /// How many bytes are stored, the padding rows of its last tile included.
    pub bytes: u64,
    /// SHA-256 of the stored bytes.
    pub digest: Digest,
}

impl Entry {
    /// Rows: the product of all dimensions but the last; 1 for a vector.
    pub fn d_out(&self) -> usize {
        let (_, outer) = self.shape.split_last().unwrap_or((&0, &[]));
        // The product was checked when the entry was made.
        outer.iter().product::<u64>() as usize
    }

    /// Columns: the last dimension.
    pub fn d_in(&self) -> usize {
        self.shape.last().map_or(0, |dim| *dim as usize)
    }

    /// Elements, padding not counted.
    pub fn n_elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Where its bytes end in the file.
    pub fn end(&self) -> u64 {
        self.offset + self.bytes
    }

    /// The tensor whose stored bytes are `bytes`; `None` if they have another length.
    pub fn tensor<'a>(&self, bytes: &'a [u8]) -> Option<TensorRef<'a>> {
        let (format, d_out, d_in) = (self.format, self.d_out(), self.d_in());
        let is_whole = bytes.len() as u64 == self.bytes;
        is_whole.then_some(TensorRef {
            format,
            d_out,
            d_in,
            bytes,
        })
    }
}

/// All tensors of a package, ascending by name.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Directory {
    entries: Vec<Entry>,
    /// Where the tensor data begins in the file.
    data_offset: u64,
}

impl Directory {
    /// Reads the directory at byte `offset` of the file; the data it describes begins at byte
    /// `data_offset` and has `data_bytes` bytes.
    pub fn parse(
        bytes: &[u8],
        offset: u64,
        data_offset: u64,
        data_bytes: u64,
    ) -> Result<Directory, PackageError> {
        let refuse = |kind, offset| PackageError::within(kind, SECTION, offset);
        let mut reader = Reader::at(bytes, offset);
        let n_tensors = reader
            .u32()
            .map_err(|end| PackageError::ended(end, SECTION))?;
        let n_fitting = reader.remaining() / ENTRY_BYTES_MIN;
        if !(1..=limits::TENSORS_MAX).contains(&n_tensors) || n_tensors as usize > n_fitting {
            return Err(refuse(PackageErrorKind::TensorCount, offset));
        }
        let entries = Vec::with_capacity(n_tensors as usize);
        let mut directory = Directory {
            entries,
            data_offset,
        };
        for _ in 0..n_tensors {
            let place = reader.offset();
            let stored = StoredEntry::read(&mut reader)?;
            let entry = directory.check_next(&stored).map_err(|kind| {
                refuse(kind, place).named(ShortText::from_utf8_lossy(stored.name))
            })?;
            directory.entries.push(entry);
        }
        if !reader.is_empty() {
            return Err(refuse(PackageErrorKind::SectionTrailing, reader.offset()));
        }
        if directory.data_bytes() != data_bytes {
            return Err(refuse(PackageErrorKind::TensorDataLength, offset));
        }
        Ok(directory)
    }

    /// Lays tensors out; sorts them by name and leaves their digests zero.
    pub(super) fn plan(mut plans: Vec<TensorPlan>, data_offset: u64) -> Result<Self, PackageError> {
        crate::sorting::sort_by(&mut plans, |a, b| a.name.cmp(&b.name));
        let refuse = |kind| PackageError::within(kind, SECTION, 0);
        if plans.is_empty() || plans.len() > limits::TENSORS_MAX as usize {
            return Err(refuse(PackageErrorKind::TensorCount));
        }
        let mut directory = Directory {
            entries: Vec::new(),
            data_offset,
        };
        for plan in plans {
            let name = ShortText::new(&plan.name);
            let at_name = |kind| refuse(kind).named(name);
            let bytes = checked_bytes(plan.format, &plan.shape).map_err(at_name)?;
            let TensorPlan {
                name,
                format,
                shape,
            } = plan;
            directory.check_name(name.as_bytes()).map_err(at_name)?;
            let place = directory.next_place().ok_or(PackageErrorKind::FileTooLarge);
            let offset = place.map_err(at_name)?;
            let digest = Digest::ZERO;
            directory.entries.push(Entry {
                name,
                format,
                shape,
                offset,
                bytes,
                digest,
            });
        }
        Ok(directory)
    }

    /// The tensors, ascending by name.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The place of a name among the entries.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.entries
            .binary_search_by(|entry| entry.name.as_str().cmp(name))
            .ok()
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(self.position(name)?)
    }

    /// Where the tensor data begins in the file.
    pub fn data_offset(&self) -> u64 {
        self.data_offset
    }

    /// Bytes of the tensor data: from its beginning to the end of the last tensor.
    pub fn data_bytes(&self) -> u64 {
        self.entries
            .last()
            .map_or(0, |last| last.end() - self.data_offset)
    }

    /// Elements of all tensors together.
    pub fn n_parameters(&self) -> u64 {
        self.entries.iter().map(Entry::n_elements).sum()
    }

    /// The gaps between tensors as (place in the file, length): bytes that must be zero.
    pub fn paddings(&self) -> impl Iterator<Item = (u64, u64)> {
        let gap = |[a, b]: &[Entry; 2]| (a.end(), b.offset - a.end());
        self.entries
            .array_windows()
            .map(gap)
            .filter(|(_, len)| *len > 0)
    }

    pub(super) fn set_digest(&mut self, idx: usize, digest: Digest) -> bool {
        match self.entries.get_mut(idx) {
            Some(entry) => {
                entry.digest = digest;
                true
            }
            None => false,
        }
    }

    /// The directory as a section stores it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_u32(&mut out, self.entries.len() as u32);
        for entry in &self.entries {
            put_u16(&mut out, entry.name.len() as u16);
            out.extend_from_slice(entry.name.as_bytes());
            put_u16(&mut out, entry.format.dtype.id());
            put_u16(&mut out, entry.format.layout.id());
            put_u8(&mut out, entry.shape.len() as u8);
            entry.shape.iter().for_each(|dim| put_u64(&mut out, *dim));
            put_u64(&mut out, entry.offset - self.data_offset);
            put_u64(&mut out, entry.bytes);
            out.extend_from_slice(&entry.digest.0);
        }
        out
    }

    /// Where the next tensor begins in the file.
    fn next_place(&self) -> Option<u64> {
        let data_bytes = align_up(self.data_bytes(), limits::ALIGNMENT)?;
        let place = self.data_offset.checked_add(data_bytes)?;
        (place <= limits::FILE_BYTES_MAX).then_some(place)
    }

    fn check_name(&self, name: &[u8]) -> Result<(), PackageErrorKind> {
        let is_valid = (1..=limits::NAME_BYTES_MAX).contains(&name.len())
            && name.iter().all(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'#' | b'-')
            });
        if !is_valid {
            return Err(PackageErrorKind::TensorName);
        }
        match self.entries.last() {
            Some(last) if last.name.as_bytes() >= name => Err(PackageErrorKind::TensorOrder),
            _ => Ok(()),
        }
    }

    /// The entry that comes next, if it is what and where it must be.
    fn check_next(&self, stored: &StoredEntry<'_>) -> Result<Entry, PackageErrorKind> {
        self.check_name(stored.name)?;
        let name = core::str::from_utf8(stored.name).map_err(|_| PackageErrorKind::TensorName)?;
        let format = Format::find(stored.dtype, stored.layout);
        let format = format.ok_or(PackageErrorKind::UnknownFormat)?;
        let shape = stored
            .shape
            .iter()
            .map(|dim| u64::from_le_bytes(*dim))
            .collect::<Vec<_>>();
        let bytes = checked_bytes(format, &shape)?;
        let place = self.next_place().ok_or(PackageErrorKind::TensorOffset)?;
        if stored.offset != place - self.data_offset {
            return Err(PackageErrorKind::TensorOffset);
        }
        if stored.len != bytes {
            return Err(PackageErrorKind::TensorBytes);
        }
        let (name, digest) = (String::from(name), stored.digest);
        Ok(Entry {
            name,
            format,
            shape,
            offset: place,
            bytes,
            digest,
        })
    }
}

/// An entry as stored, nothing of it checked.
struct StoredEntry<'a> {
    name: &'a [u8],
    dtype: u16,
    layout: u16,
    shape: &'a [[u8; 8]],
    offset: u64,
    len: u64,
    digest: Digest,
}

impl<'a> StoredEntry<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, PackageError> {
        let ended = |end| PackageError::ended(end, SECTION);
        let place = reader.offset();
        let name_bytes = reader.u16().map_err(ended)?;
        let name = reader.take(usize::from(name_bytes)).map_err(ended)?;
        let dtype = reader.u16().map_err(ended)?;
        let layout = reader.u16().map_err(ended)?;
        let n_dims = usize::from(reader.u8().map_err(ended)?);
        if !(1..=limits::DIMS_MAX).contains(&n_dims) {
            let error = PackageError::within(PackageErrorKind::TensorDims, SECTION, place);
            return Err(error.named(ShortText::from_utf8_lossy(name)));
        }
        let (shape, _) = reader.take(n_dims * 8).map_err(ended)?.as_chunks();
        let offset = reader.u64().map_err(ended)?;
        let len = reader.u64().map_err(ended)?;
        let digest = Digest(reader.array().map_err(ended)?);
        Ok(StoredEntry {
            name,
            dtype,
            layout,
            shape,
            offset,
            len,
            digest,
        })
    }
}

/// The bytes that a tensor of this shape takes, every product checked.
fn checked_bytes(format: &Format, shape: &[u64]) -> Result<u64, PackageErrorKind> {
    let has_valid_dims = shape.iter().all(|dim| (1..limits::DIM_LIMIT).contains(dim));
    let Some((d_in, outer)) = shape.split_last() else {
        return Err(PackageErrorKind::TensorDims);
    };
    if shape.len() > limits::DIMS_MAX || !has_valid_dims {
        return Err(PackageErrorKind::TensorDims);
    }
    if !d_in.is_multiple_of(format.block_len as u64) {
        return Err(PackageErrorKind::TensorBlocks);
    }
    outer
        .iter()
        .try_fold(1_u64, |product, dim| product.checked_mul(*dim))
        .filter(|d_out| *d_out < limits::DIM_LIMIT)
        .and_then(|d_out| format.stored_bytes(d_out, *d_in))
        .filter(|bytes| *bytes <= limits::TENSOR_BYTES_MAX)
        .ok_or(PackageErrorKind::TensorTooLarge)
}
