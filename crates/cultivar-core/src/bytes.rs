//! Bytes: a checked little-endian reader, the matching writers, alignment, and short inline text.
//!
//! Every length and offset is checked before it is used, in a way that cannot overflow where
//! `usize` has 32 bits. Nothing here panics on what it reads and nothing allocates on reading.
//! The reader-over-a-slice idea is that of fontations and ttf-parser.

use alloc::vec::Vec;
use core::fmt;

/// A read went past the end of the bytes it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnexpectedEnd {
    /// Where the read began, counted from the start of the file (see [`Reader::at`]).
    pub offset: u64,
}

impl fmt::Display for UnexpectedEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "The bytes end inside the value that begins at byte {}.",
            self.offset
        )
    }
}

/// Reads little-endian values from a slice, front to back.
///
/// A failed read consumes nothing.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    offset: u64,
}

impl<'a> Reader<'a> {
    /// A reader whose first byte is at offset 0.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader::at(bytes, 0)
    }

    /// A reader over a part of a file: `offset` is the place of `bytes[0]` in that file, so that
    /// errors name a place in the file.
    pub fn at(bytes: &'a [u8], offset: u64) -> Self {
        Reader {
            rest: bytes,
            offset,
        }
    }

    /// The place in the file of the next byte to be read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes that are left, without consuming them.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `n_bytes` bytes.
    pub fn take(&mut self, n_bytes: usize) -> Result<&'a [u8], UnexpectedEnd> {
        let end = UnexpectedEnd {
            offset: self.offset,
        };
        let (head, rest) = self.rest.split_at_checked(n_bytes).ok_or(end)?;
        self.rest = rest;
        self.offset = self.offset.saturating_add(n_bytes as u64);
        Ok(head)
    }

    /// The next `n_bytes` bytes, for a count that was read as 64 bits.
    pub fn take_u64(&mut self, n_bytes: u64) -> Result<&'a [u8], UnexpectedEnd> {
        match usize::try_from(n_bytes) {
            Ok(n_bytes) => self.take(n_bytes),
            Err(_) => Err(UnexpectedEnd {
                offset: self.offset,
            }),
        }
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], UnexpectedEnd> {
        let end = UnexpectedEnd {
            offset: self.offset,
        };
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(end)?;
        self.rest = rest;
        self.offset = self.offset.saturating_add(N as u64);
        Ok(*head)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Result<u8, UnexpectedEnd> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The next 2 bytes as an integer.
    pub fn u16(&mut self) -> Result<u16, UnexpectedEnd> {
        self.array().map(u16::from_le_bytes)
    }

    /// The next 4 bytes as an integer.
    pub fn u32(&mut self) -> Result<u32, UnexpectedEnd> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next 4 bytes as a signed integer.
    pub fn i32(&mut self) -> Result<i32, UnexpectedEnd> {
        self.array().map(i32::from_le_bytes)
    }

    /// The next 8 bytes as an integer.
    pub fn u64(&mut self) -> Result<u64, UnexpectedEnd> {
        self.array().map(u64::from_le_bytes)
    }

    /// The next 8 bytes as a signed integer.
    pub fn i64(&mut self) -> Result<i64, UnexpectedEnd> {
        self.array().map(i64::from_le_bytes)
    }

    /// The next 4 bytes as a float; any bit pattern is returned as it is.
    pub fn f32(&mut self) -> Result<f32, UnexpectedEnd> {
        self.array().map(f32::from_le_bytes)
    }

    /// The next 8 bytes as a float; any bit pattern is returned as it is.
    pub fn f64(&mut self) -> Result<f64, UnexpectedEnd> {
        self.array().map(f64::from_le_bytes)
    }
}

/// Appends one byte.
pub fn put_u8(out: &mut Vec<u8>, value: u8) {
    out.push(value);
}

/// Appends 2 bytes, little-endian.
pub fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends 4 bytes, little-endian.
pub fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends 8 bytes, little-endian.
pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends 8 bytes, little-endian two's complement.
pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends the 4 bytes of a float's bits.
pub fn put_f32(out: &mut Vec<u8>, value: f32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends the 8 bytes of a float's bits.
pub fn put_f64(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends zero bytes until the length is a multiple of `alignment` (a power of two).
pub fn put_padding(out: &mut Vec<u8>, alignment: usize) {
    debug_assert!(alignment.is_power_of_two());
    out.resize(out.len().next_multiple_of(alignment), 0);
}

/// The least multiple of `alignment` that is not below `value`; `None` where that overflows.
///
/// `alignment` is a power of two.
pub const fn align_up(value: u64, alignment: u64) -> Option<u64> {
    debug_assert!(alignment.is_power_of_two());
    match value.checked_add(alignment - 1) {
        Some(sum) => Some(sum & !(alignment - 1)),
        None => None,
    }
}

/// Room for text in a [`ShortText`], in bytes.
pub const SHORT_TEXT_BYTES_MAX: usize = 63;

/// At most 63 bytes of UTF-8 held inline: the name of a key or a tensor inside an error, which
/// must be `Copy` and own nothing. Longer text is cut at a character.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShortText {
    bytes: [u8; SHORT_TEXT_BYTES_MAX],
    n_bytes: u8,
}

impl ShortText {
    /// No text.
    pub const EMPTY: ShortText = ShortText {
        bytes: [0; SHORT_TEXT_BYTES_MAX],
        n_bytes: 0,
    };

    /// The beginning of `text` that fits.
    pub fn new(text: &str) -> Self {
        let mut short = ShortText::EMPTY;
        for character in text.chars() {
            if !short.push(character) {
                break;
            }
        }
        short
    }

    /// The beginning of `bytes` that fits; each invalid sequence becomes one U+FFFD.
    pub fn from_utf8_lossy(bytes: &[u8]) -> Self {
        let mut short = ShortText::EMPTY;
        for chunk in bytes.utf8_chunks() {
            let replaced = if chunk.invalid().is_empty() {
                ""
            } else {
                "\u{FFFD}"
            };
            for character in chunk.valid().chars().chain(replaced.chars()) {
                if !short.push(character) {
                    return short;
                }
            }
        }
        short
    }

    /// The text that is held.
    pub fn as_str(&self) -> &str {
        let held = self.bytes.get(..self.n_bytes as usize).unwrap_or_default();
        core::str::from_utf8(held).unwrap_or_default()
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.n_bytes == 0
    }

    /// Appends one character; false if it does not fit.
    fn push(&mut self, character: char) -> bool {
        let start = self.n_bytes as usize;
        let end = start + character.len_utf8();
        match self.bytes.get_mut(start..end) {
            Some(room) => {
                character.encode_utf8(room);
                self.n_bytes = end as u8;
                true
            }
            None => false,
        }
    }
}

impl fmt::Write for ShortText {
    /// Appends what fits; an error if it was not all of it.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fits = text.chars().all(|character| self.push(character));
        if fits { Ok(()) } else { Err(fmt::Error) }
    }
}

impl Default for ShortText {
    fn default() -> Self {
        ShortText::EMPTY
    }
}

impl From<&str> for ShortText {
    fn from(text: &str) -> Self {
        ShortText::new(text)
    }
}

impl fmt::Debug for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_little_endian_and_counts_offsets() {
        let bytes = [1, 2, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 9];
        let mut reader = Reader::at(&bytes, 100);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(2));
        assert_eq!(reader.u32(), Ok(3));
        assert_eq!(reader.u64(), Ok(4));
        assert_eq!(reader.offset(), 115);
        assert_eq!(reader.u16(), Err(UnexpectedEnd { offset: 115 }));
        assert_eq!(reader.remaining(), 1, "a failed read consumes nothing");
        assert_eq!(reader.take(1), Ok(&[9][..]));
        assert!(reader.is_empty());
    }

    #[test]
    fn counts_near_the_end_of_u64_are_refused_not_wrapped() {
        let mut reader = Reader::at(&[0; 4], u64::MAX - 1);
        for n_bytes in [5, u64::from(u32::MAX) + 1, u64::MAX] {
            assert!(reader.take_u64(n_bytes).is_err());
        }
        assert!(reader.take(4).is_ok());
    }

    #[test]
    fn what_is_put_is_read_back() {
        let mut out = Vec::new();
        put_u8(&mut out, 7);
        put_u16(&mut out, 0xABCD);
        put_u32(&mut out, 0xDEAD_BEEF);
        put_u64(&mut out, u64::MAX - 3);
        put_i64(&mut out, -5);
        put_f32(&mut out, -0.5);
        put_f64(&mut out, 1e-5);
        let mut reader = Reader::new(&out);
        assert_eq!(reader.u8(), Ok(7));
        assert_eq!(reader.u16(), Ok(0xABCD));
        assert_eq!(reader.u32(), Ok(0xDEAD_BEEF));
        assert_eq!(reader.u64(), Ok(u64::MAX - 3));
        assert_eq!(reader.i64(), Ok(-5));
        assert_eq!(reader.f32(), Ok(-0.5));
        assert_eq!(reader.f64(), Ok(1e-5));
        assert!(reader.is_empty());
        put_padding(&mut out, 64);
        assert_eq!(out.len(), 64);
    }

    #[test]
    fn alignment_is_checked() {
        for (value, aligned) in [(0, Some(0)), (1, Some(64)), (64, Some(64)), (65, Some(128))] {
            assert_eq!(align_up(value, 64), aligned);
        }
        assert_eq!(align_up(u64::MAX - 62, 64), None);
        assert_eq!(align_up(u64::MAX - 63, 64), Some(u64::MAX - 63));
    }

    #[test]
    fn short_text_is_cut_at_a_character() {
        assert_eq!(ShortText::new("w_q").as_str(), "w_q");
        let long = "é".repeat(40);
        assert_eq!(ShortText::new(&long).as_str(), "é".repeat(31));
        assert_eq!(ShortText::from_utf8_lossy(b"a\xFFb").as_str(), "a\u{FFFD}b");
        assert_eq!(
            ShortText::from_utf8_lossy(&[0xFF; 99]).as_str(),
            "\u{FFFD}".repeat(21)
        );
        assert!(ShortText::EMPTY.is_empty());
    }
}
