//! Hostile model packages: for every rule of the format, files that break it and nothing else.
//!
//! All are built from the small model by changing one thing and sealing the file again, so that
//! the digests do not hide the rule. A test asserts that every error variant has a case.

mod container;
mod options;
mod records;
mod tensors;

use crate::byte_builder::{RawPackage, RawRecord, record_section};
use crate::small_packages::{config_records, small_model, tokenizer_records};
use cultivar_core::package::PackageErrorKind as Kind;

/// A file that must be refused, and why.
#[derive(Clone, Debug)]
pub struct HostileCase {
    /// What is wrong with it, in a few words.
    pub name: String,
    /// The rule that it breaks.
    pub expected: Kind,
    /// The file, or its beginning if `file_bytes` is more.
    pub bytes: Vec<u8>,
    /// The length that the file has, or claims to have where it would be huge.
    pub file_bytes: u64,
}

/// Every hostile model package.
pub fn hostile_models() -> Vec<HostileCase> {
    let groups = [
        container::cases(),
        records::cases(),
        options::cases(),
        tensors::cases(),
    ];
    groups.into_iter().flatten().collect()
}

/// The small model with one change.
fn case(name: &str, expected: Kind, change: impl FnOnce(&mut RawPackage)) -> HostileCase {
    let mut package = small_model();
    change(&mut package);
    let bytes = package.build();
    let file_bytes = bytes.len() as u64;
    HostileCase {
        name: name.into(),
        expected,
        bytes,
        file_bytes,
    }
}

/// Puts records in place of a section's.
fn put_records(package: &mut RawPackage, id: u32, records: &[RawRecord]) {
    package.section(id).bytes = record_section(records);
}

/// The small model with one config record changed or added.
fn config_case(name: &str, expected: Kind, records: &[RawRecord]) -> HostileCase {
    case(name, expected, |p| {
        put_records(p, 0x10, &merged(config_records(), records))
    })
}

/// The small model with one tokenizer record changed or added.
fn tokenizer_case(name: &str, expected: Kind, records: &[RawRecord]) -> HostileCase {
    case(name, expected, |p| {
        put_records(p, 0x20, &merged(tokenizer_records(), records))
    })
}

/// Replaces records of the same keys, adds the others, keeps the order of keys.
fn merged(mut records: Vec<RawRecord>, changes: &[RawRecord]) -> Vec<RawRecord> {
    for change in changes {
        records.retain(|record| record.key != change.key);
        records.push(change.clone());
    }
    records.sort_by(|a, b| a.key.cmp(&b.key));
    records
}

fn without(mut records: Vec<RawRecord>, key: &str) -> Vec<RawRecord> {
    records.retain(|record| record.key != key.as_bytes());
    records
}
