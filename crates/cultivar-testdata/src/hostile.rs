//! Hostile model packages: for every rule of the format, files that break it and nothing else.
//!
//! All are built from the small model by changing one thing and sealing the file again, so that
//! the digests do not hide the rule. A test asserts that every error variant has a case.

use crate::byte_builder::{
    RawPackage, RawRecord, RawSection, RawTensor, count_record, real_record, record,
    record_section, strings_payload, text_record,
};
use crate::small_packages::{config_records, small_model, tokenizer_records};
use cultivar_core::package::{ConfigErrorKind, PackageErrorKind as Kind};
use cultivar_core::tensor::{TensorError, TensorErrorKind};

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

/// Every hostile model package.
pub fn hostile_models() -> Vec<HostileCase> {
    let mut cases = header_cases();
    cases.extend(huge_cases());
    cases.extend(table_cases());
    cases.extend(record_cases());
    cases.extend(option_cases());
    cases.extend(config_range_cases());
    cases.extend(tokenizer_cases());
    cases.extend(directory_cases());
    cases.extend(schema_cases());
    cases.extend(payload_cases());
    cases
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

/// Where the last section of this package begins.
fn last_section_place(package: &RawPackage) -> u64 {
    let last = package
        .sections
        .last()
        .map_or(0, |section| section.bytes.len() as u64);
    package.build().len() as u64 - last
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

fn option_cases() -> Vec<HostileCase> {
    vec![
        config_case(
            "an unknown option",
            Kind::UnknownKey,
            &[count_record("d_modal", 4)],
        ),
        case("no d_model", Kind::MissingKey, |p| {
            put_records(p, 0x10, &without(config_records(), "d_model"));
        }),
        case("no tokenizer kind", Kind::MissingKey, |p| {
            put_records(p, 0x20, &without(tokenizer_records(), "kind"));
        }),
        config_case(
            "d_model as a float",
            Kind::WrongValueKind,
            &[real_record("d_model", 4.0)],
        ),
        config_case(
            "rope_theta as an integer",
            Kind::WrongValueKind,
            &[count_record("rope_theta", 500)],
        ),
        config_case(
            "an option at its default",
            Kind::RedundantDefault,
            &[real_record("rope_theta", 10000.0)],
        ),
        config_case(
            "head_dim at its default",
            Kind::RedundantDefault,
            &[count_record("head_dim", 2)],
        ),
        config_case(
            "an empty list stored",
            Kind::RedundantDefault,
            &[record("attention_kinds", 7, [])],
        ),
        tokenizer_case(
            "a false truth value stored",
            Kind::RedundantDefault,
            &[record("add_bos", 4, [0])],
        ),
        config_case(
            "an unknown norm",
            Kind::UnknownChoice,
            &[text_record("norm_kind", "batch")],
        ),
        config_case(
            "d_model of 2^32",
            Kind::ValueRange,
            &[count_record("d_model", 1 << 32)],
        ),
        config_case(
            "d_model of 2^64 - 1",
            Kind::ValueRange,
            &[count_record("d_model", u64::MAX)],
        ),
    ]
}

fn config_range_cases() -> Vec<HostileCase> {
    let config =
        |name: &str, kind, records: &[RawRecord]| config_case(name, Kind::Config(kind), records);
    let floats = |values: &[f64]| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    vec![
        config(
            "no layers",
            ConfigErrorKind::Range,
            &[count_record("n_layers", 0)],
        ),
        config(
            "2^30 layers",
            ConfigErrorKind::Range,
            &[count_record("n_layers", 1 << 30)],
        ),
        config(
            "no heads",
            ConfigErrorKind::Range,
            &[count_record("n_heads", 0)],
        ),
        config(
            "no key heads",
            ConfigErrorKind::Range,
            &[count_record("n_kv_heads", 0)],
        ),
        config(
            "heads that do not share d_model",
            ConfigErrorKind::Range,
            &[count_record("n_heads", 3)],
        ),
        config(
            "an eps of 0",
            ConfigErrorKind::Range,
            &[real_record("norm_eps", 0.0)],
        ),
        config(
            "a theta below 0",
            ConfigErrorKind::Range,
            &[real_record("rope_theta", -1.0)],
        ),
        config(
            "heads not divisible",
            ConfigErrorKind::HeadsNotDivisible,
            &[count_record("n_heads", 4), count_record("n_kv_heads", 3)],
        ),
        config(
            "an odd head",
            ConfigErrorKind::RotaryDim,
            &[count_record("head_dim", 3)],
        ),
        config(
            "a third of the head rotated",
            ConfigErrorKind::RotaryDim,
            &[real_record("rotary_fraction", 1.0 / 3.0)],
        ),
        config(
            "two thetas for one layer",
            ConfigErrorKind::LayerList,
            &[record("rope_theta_per_layer", 9, floats(&[1e4, 1e6]))],
        ),
        config(
            "two kinds for one layer",
            ConfigErrorKind::LayerList,
            &[record("attention_kinds", 7, [1, 0, 0, 0, 0, 0, 0, 0])],
        ),
        config(
            "a window without sliding layers",
            ConfigErrorKind::NoEffect,
            &[count_record("sliding_window", 8)],
        ),
        config(
            "a scaling factor without scaling",
            ConfigErrorKind::NoEffect,
            &[real_record("rope_scaling_factor", 2.0)],
        ),
        config(
            "per-layer thetas that are all the same",
            ConfigErrorKind::NoEffect,
            &[record("rope_theta_per_layer", 9, floats(&[1e4]))],
        ),
        config(
            "a matrix of 2^36 elements",
            ConfigErrorKind::TooLarge,
            &[
                count_record("d_model", 1 << 16),
                count_record("d_ff", 1 << 20),
                count_record("n_heads", 64),
            ],
        ),
    ]
}

fn tokenizer_cases() -> Vec<HostileCase> {
    let ids = |values: &[u32]| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    vec![
        tokenizer_case(
            "a piece too few",
            Kind::VocabSize,
            &[record(
                "pieces",
                10,
                strings_payload(&[b"<unk>", b"<s>", b"</s>", b"a"]),
            )],
        ),
        tokenizer_case(
            "a bytes tokenizer of 5 pieces",
            Kind::VocabSize,
            &[text_record("kind", "bytes")],
        ),
        tokenizer_case(
            "a piece of 1025 bytes",
            Kind::PieceTooLong,
            &[record(
                "pieces",
                10,
                strings_payload(&[b"", b"", b"", b"", &[b'a'; 1025]]),
            )],
        ),
        tokenizer_case(
            "a type too few",
            Kind::TokenizerList,
            &[record("types", 6, [2, 3, 3, 1])],
        ),
        tokenizer_case(
            "a score too many",
            Kind::TokenizerList,
            &[record("scores", 8, [0; 24])],
        ),
        tokenizer_case(
            "half a merge",
            Kind::TokenizerList,
            &[record("merges", 7, ids(&[3]))],
        ),
        tokenizer_case(
            "a type of 7",
            Kind::ValueRange,
            &[record("types", 6, [2, 3, 3, 1, 7])],
        ),
        tokenizer_case("bos outside", Kind::TokenId, &[count_record("bos_id", 5)]),
        tokenizer_case(
            "unk of 2^32",
            Kind::TokenId,
            &[count_record("unk_id", 1 << 32)],
        ),
        tokenizer_case(
            "eos outside",
            Kind::TokenId,
            &[record("eos_ids", 7, ids(&[2, 5]))],
        ),
        tokenizer_case(
            "eos twice",
            Kind::TokenId,
            &[record("eos_ids", 7, ids(&[2, 2]))],
        ),
        tokenizer_case(
            "a merge outside",
            Kind::TokenId,
            &[record("merges", 7, ids(&[3, 5]))],
        ),
        tokenizer_case(
            "an unknown kind",
            Kind::UnknownChoice,
            &[text_record("kind", "words")],
        ),
        tokenizer_case(
            "an unknown option",
            Kind::UnknownKey,
            &[record("add_eos", 4, [1])],
        ),
        tokenizer_case(
            "kind as bytes",
            Kind::WrongValueKind,
            &[record("kind", 6, *b"bytes")],
        ),
    ]
}

fn directory_cases() -> Vec<HostileCase> {
    let tensor = |name: &str, expected, change: fn(&mut RawTensor)| {
        case(name, expected, |p| change(p.tensor("layers.0.w_q")))
    };
    vec![
        case("no tensors", Kind::TensorCount, |p| p.n_tensors = Some(0)),
        case("more tensors than bytes", Kind::TensorCount, |p| {
            p.n_tensors = Some(65536)
        }),
        case("2^32 - 1 tensors", Kind::TensorCount, |p| {
            p.n_tensors = Some(u32::MAX)
        }),
        case("an entry too many stated", Kind::UnexpectedEnd, |p| {
            p.n_tensors = Some(13);
        }),
        case("an entry too few stated", Kind::SectionTrailing, |p| {
            p.n_tensors = Some(11)
        }),
        case("bytes behind the last entry", Kind::SectionTrailing, |p| {
            p.directory_extra = vec![0]
        }),
        tensor("a name with a space", Kind::TensorName, |t| {
            t.name = b"layers.0 w_q".to_vec()
        }),
        tensor("a name that is not UTF-8", Kind::TensorName, |t| {
            t.name = b"layers\xFF".to_vec()
        }),
        tensor("a name of 257 bytes", Kind::TensorName, |t| {
            t.name = vec![b'm'; 257]
        }),
        case("an empty name", Kind::TensorName, |p| {
            p.tensor("final_norm").name.clear()
        }),
        case("names out of order", Kind::TensorOrder, |p| {
            p.tensors.swap(0, 1)
        }),
        tensor("a name twice", Kind::TensorOrder, |t| {
            t.name = b"layers.0.w_o".to_vec()
        }),
        tensor("dtype 0", Kind::UnknownFormat, |t| t.dtype = 0),
        tensor("a reserved dtype", Kind::UnknownFormat, |t| t.dtype = 21),
        tensor("an unknown layout", Kind::UnknownFormat, |t| t.layout = 9),
        tensor("f32 in tiles", Kind::UnknownFormat, |t| t.layout = 1),
        tensor("q8_0 in rows", Kind::UnknownFormat, |t| t.dtype = 16),
        tensor("no dimensions", Kind::TensorDims, |t| t.dims.clear()),
        tensor("five dimensions", Kind::TensorDims, |t| t.dims = vec![1; 5]),
        tensor("a dimension of 0", Kind::TensorDims, |t| {
            t.dims = vec![0, 4]
        }),
        tensor("a dimension of 2^31", Kind::TensorDims, |t| {
            t.dims = vec![1, 1 << 31]
        }),
        tensor("rows that are no whole blocks", Kind::TensorBlocks, |t| {
            (t.dtype, t.layout) = (16, 1);
        }),
        tensor("2^40 elements", Kind::TensorTooLarge, |t| {
            t.dims = vec![1 << 20, 1 << 20]
        }),
        tensor("2^93 elements", Kind::TensorTooLarge, |t| {
            t.dims = vec![(1 << 31) - 1; 4]
        }),
        tensor("a gap before a tensor", Kind::TensorOffset, |t| {
            t.offset = Some(1 << 20)
        }),
        tensor("overlapping tensors", Kind::TensorOffset, |t| {
            t.offset = Some(0)
        }),
        tensor("an offset of 2^64 - 1", Kind::TensorOffset, |t| {
            t.offset = Some(u64::MAX)
        }),
        tensor("a length too small", Kind::TensorBytes, |t| {
            t.len = Some(60)
        }),
        tensor("a length of 2^64 - 1", Kind::TensorBytes, |t| {
            t.len = Some(u64::MAX)
        }),
        case(
            "bytes behind the last tensor",
            Kind::TensorDataLength,
            |p| p.data_extra = vec![0; 4],
        ),
    ]
}

fn schema_cases() -> Vec<HostileCase> {
    vec![
        case("no w_up", Kind::MissingTensor, |p| {
            p.tensors.retain(|tensor| tensor.name != b"layers.0.w_up");
        }),
        case("no output although not tied", Kind::MissingTensor, |p| {
            p.tensors.retain(|tensor| tensor.name != b"output");
        }),
        case("a tensor of a second layer", Kind::UnexpectedTensor, |p| {
            let mut surplus = p.tensor("layers.0.w_v").clone();
            surplus.name = b"layers.1.w_v".to_vec();
            p.tensors.insert(10, surplus);
        }),
        config_case(
            "an output although tied",
            Kind::UnexpectedTensor,
            &[record("tied_output", 4, [1])],
        ),
        case("w_q transposed into one row", Kind::TensorShape, |p| {
            p.tensor("layers.0.w_q").dims = vec![1, 16];
        }),
        config_case(
            "a wider feed-forward layer",
            Kind::TensorShape,
            &[count_record("d_ff", 16)],
        ),
        case("a norm of one row", Kind::TensorShape, |p| {
            p.tensor("final_norm").dims = vec![1, 4]
        }),
        case("a norm in f16", Kind::TensorDtype, |p| {
            let norm = p.tensor("final_norm");
            norm.dtype = 2;
            norm.bytes.truncate(8);
        }),
        case("weights as integers", Kind::TensorDtype, |p| {
            p.tensor("layers.0.w_q").dtype = 4
        }),
    ]
}

fn payload_cases() -> Vec<HostileCase> {
    let payload = |kind, offset| Kind::Payload(TensorError { kind, offset });
    let q8_0 = |name: &str, kind, offset, change: fn(&mut [u8])| {
        case(name, payload(kind, offset), |p| {
            // A model of d_model 32 and 2 rows of w_k: its tile lacks two rows.
            widen(p);
            let w_k = p.tensor("layers.0.w_k");
            (w_k.dtype, w_k.layout, w_k.bytes) = (16, 1, vec![0; 136]);
            change(&mut w_k.bytes);
        })
    };
    vec![
        case("a wrong tensor digest", Kind::TensorDigest, |p| {
            p.tensor("layers.0.w_q").digest = Some([1; 32]);
        }),
        case(
            "a NaN in f32",
            payload(TensorErrorKind::NotFinite, 8),
            |p| {
                p.tensor("layers.0.w_q").bytes[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
            },
        ),
        case(
            "an infinity in f16",
            payload(TensorErrorKind::NotFinite, 2),
            |p| {
                let w_q = p.tensor("layers.0.w_q");
                w_q.dtype = 2;
                w_q.bytes = vec![0; 32];
                w_q.bytes[2..4].copy_from_slice(&0x7C00_u16.to_le_bytes());
            },
        ),
        case(
            "a NaN in bf16",
            payload(TensorErrorKind::NotFinite, 0),
            |p| {
                let w_q = p.tensor("layers.0.w_q");
                w_q.dtype = 3;
                w_q.bytes = vec![0xFF; 32];
            },
        ),
        q8_0(
            "an infinite scale",
            TensorErrorKind::NotFinite,
            0,
            |bytes| bytes[1] = 0x7C,
        ),
        q8_0(
            "a scale in a padding row",
            TensorErrorKind::Padding,
            4,
            |bytes| bytes[4] = 1,
        ),
    ]
}

/// Turns the small model into one of d_model 32, one head of 2, and rows of zeros.
fn widen(package: &mut RawPackage) {
    let changes = [count_record("d_model", 32), count_record("head_dim", 2)];
    put_records(package, 0x10, &merged(config_records(), &changes));
    for tensor in &mut package.tensors {
        let old = tensor.dims.clone();
        let is_d_ff_wide = tensor.name.ends_with(b"w_down");
        let is_q_dim_wide = tensor.name.ends_with(b"w_o");
        tensor.dims = match old.as_slice() {
            [_] => vec![32],
            [_, d_in] if is_d_ff_wide || is_q_dim_wide => vec![32, *d_in],
            [d_out, _] => vec![*d_out, 32],
            other => other.to_vec(),
        };
        tensor.bytes = vec![0; 4 * tensor.dims.iter().product::<u64>() as usize];
    }
}
