//! Records: the tagged, sorted list of options that config, tokenizer and metadata are stored as.
//!
//! `u32 n`, then per record `u8 key_len, key, u8 kind, u32 payload_bytes, payload`, keys strictly
//! ascending. The whole list is validated before anything is handed out, so that a caller only
//! has to ask for kinds; values borrow from the section. Idea: CBOR's canonical maps, with less.

use super::error::{PackageError, PackageErrorKind};
use super::limits;
use super::section_table::SectionId;
use super::value::Value;
use crate::bytes::{Reader, ShortText};

/// The fewest bytes that a record takes: a key of one byte and an empty payload.
const RECORD_BYTES_MIN: usize = 1 + 1 + 1 + 4;

/// One option with its value and place.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The option's name.
    pub key: &'a str,
    /// Its value, validated.
    pub value: Value<'a>,
    /// The value as stored: kind, length and payload. Equal values are equal bytes.
    pub stored: &'a [u8],
    /// The byte of the file where the record begins.
    pub offset: u64,
}

/// A validated list of records.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    section: SectionId,
    bytes: &'a [u8],
    offset: u64,
}

impl<'a> Records<'a> {
    /// Validates the records of a whole section that begins at byte `offset` of the file.
    pub fn parse(section: SectionId, bytes: &'a [u8], offset: u64) -> Result<Self, PackageError> {
        let mut reader = Reader::at(bytes, offset);
        let n_records = reader
            .u32()
            .map_err(|end| PackageError::ended(end, section))?;
        let fits = n_records as usize <= reader.remaining() / RECORD_BYTES_MIN;
        if !(1..=limits::RECORDS_MAX).contains(&n_records) || !fits {
            return Err(PackageError::within(
                PackageErrorKind::RecordCount,
                section,
                offset,
            ));
        }
        let mut previous_key = "";
        for _ in 0..n_records {
            let record = read_record(&mut reader, section)?;
            if record.key <= previous_key {
                let kind = PackageErrorKind::KeyOrder;
                let error = PackageError::within(kind, section, record.offset);
                return Err(error.named(record.key));
            }
            previous_key = record.key;
        }
        if !reader.is_empty() {
            let kind = PackageErrorKind::SectionTrailing;
            return Err(PackageError::within(kind, section, reader.offset()));
        }
        Ok(Records {
            section,
            bytes,
            offset,
        })
    }

    /// The section that the records were read from.
    pub fn section(&self) -> SectionId {
        self.section
    }

    /// The byte of the file where the section begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The records in order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let section = self.section;
        let mut reader = Reader::at(self.bytes, self.offset);
        let _ = reader.u32();
        // Reading ends with the bytes: the list was validated, so nothing else ends it.
        core::iter::from_fn(move || read_record(&mut reader, section).ok())
    }

    /// The record of this key.
    pub fn get(&self, key: &str) -> Option<Record<'a>> {
        self.iter().find(|record| record.key == key)
    }

    /// The record of this key; refused if there is none.
    pub fn require(&self, key: &'static str) -> Result<Record<'a>, PackageError> {
        let missing =
            || PackageError::within(PackageErrorKind::MissingKey, self.section, self.offset);
        self.get(key).ok_or_else(|| missing().named(key))
    }

    /// An error of this list at one of its records.
    pub fn refuse(&self, kind: PackageErrorKind, record: &Record<'_>) -> PackageError {
        PackageError::within(kind, self.section, record.offset).named(record.key)
    }
}

fn read_record<'a>(
    reader: &mut Reader<'a>,
    section: SectionId,
) -> Result<Record<'a>, PackageError> {
    let ended = |end| PackageError::ended(end, section);
    let offset = reader.offset();
    let refuse = |kind| PackageError::within(kind, section, offset);
    let key_bytes = usize::from(reader.u8().map_err(ended)?);
    let key = reader.take(key_bytes).map_err(ended)?;
    let is_valid = (1..=limits::KEY_BYTES_MAX).contains(&key_bytes)
        && key
            .iter()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.'));
    let text = core::str::from_utf8(key).ok().filter(|_| is_valid);
    let bad_key = refuse(PackageErrorKind::BadKey).named(ShortText::from_utf8_lossy(key));
    let key = text.ok_or(bad_key)?;

    let before = reader.rest();
    let kind = reader.u8().map_err(ended)?;
    let payload_bytes = reader.u32().map_err(ended)?;
    let payload = reader.take_u64(u64::from(payload_bytes)).map_err(ended)?;
    let stored = before.get(..5 + payload.len()).unwrap_or_default();
    let value = Value::read(kind, payload).map_err(|kind| refuse(kind).named(key))?;
    Ok(Record {
        key,
        value,
        stored,
        offset,
    })
}
