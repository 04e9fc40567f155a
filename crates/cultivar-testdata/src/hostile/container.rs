//! Hostile headers, section tables and sections as a whole.

use super::{HostileCase, Kind, case};
use crate::byte_builder::{RawPackage, RawSection};

/// Every case of this file.
pub(super) fn cases() -> Vec<HostileCase> {
    [header_cases(), huge_cases(), table_cases(), place_cases()].concat()
}

fn header_cases() -> Vec<HostileCase> {
    let plain = |name: &str, expected, bytes: &[u8]| HostileCase {
        name: name.into(),
        expected,
        bytes: bytes.to_vec(),
        file_bytes: bytes.len() as u64,
    };
    vec![
        plain("empty file", Kind::TooShort, b""),
        plain(
            "the magic bytes alone",
            Kind::TooShort,
            b"\x89SLM\r\n\x1A\n",
        ),
        plain(
            "a text file",
            Kind::BadMagic,
            b"Dear reader, this is no package.",
        ),
        case("line ends converted", Kind::BadMagic, |p| {
            p.magic = *b"\x89SLM\n\x1A\n\0"
        }),
        case("next major version", Kind::UnsupportedVersion, |p| {
            p.version = (2, 0)
        }),
        case("next minor version", Kind::UnsupportedVersion, |p| {
            p.version = (1, 1)
        }),
        case("kind 0", Kind::UnknownKind, |p| p.kind = 0),
        case("kind 3", Kind::UnknownKind, |p| p.kind = 3),
        case("an adapter", Kind::WrongKind, |p| p.kind = 2),
        case("reserved field of the header", Kind::ReservedNotZero, |p| {
            p.reserved.0 = 1
        }),
        case("second reserved field", Kind::ReservedNotZero, |p| {
            p.reserved.1 = 1
        }),
        case("no sections", Kind::SectionCount, |p| {
            p.n_sections = Some(0)
        }),
        case("65 sections", Kind::SectionCount, |p| {
            p.n_sections = Some(65)
        }),
        case("a longer file stated", Kind::FileLength, |p| {
            p.file_bytes = Some(1 << 20)
        }),
        case("a shorter file stated", Kind::FileLength, |p| {
            p.file_bytes = Some(64)
        }),
        case("head_bytes not aligned", Kind::HeadBytes, |p| {
            p.head_bytes = Some(1000)
        }),
        case("head_bytes inside the table", Kind::HeadBytes, |p| {
            p.head_bytes = Some(64)
        }),
        case("head_bytes behind the file", Kind::HeadBytes, |p| {
            p.head_bytes = Some(1 << 20)
        }),
        case("head_bytes at a section", Kind::HeadBytes, |p| {
            p.head_bytes = Some(1280)
        }),
        case("wrong header digest", Kind::HeaderDigest, |p| {
            p.header_digest = Some([7; 24])
        }),
        case("fewer sections stated", Kind::HeaderDigest, |p| {
            p.n_sections = Some(10)
        }),
    ]
}

/// Files too large to build: only their beginning is given.
fn huge_cases() -> Vec<HostileCase> {
    let huge = |name: &str, expected, file_bytes: u64, change: fn(&mut RawPackage)| {
        let mut hostile = case(name, expected, |p| {
            p.file_bytes = Some(file_bytes);
            change(p);
        });
        hostile.file_bytes = file_bytes;
        hostile
    };
    vec![
        huge(
            "more than 3.5 GiB",
            Kind::FileTooLarge,
            (3584 << 20) + 1,
            |_| {},
        ),
        huge("2^64 - 1 bytes", Kind::FileTooLarge, u64::MAX, |_| {}),
        huge("a head of 1 GiB", Kind::HeadTooLarge, 2 << 30, |p| {
            p.head_bytes = Some(1 << 30)
        }),
        huge(
            "a tail of 1 GiB",
            Kind::TailTooLarge,
            (1 << 30) + 4096,
            |p| {
                // Genome, unknown section and signatures go, so that the conversion record is last.
                p.sections.truncate(6);
                let place = last_section_place(p);
                p.section(0x70).len = Some((1 << 30) + 4096 - place);
            },
        ),
    ]
}

fn table_cases() -> Vec<HostileCase> {
    vec![
        case("two sections of one id", Kind::SectionOrder, |p| {
            p.sections.insert(2, RawSection::new(0x20, 1, "again"));
        }),
        case("sections out of order", Kind::SectionOrder, |p| {
            p.sections.swap(2, 3)
        }),
        case("unknown flag", Kind::SectionFlags, |p| {
            p.section(0x44).flags = 2
        }),
        case("config not required", Kind::SectionFlags, |p| {
            p.section(0x10).flags = 0
        }),
        case("metadata required", Kind::SectionFlags, |p| {
            p.section(0x40).flags = 1
        }),
        case("data not required", Kind::SectionFlags, |p| {
            p.data.flags = Some(0)
        }),
        case("unknown section required", Kind::UnknownSection, |p| {
            p.section(0x44).flags = 1
        }),
        case("reserved field of a row", Kind::ReservedNotZero, |p| {
            p.section(0x10).reserved = 1
        }),
        case("no tokenizer", Kind::MissingSection, |p| {
            p.sections.remove(1);
        }),
        case("no directory", Kind::MissingSection, |p| {
            p.directory.is_absent = true
        }),
        case("no tensor data", Kind::HeadBytes, |p| {
            p.data.is_absent = true
        }),
    ]
}

fn place_cases() -> Vec<HostileCase> {
    vec![
        case("a gap before a section", Kind::SectionOffset, |p| {
            p.section(0x20).offset = Some(4096);
        }),
        case("overlapping sections", Kind::SectionOffset, |p| {
            p.section(0x20).offset = Some(64)
        }),
        case("an offset near 2^64", Kind::SectionOffset, |p| {
            p.section(0x20).offset = Some(u64::MAX);
        }),
        case("an empty section", Kind::SectionLength, |p| {
            p.section(0x30).bytes.clear()
        }),
        case("a length past the file", Kind::SectionLength, |p| {
            p.section(0xF0).len = Some(1 << 20);
        }),
        case("a length near 2^64", Kind::SectionLength, |p| {
            p.section(0xF0).len = Some(u64::MAX)
        }),
        case("bytes behind the last section", Kind::TrailingBytes, |p| {
            p.trailing = vec![0]
        }),
        case("padding of ones", Kind::PaddingNotZero, |p| {
            p.padding = 0xFF
        }),
        case("wrong section digest", Kind::SectionDigest, |p| {
            p.section(0x10).digest = Some([1; 32])
        }),
        case("wrong digest in the tail", Kind::SectionDigest, |p| {
            p.section(0x80).digest = Some([1; 32]);
        }),
        case(
            "data with a digest of its own",
            Kind::TensorDataDigest,
            |p| {
                p.data.digest = Some([1; 32]);
            },
        ),
        case("a chat template in Latin-1", Kind::NotUtf8, |p| {
            p.section(0x30).bytes = b"na\xEFve".to_vec();
        }),
        case("a conversion record in Latin-1", Kind::NotUtf8, |p| {
            p.section(0x70).bytes = b"na\xEFve".to_vec();
        }),
    ]
}

/// Where the last section of this package begins.
fn last_section_place(package: &RawPackage) -> u64 {
    let last = package
        .sections
        .last()
        .map_or(0, |section| section.bytes.len() as u64);
    package.build().len() as u64 - last
}
