//! Hostile records: counts, keys and values, shown on the metadata, which takes any key.

use super::{HostileCase, Kind, case, put_records};
use crate::byte_builder::{RawRecord, real_record, record, strings_payload, text_record};

/// Every case of this file.
pub(super) fn cases() -> Vec<HostileCase> {
    [record_cases(), value_cases(), list_and_range_cases()].concat()
}

fn record_cases() -> Vec<HostileCase> {
    let metadata = |name: &str, expected, records: &[RawRecord]| {
        case(name, expected, |p| put_records(p, 0x40, records))
    };
    let cut = |name: &str, n_bytes: usize| {
        case(name, Kind::UnexpectedEnd, |p| {
            p.section(0x40).bytes.truncate(n_bytes)
        })
    };
    vec![
        cut("a section without a count", 3),
        cut("a record cut in its key", 27),
        cut("a record cut in its value", 36),
        case("bytes behind the last record", Kind::SectionTrailing, |p| {
            p.section(0x40).bytes.push(0);
        }),
        metadata("no records", Kind::RecordCount, &[]),
        case("more records than bytes", Kind::RecordCount, |p| {
            p.section(0x40).bytes[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        }),
        case("4097 records", Kind::RecordCount, |p| {
            let key = |i: usize| format!("k{i:04}");
            let records: Vec<_> = (0..4097).map(|i| record(&key(i), 4, [0])).collect();
            put_records(p, 0x40, &records);
        }),
        metadata("an empty key", Kind::BadKey, &[text_record("", "x")]),
        metadata(
            "a key of 65 bytes",
            Kind::BadKey,
            &[text_record(&"k".repeat(65), "x")],
        ),
        metadata(
            "a key with a capital",
            Kind::BadKey,
            &[text_record("Name", "x")],
        ),
        metadata(
            "a key that is not UTF-8",
            Kind::BadKey,
            &[RawRecord {
                key: b"\xFF".to_vec(),
                kind: 5,
                payload: Vec::new(),
            }],
        ),
        metadata(
            "keys out of order",
            Kind::KeyOrder,
            &[text_record("name", "x"), text_record("license", "x")],
        ),
        metadata(
            "a key twice",
            Kind::KeyOrder,
            &[text_record("name", "x"), text_record("name", "x")],
        ),
    ]
}

fn value_cases() -> Vec<HostileCase> {
    let metadata = |name: &str, expected, records: &[RawRecord]| {
        case(name, expected, |p| put_records(p, 0x40, records))
    };
    vec![
        metadata("kind 0", Kind::UnknownValueKind, &[record("name", 0, [])]),
        metadata("kind 12", Kind::UnknownValueKind, &[record("name", 12, [])]),
        metadata(
            "an integer of 7 bytes",
            Kind::ValueLength,
            &[record("name", 1, [0; 7])],
        ),
        metadata(
            "an integer of 9 bytes",
            Kind::ValueLength,
            &[record("name", 2, [0; 9])],
        ),
    ]
}

fn list_and_range_cases() -> Vec<HostileCase> {
    let metadata = |name: &str, expected, records: &[RawRecord]| {
        case(name, expected, |p| put_records(p, 0x40, records))
    };
    vec![
        metadata(
            "a u32 list of 5 bytes",
            Kind::ValueLength,
            &[record("name", 7, [0; 5])],
        ),
        metadata(
            "an f64 list of 12 bytes",
            Kind::ValueLength,
            &[record("name", 9, [0; 12])],
        ),
        metadata(
            "a list longer than itself",
            Kind::ValueLength,
            &[record("name", 10, [255; 4])],
        ),
        metadata(
            "a list with a rest",
            Kind::ValueLength,
            &[record("name", 10, [0; 5])],
        ),
        metadata(
            "a string longer than the list",
            Kind::ValueLength,
            &[record("name", 11, [1, 0, 0, 0, 9, 0, 0, 0])],
        ),
        metadata(
            "a truth value of 2",
            Kind::BadBool,
            &[record("name", 4, [2])],
        ),
        metadata(
            "a float that is NaN",
            Kind::NotFinite,
            &[real_record("name", f64::NAN)],
        ),
        metadata(
            "an infinite float",
            Kind::NotFinite,
            &[real_record("name", f64::INFINITY)],
        ),
        metadata(
            "a negative zero",
            Kind::NotFinite,
            &[real_record("name", -0.0)],
        ),
        metadata(
            "an f32 list with a NaN",
            Kind::NotFinite,
            &[record("name", 8, f32::NAN.to_le_bytes())],
        ),
        metadata(
            "an f64 list with an infinity",
            Kind::NotFinite,
            &[record("name", 9, f64::NEG_INFINITY.to_le_bytes())],
        ),
        metadata(
            "text in Latin-1",
            Kind::NotUtf8,
            &[record("name", 5, *b"na\xEFve")],
        ),
        metadata(
            "a text list in Latin-1",
            Kind::NotUtf8,
            &[record("name", 11, strings_payload(&[b"ok", b"na\xEFve"]))],
        ),
    ]
}
