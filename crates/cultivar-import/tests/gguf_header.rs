//! GGUF headers: what is read from right ones, what is said of wrong ones, and that no cut of a
//! file does worse than ask for more or be refused.

use cultivar_import::ImportErrorKind as Kind;
use cultivar_import::gguf::{Gguf, GgufValue, Parsed};
use cultivar_import::{ImportError, ImportErrorKind};
use cultivar_testdata::foreign_files::{GgufBuilder, gguf_text};

fn parse(bytes: &[u8]) -> Result<Gguf<'_>, ImportError> {
    match Gguf::parse(bytes, bytes.len() as u64)? {
        Parsed::Whole(gguf) => Ok(gguf),
        Parsed::More(n) => panic!("asks for {n} of {} bytes", bytes.len()),
    }
}

fn small() -> GgufBuilder {
    GgufBuilder::new()
        .text("general.architecture", "llama")
        .u32("llama.block_count", 2)
        .f32("llama.rope.freq_base", 1e4)
        .bool("tokenizer.ggml.add_bos_token", true)
        .raw("i8", 1, &[0xff])
        .raw("u16", 2, &[1, 2])
        .raw("i16", 3, &[0xfe, 0xff])
        .raw("u64", 10, &u64::MAX.to_le_bytes())
        .raw("i64", 11, &(-5_i64).to_le_bytes())
        .raw("f64", 12, &0.25_f64.to_le_bytes())
        .texts("tokens", &[b"a", b"", "\u{2581}b".as_bytes()])
        .f32s("scores", &[0.0, -1.5])
        .i32s("types", &[1, 6, -1])
        .array("bools", 7, 2, &[1, 0])
        .f32_tensor("a.weight", &[2, 3], &[1.0; 6])
        .tensor("b.weight", &[2, 32], 8, &[7; 68])
}

#[test]
fn every_kind_of_value_is_read() {
    for version in [2, 3] {
        let mut builder = small();
        builder.version = Some(version);
        let bytes = builder.build();
        let gguf = parse(&bytes).unwrap();
        assert_eq!(gguf.version, version);
        assert_eq!(gguf.entries().len(), 14);
        assert_eq!(gguf.text("general.architecture"), Ok(Some("llama")));
        assert_eq!(gguf.u64("llama.block_count"), Ok(Some(2)));
        assert_eq!(gguf.f64("llama.block_count"), Ok(Some(2.0)));
        assert_eq!(gguf.f64("llama.rope.freq_base"), Ok(Some(1e4)));
        assert_eq!(gguf.bool("tokenizer.ggml.add_bos_token"), Ok(Some(true)));
        assert_eq!(gguf.value("i8"), Some(GgufValue::Signed(-1)));
        assert_eq!(gguf.value("u16"), Some(GgufValue::Unsigned(513)));
        assert_eq!(gguf.value("i16").unwrap().as_i64(), Some(-2));
        assert_eq!(gguf.u64("u64"), Ok(Some(u64::MAX)));
        assert_eq!(gguf.value("i64").unwrap().as_i64(), Some(-5));
        assert_eq!(gguf.f64("f64"), Ok(Some(0.25)));
        assert_eq!(gguf.text("absent"), Ok(None));
        assert_eq!(
            gguf.text("i64").unwrap_err().kind,
            ImportErrorKind::FieldValue
        );
        let array = |key: &str| gguf.array(key).unwrap().unwrap();
        let tokens: Vec<&[u8]> = array("tokens").texts().unwrap().collect();
        assert_eq!(tokens, [&b"a"[..], b"", "\u{2581}b".as_bytes()]);
        let scores: Vec<f32> = array("scores").floats().unwrap().collect();
        assert_eq!(scores, [0.0, -1.5]);
        let types: Vec<i64> = array("types").integers().unwrap().collect();
        assert_eq!(types, [1, 6, -1]);
        let bools: Vec<bool> = array("bools").bools().unwrap().collect();
        assert_eq!(bools, [true, false]);
        assert!(array("scores").texts().is_none() && array("tokens").floats().is_none());
        assert!(array("scores").integers().is_none() && array("types").bools().is_none());
        assert_eq!(array("tokens").values().count(), 3);
        assert!(!array("tokens").is_empty());
    }
}

#[test]
fn tensors_lie_where_the_header_says() {
    let bytes = small().build();
    let gguf = parse(&bytes).unwrap();
    let a = gguf.tensor("a.weight").unwrap();
    assert_eq!(
        (a.ggml_type.name, &a.shape[..], a.bytes),
        ("f32", &[2, 3][..], 24)
    );
    assert_eq!(a.offset, gguf.data_offset);
    let b = gguf.tensor("b.weight").unwrap();
    assert_eq!(
        (b.ggml_type.name, &b.shape[..], b.bytes),
        ("q8_0", &[2, 32][..], 68)
    );
    assert_eq!(b.offset, gguf.data_offset + 32);
    assert!(gguf.tensor("c").is_none());
    let mut aligned = GgufBuilder::new();
    aligned.alignment = Some(128);
    let aligned = aligned.u32("general.alignment", 128);
    let aligned = aligned
        .f32_tensor("a", &[1], &[1.0])
        .f32_tensor("b", &[1], &[2.0]);
    let bytes = aligned.build();
    let gguf = parse(&bytes).unwrap();
    assert_eq!(gguf.data_offset % 128, 0);
    assert_eq!(gguf.tensors()[1].offset, gguf.data_offset + 128);
}

#[test]
fn a_cut_header_asks_for_more_and_a_cut_file_is_refused() {
    let bytes = small().build();
    let gguf = parse(&bytes).unwrap();
    let header_bytes = gguf.data_offset as usize;
    // The padding behind the last tensor may be missing.
    let end = gguf.tensors().last().map(|last| last.offset + last.bytes);
    for n in 0..end.unwrap() as usize {
        let error = parse(&bytes[..n]).unwrap_err();
        let expected: &[Kind] = if n + 32 < header_bytes {
            // Counts are held against the file's length too.
            &[Kind::Truncated, Kind::CountTooLarge]
        } else {
            &[Kind::Truncated, Kind::TensorPlace]
        };
        assert!(expected.contains(&error.kind), "{n}: {error}");
        match Gguf::parse(&bytes[..n], bytes.len() as u64) {
            Ok(Parsed::More(more)) => assert!(more > n as u64 && more <= bytes.len() as u64),
            Ok(Parsed::Whole(_)) => assert!(n + 32 > header_bytes),
            Err(error) => panic!("{n}: {error}"),
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    let one = |key, kind, value: &[u8]| GgufBuilder::new().raw(key, kind, value).build();
    let long = "k".repeat(257);
    let mut text_beyond = 99_u64.to_le_bytes().to_vec();
    text_beyond.extend(b"ab");
    let nested = [9_u32.to_le_bytes().as_slice(), &[0; 40]].concat();
    let info = |shape: &[u64], kind, offset| {
        let data = GgufBuilder::new().f32_tensor("a", &[8], &[0.0; 8]);
        data.info("b", shape, kind, offset).build()
    };
    let version = |version| {
        let mut builder = small();
        builder.version = Some(version);
        builder.build()
    };
    let cases: Vec<(Vec<u8>, Kind, &str, [u64; 2])> = vec![
        (b"GGML\x03\0\0\0".to_vec(), Kind::Unrecognised, "", [0, 0]),
        (version(3_u32.swap_bytes()), Kind::BigEndian, "", [0, 0]),
        (version(1), Kind::GgufVersion, "", [1, 0]),
        (version(4), Kind::GgufVersion, "", [4, 0]),
        (
            small().with_counts(u64::MAX, 14),
            Kind::CountTooLarge,
            "tensor_count",
            [u64::MAX, small().build().len() as u64 / 33],
        ),
        (
            small().with_counts(2, 1 << 40),
            Kind::CountTooLarge,
            "metadata_kv_count",
            [1 << 40, small().build().len() as u64 / 14],
        ),
        (small().with_counts(2, 15), Kind::BadName, "name", [488, 0]),
        (one("k", 13, &[0; 8]), Kind::MetadataType, "k", [13, 0]),
        (one("k", 7, &[2]), Kind::MetadataType, "k", [7, 0]),
        (one("k", 9, &nested), Kind::MetadataType, "k", [9, 0]),
        (one("", 0, &[0; 8]), Kind::BadName, "name", [24, 0]),
        (one(&long, 0, &[0; 8]), Kind::BadName, "name", [24, 0]),
        (
            GgufBuilder::new().u32("k", 1).u32("k", 1).build(),
            Kind::DuplicateKey,
            "k",
            [0, 0],
        ),
        (
            GgufBuilder::new().u32("general.alignment", 48).build(),
            Kind::FieldValue,
            "general.alignment",
            [0, 0],
        ),
        (
            GgufBuilder::new().text("general.alignment", "32").build(),
            Kind::FieldValue,
            "general.alignment",
            [0, 0],
        ),
        (info(&[], 0, 0), Kind::TensorDims, "b", [0, 0]),
        (info(&[1; 5], 0, 0), Kind::TensorDims, "b", [5, 0]),
        (info(&[2, 0], 0, 0), Kind::TensorDims, "b", [2, 0]),
        (info(&[2, 33], 8, 0), Kind::TensorDims, "b", [2, 33]),
        (info(&[2, 288], 12, 0), Kind::TensorDims, "b", [2, 288]),
        (info(&[1 << 31], 0, 0), Kind::TensorDims, "b", [1, 1 << 31]),
        (
            info(&[1 << 30, 1 << 30, 1 << 30], 0, 0),
            Kind::TensorDims,
            "b",
            [3, 1 << 30],
        ),
        (info(&[2], 99, 0), Kind::TensorTypeUnknown, "b", [99, 0]),
        (info(&[2], 4, 0), Kind::TensorTypeUnknown, "b", [4, 0]),
    ];
    for (bytes, kind, field, numbers) in cases {
        let error = parse(&bytes).unwrap_err();
        assert_eq!(
            (error.kind.clone(), error.field.as_str(), error.numbers),
            (kind, field, numbers),
            "{error}"
        );
        assert!((500..550).contains(&error.code()), "{error}");
    }
    let bytes = one("k", 8, &text_beyond);
    let error = parse(&bytes).unwrap_err();
    assert_eq!(error.kind, Kind::Truncated);
    // A key that is no UTF-8.
    let mut bytes = one("k", 0, &[0; 8]);
    bytes[32] = 0xff;
    assert_eq!(parse(&bytes).unwrap_err().kind, Kind::BadName);
    assert_eq!(gguf_text(b"k").len(), 9);
}

#[test]
fn tensors_that_cannot_lie_there_are_named() {
    let with = |name, offset| {
        let data = GgufBuilder::new().f32_tensor("a", &[8], &[0.0; 8]);
        data.f32_tensor("c", &[8], &[0.0; 8])
            .info(name, &[8], 0, offset)
            .build()
    };
    for (name, offset, kind) in [
        ("b", 0, Kind::TensorOverlap),
        ("b", 32, Kind::TensorOverlap),
        ("b", 64, Kind::TensorPlace),
        ("b", 16, Kind::TensorPlace),
        ("b", u64::MAX - 31, Kind::TensorPlace),
        ("b", u64::MAX, Kind::TensorPlace),
    ] {
        let bytes = with(name, offset);
        let error = parse(&bytes).unwrap_err();
        assert_eq!(error.kind, kind, "{offset}: {error}");
        assert!(["a", "b", "c"].contains(&error.field.as_str()));
    }
    let twice = GgufBuilder::new().f32_tensor("a", &[8], &[0.0; 8]);
    let bytes = twice.f32_tensor("a", &[8], &[0.0; 8]).build();
    assert_eq!(parse(&bytes).unwrap_err().kind, Kind::DuplicateTensor);
}

#[test]
fn any_single_damaged_byte_is_read_or_refused() {
    let bytes = small().build();
    for at in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            if let Ok(gguf) = parse(&damaged) {
                for tensor in gguf.tensors() {
                    assert!(tensor.offset + tensor.bytes <= bytes.len() as u64);
                }
                for (_, value) in gguf.entries() {
                    if let Some(array) = value.as_array() {
                        assert_eq!(array.values().count(), array.len());
                    }
                }
            }
        }
    }
}

#[test]
fn real_files_are_read() {
    let Some(folder) = std::env::var_os("CULTIVAR_DATA").map(std::path::PathBuf::from) else {
        eprintln!("skipped: CULTIVAR_DATA is not set");
        return;
    };
    for (file, n_tensors, n_tokens) in [
        ("models/stories260K/gguf/stories260K-q4_0.gguf", 47, 512),
        (
            "models/rot256/gguf/TinyStories-656K-rot256-q4_k_m.gguf",
            21,
            2048,
        ),
        ("tokenizers/ggml-vocab-gpt-2.gguf", 0, 50257),
        ("tokenizers/ggml-vocab-llama-spm.gguf", 0, 32000),
    ] {
        let bytes = std::fs::read(folder.join(file)).unwrap();
        let gguf = parse(&bytes).unwrap();
        let tokens = gguf.array("tokenizer.ggml.tokens").unwrap().unwrap();
        assert_eq!(
            (gguf.tensors().len(), tokens.texts().unwrap().count()),
            (n_tensors, n_tokens),
            "{file}"
        );
        // The first bytes alone lead there too.
        let mut n = 64;
        while let Parsed::More(more) = Gguf::parse(&bytes[..n], bytes.len() as u64).unwrap() {
            n = more as usize;
        }
    }
}
