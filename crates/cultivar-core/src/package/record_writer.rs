//! Writes the records of a section, canonically: sorted by key, one spelling per value.
//!
//! Callers may put keys in any order; putting a key twice keeps the later value. Whether a value
//! is a default that must stay absent is for the caller to know.

use super::limits;
use super::value::kind;
use crate::bytes::{put_f32, put_f64, put_u8, put_u32};
use alloc::string::String;
use alloc::vec::Vec;

/// A list of records in progress.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordWriter {
    /// Per key, in their order, its kind, payload length and payload, as stored. There are tens at
    /// most, and a map of the library's would be six kilobytes of each module.
    records: Vec<(String, Vec<u8>)>,
}

impl RecordWriter {
    /// An empty list.
    pub fn new() -> Self {
        RecordWriter::default()
    }

    /// Whether no key was put.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Puts a value that is stored already: kind, payload length, payload.
    ///
    /// The key is 1 to 64 characters of `a-z 0-9 _ .`; the parser refuses any other.
    pub fn stored(&mut self, key: &str, stored: Vec<u8>) -> &mut Self {
        debug_assert!(!key.is_empty() && key.len() <= limits::KEY_BYTES_MAX);
        match self.place(key) {
            Ok(idx) => {
                if let Some(record) = self.records.get_mut(idx) {
                    record.1 = stored;
                }
            }
            Err(idx) => self.records.insert(idx, (key.into(), stored)),
        }
        self
    }

    /// Puts an unsigned integer.
    pub fn u64(&mut self, key: &str, value: u64) -> &mut Self {
        self.stored(key, stored_value(kind::U64, &value.to_le_bytes()))
    }

    /// Puts a signed integer.
    pub fn i64(&mut self, key: &str, value: i64) -> &mut Self {
        self.stored(key, stored_value(kind::I64, &value.to_le_bytes()))
    }

    /// Puts a float, which must be finite; a negative zero is stored as zero.
    pub fn f64(&mut self, key: &str, value: f64) -> &mut Self {
        self.stored(key, stored_f64(value))
    }

    /// Puts a truth value.
    pub fn bool(&mut self, key: &str, value: bool) -> &mut Self {
        self.stored(key, stored_value(kind::BOOL, &[u8::from(value)]))
    }

    /// Puts a text.
    pub fn text(&mut self, key: &str, value: &str) -> &mut Self {
        self.stored(key, stored_value(kind::TEXT, value.as_bytes()))
    }

    /// Puts a byte string.
    pub fn bytes(&mut self, key: &str, value: &[u8]) -> &mut Self {
        self.stored(key, stored_value(kind::BYTES, value))
    }

    /// Puts a list of unsigned integers.
    pub fn u32_list(&mut self, key: &str, values: impl Iterator<Item = u32>) -> &mut Self {
        let mut payload = Vec::new();
        values.for_each(|value| put_u32(&mut payload, value));
        self.stored(key, stored_value(kind::U32_LIST, &payload))
    }

    /// Puts a list of 32-bit floats, which must be finite.
    pub fn f32_list(&mut self, key: &str, values: &[f32]) -> &mut Self {
        let mut payload = Vec::with_capacity(values.len() * 4);
        values
            .iter()
            .for_each(|value| put_f32(&mut payload, *value));
        self.stored(key, stored_value(kind::F32_LIST, &payload))
    }

    /// Puts a list of byte strings.
    pub fn bytes_list<'a>(
        &mut self,
        key: &str,
        strings: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> &mut Self {
        self.stored(
            key,
            stored_value(kind::BYTES_LIST, &strings_payload(strings)),
        )
    }

    /// Puts a list of texts.
    pub fn text_list<'a>(
        &mut self,
        key: &str,
        texts: impl ExactSizeIterator<Item = &'a str>,
    ) -> &mut Self {
        let strings = texts.map(str::as_bytes);
        self.stored(
            key,
            stored_value(kind::TEXT_LIST, &strings_payload(strings)),
        )
    }

    /// Takes a key out again.
    pub(super) fn remove(&mut self, key: &str) {
        if let Ok(idx) = self.place(key) {
            self.records.remove(idx);
        }
    }

    /// Where the key is, or where it belongs.
    fn place(&self, key: &str) -> Result<usize, usize> {
        self.records
            .binary_search_by(|(found, _)| found.as_str().cmp(key))
    }

    /// The section's bytes.
    pub fn finish(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_u32(&mut out, self.records.len() as u32);
        for (key, stored) in &self.records {
            put_u8(&mut out, key.len() as u8);
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(stored);
        }
        out
    }
}

/// A value as records store it: kind, payload length, payload.
pub(super) fn stored_value(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(5 + payload.len());
    put_u8(&mut stored, kind);
    put_u32(&mut stored, payload.len() as u32);
    stored.extend_from_slice(payload);
    stored
}

/// A float as records store it; adding zero turns a negative zero into zero.
pub(super) fn stored_f64(value: f64) -> Vec<u8> {
    stored_value(kind::F64, &(value + 0.0).to_le_bytes())
}

/// A list of floats as records store it.
pub(super) fn stored_f64_list(values: &[f64]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(values.len() * 8);
    values
        .iter()
        .for_each(|value| put_f64(&mut payload, *value + 0.0));
    stored_value(kind::F64_LIST, &payload)
}

fn strings_payload<'a>(strings: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut payload = Vec::new();
    put_u32(&mut payload, strings.len() as u32);
    for string in strings {
        put_u32(&mut payload, string.len() as u32);
        payload.extend_from_slice(string);
    }
    payload
}
