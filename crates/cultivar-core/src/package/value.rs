//! The value of a record: eleven kinds, borrowed from the section where they are stored.
//!
//! Numbers are little-endian and need no alignment. Reading validates everything that a kind
//! promises, so that iterating over a list afterwards cannot fail.

use super::error::PackageErrorKind;
use crate::bytes::Reader;

/// The fewest bytes of an element of a byte-string list: its length.
const STRING_BYTES_MIN: usize = 4;

/// A validated value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Kind 1.
    U64(u64),
    /// Kind 2.
    I64(i64),
    /// Kind 3: finite, and not a negative zero.
    F64(f64),
    /// Kind 4: one byte, 0 or 1.
    Bool(bool),
    /// Kind 5: UTF-8.
    Text(&'a str),
    /// Kind 6.
    Bytes(&'a [u8]),
    /// Kind 7: 4 bytes per element.
    U32List(&'a [[u8; 4]]),
    /// Kind 8: 4 bytes per element, all finite.
    F32List(&'a [[u8; 4]]),
    /// Kind 9: 8 bytes per element, all finite, none a negative zero.
    F64List(&'a [[u8; 8]]),
    /// Kind 10.
    BytesList(Strings<'a>),
    /// Kind 11: each UTF-8.
    TextList(Strings<'a>),
}

/// Numbers of the kinds, as stored.
pub mod kind {
    /// An unsigned integer.
    pub const U64: u8 = 1;
    /// A signed integer.
    pub const I64: u8 = 2;
    /// A float.
    pub const F64: u8 = 3;
    /// A truth value.
    pub const BOOL: u8 = 4;
    /// A text.
    pub const TEXT: u8 = 5;
    /// A byte string.
    pub const BYTES: u8 = 6;
    /// A list of unsigned 32-bit integers.
    pub const U32_LIST: u8 = 7;
    /// A list of 32-bit floats.
    pub const F32_LIST: u8 = 8;
    /// A list of floats.
    pub const F64_LIST: u8 = 9;
    /// A list of byte strings.
    pub const BYTES_LIST: u8 = 10;
    /// A list of texts.
    pub const TEXT_LIST: u8 = 11;
}

impl<'a> Value<'a> {
    /// The value of this kind that `payload` holds, wholly validated.
    pub fn read(kind: u8, payload: &'a [u8]) -> Result<Self, PackageErrorKind> {
        Ok(match kind {
            kind::U64 => Value::U64(u64::from_le_bytes(exactly(payload)?)),
            kind::I64 => Value::I64(i64::from_le_bytes(exactly(payload)?)),
            kind::F64 => Value::F64(plain_f64(exactly(payload)?)?),
            kind::BOOL => match exactly(payload)? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                [_] => return Err(PackageErrorKind::BadBool),
            },
            kind::TEXT => Value::Text(utf8(payload)?),
            kind::BYTES => Value::Bytes(payload),
            kind::U32_LIST => Value::U32List(elements(payload)?),
            kind::F32_LIST => {
                let list: &[[u8; 4]] = elements(payload)?;
                let is_finite = list
                    .iter()
                    .all(|bytes| f32::from_le_bytes(*bytes).is_finite());
                if !is_finite {
                    return Err(PackageErrorKind::NotFinite);
                }
                Value::F32List(list)
            }
            kind::F64_LIST => {
                let list = elements(payload)?;
                for bytes in list {
                    plain_f64(*bytes)?;
                }
                Value::F64List(list)
            }
            kind::BYTES_LIST => Value::BytesList(Strings::read(payload)?),
            kind::TEXT_LIST => {
                let list = Strings::read(payload)?;
                for string in list.iter() {
                    utf8(string)?;
                }
                Value::TextList(list)
            }
            _ => return Err(PackageErrorKind::UnknownValueKind),
        })
    }

    /// The text, if the value is one.
    pub fn as_text(&self) -> Option<&'a str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The unsigned integer, if the value is one.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Value::U64(value) => Some(*value),
            _ => None,
        }
    }
}

/// A validated list of byte strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strings<'a> {
    n_strings: usize,
    bytes: &'a [u8],
}

impl<'a> Strings<'a> {
    /// `u32 n`, then per string `u32 len` and its bytes; nothing behind them.
    fn read(payload: &'a [u8]) -> Result<Self, PackageErrorKind> {
        let bad = |_| PackageErrorKind::ValueLength;
        let mut reader = Reader::new(payload);
        let n_strings = reader.u32().map_err(bad)? as usize;
        if n_strings > reader.remaining() / STRING_BYTES_MIN {
            return Err(PackageErrorKind::ValueLength);
        }
        let bytes = reader.rest();
        for _ in 0..n_strings {
            let n_bytes = reader.u32().map_err(bad)?;
            reader.take_u64(u64::from(n_bytes)).map_err(bad)?;
        }
        if !reader.is_empty() {
            return Err(PackageErrorKind::ValueLength);
        }
        Ok(Strings { n_strings, bytes })
    }

    /// How many strings there are.
    pub fn len(&self) -> usize {
        self.n_strings
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.n_strings == 0
    }

    /// Bytes of all strings together, without their lengths.
    pub fn total_bytes(&self) -> usize {
        self.bytes.len() - self.n_strings * STRING_BYTES_MIN
    }

    /// The strings in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut reader = Reader::new(self.bytes);
        core::iter::from_fn(move || {
            let n_bytes = reader.u32().ok()?;
            reader.take_u64(u64::from(n_bytes)).ok()
        })
    }

    /// The strings as texts; strings of a bytes list that are not UTF-8 become empty.
    pub fn texts(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.iter()
            .map(|string| core::str::from_utf8(string).unwrap_or_default())
    }
}

fn exactly<const N: usize>(payload: &[u8]) -> Result<[u8; N], PackageErrorKind> {
    <[u8; N]>::try_from(payload).map_err(|_| PackageErrorKind::ValueLength)
}

fn elements<const N: usize>(payload: &[u8]) -> Result<&[[u8; N]], PackageErrorKind> {
    let (list, rest) = payload.as_chunks();
    if rest.is_empty() {
        Ok(list)
    } else {
        Err(PackageErrorKind::ValueLength)
    }
}

fn utf8(payload: &[u8]) -> Result<&str, PackageErrorKind> {
    core::str::from_utf8(payload).map_err(|_| PackageErrorKind::NotUtf8)
}

/// A float that has one spelling only: finite, and zero without a sign.
fn plain_f64(bytes: [u8; 8]) -> Result<f64, PackageErrorKind> {
    let value = f64::from_le_bytes(bytes);
    let is_negative_zero = value == 0.0 && value.is_sign_negative();
    if value.is_finite() && !is_negative_zero {
        Ok(value)
    } else {
        Err(PackageErrorKind::NotFinite)
    }
}
