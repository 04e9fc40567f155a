//! Metadata: what people say about a package. It changes no computation and no identity but
//! `content`.
//!
//! Any well-formed key may carry any value; a few keys have an agreed meaning, listed here. The
//! text is a stranger's: whoever shows it must escape it.

use super::error::PackageError;
use super::record_writer::RecordWriter;
use super::records::Records;
use super::section_table::SectionId;
use super::value::Value;
use alloc::vec::Vec;

/// Keys with an agreed meaning; all but the last are texts.
pub mod key {
    /// What the model or adapter is called.
    pub const NAME: &str = "name";
    /// Who made it.
    pub const AUTHOR: &str = "author";
    /// Its licence, best as an SPDX expression.
    pub const LICENSE: &str = "license";
    /// Where it comes from: an address or a citation.
    pub const SOURCE: &str = "source";
    /// A model's chat template as its source had it, where the package stores the format instead.
    pub const CHAT_TEMPLATE: &str = "chat_template";
    /// Anything else that a reader should know.
    pub const NOTES: &str = "notes";
    /// Of an adapter: what its base is called.
    pub const BASE_NAME: &str = "base_name";
    /// Of an adapter with sparse deltas: how their elements were chosen. `magnitude` are those of
    /// largest magnitude, `union` all that any of several adapters has.
    pub const MASK: &str = "mask";
    /// Of an adapter with sparse deltas: which part of its target's elements each has, a list of
    /// 32-bit floats in order of the targets' names.
    pub const DENSITY: &str = "density";
}

/// A package's metadata; empty if it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The validated section; empty if there is none.
    bytes: Vec<u8>,
}

impl Metadata {
    /// Reads a metadata section that begins at byte `offset` of the file.
    pub fn parse(bytes: &[u8], offset: u64) -> Result<Metadata, PackageError> {
        Records::parse(SectionId::METADATA, bytes, offset)?;
        Ok(Metadata {
            bytes: bytes.to_vec(),
        })
    }

    /// Metadata as written; `None` of it if nothing was put.
    pub fn from_records(records: &RecordWriter) -> Metadata {
        let bytes = if records.is_empty() {
            Vec::new()
        } else {
            records.finish()
        };
        Metadata { bytes }
    }

    /// The records in order of their keys; `None` if there is no metadata.
    pub fn records(&self) -> Option<Records<'_>> {
        Records::parse(SectionId::METADATA, &self.bytes, 0).ok()
    }

    /// The text of this key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.records()?.get(key)?.value.as_text()
    }

    /// The value of this key.
    pub fn value(&self, key: &str) -> Option<Value<'_>> {
        Some(self.records()?.get(key)?.value)
    }

    /// The section's bytes; empty if the section is absent.
    pub fn to_bytes(&self) -> &[u8] {
        &self.bytes
    }
}
