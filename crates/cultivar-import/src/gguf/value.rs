//! Values of GGUF metadata: numbers, texts, and arrays of either, borrowed from the file.
//!
//! An array is checked once when the header is read and decoded where it is asked for.

use crate::error::{ImportError, ImportErrorKind};
use cultivar_core::bytes::{Reader, UnexpectedEnd};

/// The type ids of values, in the order of `enum gguf_type`.
pub(super) mod kind {
    pub const U8: u32 = 0;
    pub const I8: u32 = 1;
    pub const U16: u32 = 2;
    pub const I16: u32 = 3;
    pub const U32: u32 = 4;
    pub const I32: u32 = 5;
    pub const F32: u32 = 6;
    pub const BOOL: u32 = 7;
    pub const STRING: u32 = 8;
    pub const ARRAY: u32 = 9;
    pub const U64: u32 = 10;
    pub const I64: u32 = 11;
    pub const F64: u32 = 12;
}

/// Bytes of an element of this type; `None` for texts, arrays and types that do not exist.
fn element_bytes(kind: u32) -> Option<usize> {
    match kind {
        kind::U8 | kind::I8 | kind::BOOL => Some(1),
        kind::U16 | kind::I16 => Some(2),
        kind::U32 | kind::I32 | kind::F32 => Some(4),
        kind::U64 | kind::I64 | kind::F64 => Some(8),
        _ => None,
    }
}

/// A value of the metadata.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GgufValue<'a> {
    /// An integer that is not negative.
    Unsigned(u64),
    /// An integer of a signed type.
    Signed(i64),
    /// A float of 32 or 64 bits; may be infinite or not a number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A text as bytes: the format asks for UTF-8, files do not always keep it.
    Text(&'a [u8]),
    /// Elements of one type.
    Array(GgufArray<'a>),
}

/// Why a value could not be read.
pub(super) enum ValueError {
    /// The bytes at hand end inside it.
    End(UnexpectedEnd),
    /// It breaks a rule.
    Broken(ImportError),
}

impl From<UnexpectedEnd> for ValueError {
    fn from(end: UnexpectedEnd) -> ValueError {
        ValueError::End(end)
    }
}

/// The next text; its length stands before it.
pub(super) fn read_text<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], UnexpectedEnd> {
    let n_bytes = reader.u64()?;
    reader.take_u64(n_bytes)
}

impl<'a> GgufValue<'a> {
    /// Reads a value of this type.
    pub(super) fn read(reader: &mut Reader<'a>, kind: u32) -> Result<GgufValue<'a>, ValueError> {
        Ok(match kind {
            kind::ARRAY => GgufValue::Array(GgufArray::read(reader)?),
            kind::STRING => GgufValue::Text(read_text(reader)?),
            _ => GgufValue::read_number(reader, kind)?,
        })
    }

    fn read_number(reader: &mut Reader<'a>, kind: u32) -> Result<GgufValue<'a>, ValueError> {
        Ok(match kind {
            kind::U8 => GgufValue::Unsigned(u64::from(reader.u8()?)),
            kind::I8 => GgufValue::Signed(i64::from(reader.u8()?.cast_signed())),
            kind::U16 => GgufValue::Unsigned(u64::from(reader.u16()?)),
            kind::I16 => GgufValue::Signed(i64::from(reader.u16()?.cast_signed())),
            kind::U32 => GgufValue::Unsigned(u64::from(reader.u32()?)),
            kind::I32 => GgufValue::Signed(i64::from(reader.i32()?)),
            kind::U64 => GgufValue::Unsigned(reader.u64()?),
            kind::I64 => GgufValue::Signed(reader.i64()?),
            kind::F32 => GgufValue::Float(f64::from(reader.f32()?)),
            kind::F64 => GgufValue::Float(reader.f64()?),
            kind::BOOL => match reader.u8()? {
                0 => GgufValue::Bool(false),
                1 => GgufValue::Bool(true),
                _ => return Err(ValueError::Broken(bad_type(kind))),
            },
            _ => return Err(ValueError::Broken(bad_type(kind))),
        })
    }

    /// The integer, if it is one that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            GgufValue::Unsigned(value) => Some(*value),
            GgufValue::Signed(value) => u64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The integer, if it is one that fits 64 bits with a sign.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            GgufValue::Unsigned(value) => i64::try_from(*value).ok(),
            GgufValue::Signed(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, integers included, if it is finite.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            GgufValue::Unsigned(value) => Some(*value as f64),
            GgufValue::Signed(value) => Some(*value as f64),
            GgufValue::Float(value) => Some(*value).filter(|value| value.is_finite()),
            _ => None,
        }
    }

    /// The truth value.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            GgufValue::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The text, if it is one and UTF-8.
    pub fn as_text(&self) -> Option<&'a str> {
        match self {
            GgufValue::Text(bytes) => core::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The array.
    pub fn as_array(&self) -> Option<GgufArray<'a>> {
        match self {
            GgufValue::Array(array) => Some(*array),
            _ => None,
        }
    }
}

fn bad_type(kind: u32) -> ImportError {
    ImportError::new(ImportErrorKind::MetadataType).numbers(u64::from(kind), 0)
}

/// Elements of one type, not arrays themselves; every text's length was checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GgufArray<'a> {
    kind: u32,
    len: usize,
    bytes: &'a [u8],
}

impl<'a> GgufArray<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<GgufArray<'a>, ValueError> {
        let kind = reader.u32()?;
        let place = reader.offset();
        let len = reader.u64()?;
        let too_long = ValueError::End(UnexpectedEnd { offset: place });
        let bytes = match element_bytes(kind) {
            Some(size) => {
                let n_bytes = len.checked_mul(size as u64).ok_or(too_long)?;
                let bytes = reader.take_u64(n_bytes)?;
                if kind == kind::BOOL && bytes.iter().any(|byte| *byte > 1) {
                    return Err(ValueError::Broken(bad_type(kind)));
                }
                bytes
            }
            None if kind == kind::STRING => {
                let begin = *reader;
                for _ in 0..len {
                    read_text(reader)?;
                }
                let n_bytes = begin.remaining() - reader.remaining();
                begin.rest().get(..n_bytes).unwrap_or_default()
            }
            None => return Err(ValueError::Broken(bad_type(kind))),
        };
        // No more elements than bytes, except that texts may be empty: those have a length each.
        let len = usize::try_from(len).map_err(|_| UnexpectedEnd { offset: place })?;
        Ok(GgufArray { kind, len, bytes })
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The texts as bytes, if the elements are texts. Front to back; nothing is copied.
    pub fn texts(&self) -> Option<impl Iterator<Item = &'a [u8]> + use<'a>> {
        let mut reader = Reader::new(self.bytes);
        let texts = core::iter::from_fn(move || read_text(&mut reader).ok());
        (self.kind == kind::STRING).then(|| texts.take(self.len))
    }

    /// The elements as values, texts included.
    pub fn values(&self) -> impl Iterator<Item = GgufValue<'a>> + use<'a> {
        let (mut reader, kind) = (Reader::new(self.bytes), self.kind);
        core::iter::from_fn(move || GgufValue::read(&mut reader, kind).ok()).take(self.len)
    }

    /// The integers, if the elements are integers that fit 64 bits with a sign.
    pub fn integers(&self) -> Option<impl Iterator<Item = i64> + use<'a>> {
        let is_integer = !matches!(self.kind, kind::F32 | kind::F64 | kind::BOOL | kind::STRING);
        is_integer.then(|| {
            self.values()
                .map(|value| value.as_i64().unwrap_or(i64::MAX))
        })
    }

    /// The floats, if the elements are f32; they may be infinite or not a number.
    pub fn floats(&self) -> Option<impl Iterator<Item = f32> + use<'a>> {
        let words = self.bytes.as_chunks::<4>().0;
        (self.kind == kind::F32).then(|| words.iter().map(|word| f32::from_le_bytes(*word)))
    }

    /// The truth values, if the elements are such.
    pub fn bools(&self) -> Option<impl Iterator<Item = bool> + use<'a>> {
        let bytes = self.bytes;
        (self.kind == kind::BOOL).then(|| bytes.iter().map(|byte| *byte != 0))
    }
}
