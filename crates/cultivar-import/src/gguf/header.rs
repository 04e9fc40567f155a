//! The header: magic, version, counts, metadata, descriptions of tensors.
//!
//! Its length is known only once it has been read, so a parse of too few bytes says how many to
//! come back with. A file that is too short for its own header is an error.

use super::tensor::{GgufTensor, place};
use super::value::{GgufArray, GgufValue, ValueError, read_text};
use crate::error::{ImportError, ImportErrorKind};
use alloc::vec::Vec;
use cultivar_core::bytes::{Reader, UnexpectedEnd, align_up};
use cultivar_core::memory;
use cultivar_core::package::limits;
use cultivar_core::sorting::sort;

/// The first four bytes.
pub const MAGIC: &[u8; 4] = b"GGUF";

/// Longest header: a package's own head, which holds the same vocabulary, is limited alike.
pub const HEADER_BYTES_MAX: u64 = limits::HEAD_BYTES_MAX;

/// Metadata entries of one file; real ones have fewer than 100.
const ENTRIES_MAX: u64 = 65536;

/// Bytes of a key or a tensor's name; real ones stay below 64.
const NAME_BYTES_MAX: usize = 256;

/// Fewest bytes of a metadata entry: a key of one byte, a type, a byte.
const ENTRY_BYTES_MIN: u64 = 8 + 1 + 4 + 1;

/// Fewest bytes of a tensor's description: a name of one byte, one dimension, type, offset.
const TENSOR_BYTES_MIN: u64 = 8 + 1 + 4 + 8 + 4 + 8;

/// Where tensors begin unless `general.alignment` says otherwise.
const ALIGNMENT_DEFAULT: u64 = 32;

/// Largest alignment: a huge page.
const ALIGNMENT_MAX: u64 = 2 << 20;

/// A header, borrowed from the bytes it was read from.
#[derive(Clone, Debug)]
pub struct Gguf<'a> {
    /// 2 or 3.
    pub version: u32,
    /// Where the tensors' data begins.
    pub data_offset: u64,
    /// The multiple at which tensors begin.
    pub alignment: u64,
    entries: Vec<(&'a str, GgufValue<'a>)>,
    tensors: Vec<GgufTensor<'a>>,
}

/// What a parse gives.
#[derive(Clone, Debug)]
pub enum Parsed<'a> {
    /// The header was there.
    Whole(Gguf<'a>),
    /// It is longer: come back with at least so many of the file's first bytes.
    More(u64),
}

impl<'a> Gguf<'a> {
    /// Reads the header from `bytes`, the beginning of a file of `file_bytes` bytes.
    ///
    /// # Errors
    /// `Unrecognised`, `BigEndian`, `GgufVersion`; `Truncated` where the file is too short;
    /// `CountTooLarge`, `MetadataType`, `DuplicateKey`, `BadName`, `FieldValue` (alignment);
    /// `TensorTypeUnknown`, `TensorDims`, `TensorPlace`, `TensorOverlap`, `DuplicateTensor`.
    pub fn parse(bytes: &'a [u8], file_bytes: u64) -> Result<Parsed<'a>, ImportError> {
        match Gguf::read(bytes, file_bytes) {
            Ok(gguf) => Ok(Parsed::Whole(gguf)),
            Err(ValueError::Broken(error)) => Err(error),
            Err(ValueError::End(UnexpectedEnd { offset })) => {
                let have = bytes.len() as u64;
                if have >= file_bytes {
                    let error = ImportError::new(ImportErrorKind::Truncated).field("header");
                    return Err(error.numbers(offset.saturating_add(1), file_bytes));
                }
                if have >= HEADER_BYTES_MAX {
                    let error = ImportError::new(ImportErrorKind::CountTooLarge);
                    let error = error.field("the header's length");
                    return Err(error.numbers(have.saturating_add(1), HEADER_BYTES_MAX));
                }
                let more = have.saturating_mul(4).clamp(1 << 16, HEADER_BYTES_MAX);
                Ok(Parsed::More(more.min(file_bytes)))
            }
        }
    }

    fn read(bytes: &'a [u8], file_bytes: u64) -> Result<Gguf<'a>, ValueError> {
        let mut reader = Reader::new(bytes);
        let broken = |error: ImportError| Err(ValueError::Broken(error));
        if reader.array::<4>()? != *MAGIC {
            return broken(ImportError::new(ImportErrorKind::Unrecognised));
        }
        let version = reader.u32()?;
        if (1..=3).contains(&version.swap_bytes()) {
            return broken(ImportError::new(ImportErrorKind::BigEndian));
        }
        if !(2..=3).contains(&version) {
            let error = ImportError::new(ImportErrorKind::GgufVersion);
            return broken(error.numbers(u64::from(version), 0));
        }
        let n_tensors = reader.u64()?;
        let n_entries = reader.u64()?;
        let n_tensors_max = (file_bytes / TENSOR_BYTES_MIN).min(u64::from(limits::TENSORS_MAX));
        let n_entries_max = (file_bytes / ENTRY_BYTES_MIN).min(ENTRIES_MAX);
        for (n, n_max, name) in [
            (n_tensors, n_tensors_max, "tensor_count"),
            (n_entries, n_entries_max, "metadata_kv_count"),
        ] {
            if n > n_max {
                let error = ImportError::new(ImportErrorKind::CountTooLarge).field(name);
                return broken(error.numbers(n, n_max));
            }
        }
        let mut gguf = Gguf {
            version,
            data_offset: 0,
            alignment: ALIGNMENT_DEFAULT,
            entries: reserved(n_entries as usize)?,
            tensors: reserved(n_tensors as usize)?,
        };
        gguf.read_entries(&mut reader, n_entries)?;
        gguf.read_alignment().map_err(ValueError::Broken)?;
        for _ in 0..n_tensors {
            let name = read_name(&mut reader)?;
            gguf.tensors.push(GgufTensor::read(&mut reader, name)?);
        }
        // Below 2^62, as the file's first bytes are in memory.
        gguf.data_offset = align_up(reader.offset(), gguf.alignment).unwrap_or(u64::MAX);
        let (data_offset, alignment) = (gguf.data_offset, gguf.alignment);
        place(&mut gguf.tensors, data_offset, alignment, file_bytes).map_err(ValueError::Broken)?;
        Ok(gguf)
    }

    fn read_entries(&mut self, reader: &mut Reader<'a>, n: u64) -> Result<(), ValueError> {
        for _ in 0..n {
            let key = read_name(reader)?;
            let kind = reader.u32()?;
            let value = GgufValue::read(reader, kind).map_err(|error| match error {
                ValueError::Broken(error) => ValueError::Broken(error.field(key)),
                end => end,
            })?;
            self.entries.push((key, value));
        }
        let mut keys: Vec<&str> = self.entries.iter().map(|(key, _)| *key).collect();
        sort(&mut keys);
        match keys.array_windows().find(|[a, b]| a == b) {
            Some([key, _]) => {
                let error = ImportError::new(ImportErrorKind::DuplicateKey).field(key);
                Err(ValueError::Broken(error))
            }
            None => Ok(()),
        }
    }

    fn read_alignment(&mut self) -> Result<(), ImportError> {
        const KEY: &str = "general.alignment";
        if let Some(alignment) = self.u64(KEY)? {
            if !alignment.is_power_of_two() || alignment > ALIGNMENT_MAX {
                return Err(bad_value(KEY));
            }
            self.alignment = alignment;
        }
        Ok(())
    }

    /// The metadata in the order of the file.
    pub fn entries(&self) -> &[(&'a str, GgufValue<'a>)] {
        &self.entries
    }

    /// The tensors in the order of the header.
    pub fn tensors(&self) -> &[GgufTensor<'a>] {
        &self.tensors
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&GgufTensor<'a>> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// The value of a key.
    pub fn value(&self, key: &str) -> Option<GgufValue<'a>> {
        let entry = self.entries.iter().find(|(name, _)| *name == key);
        entry.map(|(_, value)| *value)
    }

    /// The text of a key, if it is there; `FieldValue` if it is no UTF-8 text.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>, ImportError> {
        self.typed(key, |value| value.as_text())
    }

    /// The integer of a key, if it is there; `FieldValue` if it is none or negative.
    pub fn u64(&self, key: &str) -> Result<Option<u64>, ImportError> {
        self.typed(key, |value| value.as_u64())
    }

    /// The number of a key, if it is there; `FieldValue` if it is none or not finite.
    pub fn f64(&self, key: &str) -> Result<Option<f64>, ImportError> {
        self.typed(key, |value| value.as_f64())
    }

    /// The truth value of a key, if it is there; `FieldValue` if it is none.
    pub fn bool(&self, key: &str) -> Result<Option<bool>, ImportError> {
        self.typed(key, |value| value.as_bool())
    }

    /// The array of a key, if it is there; `FieldValue` if it is none.
    pub fn array(&self, key: &str) -> Result<Option<GgufArray<'a>>, ImportError> {
        self.typed(key, |value| value.as_array())
    }

    fn typed<T>(
        &self,
        key: &str,
        read: impl Fn(&GgufValue<'a>) -> Option<T>,
    ) -> Result<Option<T>, ImportError> {
        match self.value(key) {
            Some(value) => read(&value).map(Some).ok_or_else(|| bad_value(key)),
            None => Ok(None),
        }
    }
}

fn bad_value(key: &str) -> ImportError {
    ImportError::new(ImportErrorKind::FieldValue).field(key)
}

/// The next key or name: a text of 1 to [`NAME_BYTES_MAX`] bytes of UTF-8.
fn read_name<'a>(reader: &mut Reader<'a>) -> Result<&'a str, ValueError> {
    let place = reader.offset();
    let refuse = || {
        let error = ImportError::new(ImportErrorKind::BadName);
        ValueError::Broken(error.field("name").numbers(place, 0))
    };
    // A length that cannot be is refused before it is waited for.
    let mut ahead = *reader;
    if !(1..=NAME_BYTES_MAX as u64).contains(&ahead.u64()?) {
        return Err(refuse());
    }
    let bytes = read_text(reader)?;
    core::str::from_utf8(bytes).map_err(|_| refuse())
}

fn reserved<T>(n: usize) -> Result<Vec<T>, ValueError> {
    memory::reserved(n).ok_or_else(|| {
        let error = ImportError::new(ImportErrorKind::OutOfMemory);
        ValueError::Broken(error.numbers((n * size_of::<T>()) as u64, 0))
    })
}
