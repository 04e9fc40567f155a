//! Files that must be refused: each names the file, the field and the reason, and none panics,
//! hangs, or makes the importer ask for bytes that are not there.

mod made;

use cultivar_core::tokenizer::TokenizerErrorKind;
use cultivar_import::ImportErrorKind as Kind;
use cultivar_import::{ImportError, ImportStep, Importer, Requantize, SourceInfo, TargetFormat};
use made::{SMALL, Sizes, import, options, tokenizer_file, tokenizer_file_of};

fn refused(files: &[(&str, &[u8])], format: TargetFormat) -> ImportError {
    import(files, options(format), 4096).map(drop).unwrap_err()
}

fn refused_checkpoint(checkpoint: &[u8]) -> ImportError {
    refused(
        &[("m.bin", checkpoint), ("t.bin", &tokenizer_file())],
        TargetFormat::Keep,
    )
}

fn refused_tokenizer(tokenizer: &[u8]) -> ImportError {
    refused(
        &[("m.bin", &SMALL.checkpoint()), ("t.bin", tokenizer)],
        TargetFormat::Keep,
    )
}

#[test]
fn what_is_missing_or_doubled_is_named() {
    let (checkpoint, tokenizer) = (SMALL.checkpoint(), tokenizer_file());
    let error = refused(&[("m.bin", &checkpoint)], TargetFormat::Keep);
    assert_eq!(error.kind, Kind::TokenizerMissing);
    assert!(error.to_string().contains("m.bin") && error.to_string().contains("tok512.bin"));
    let error = refused(&[("t.bin", &tokenizer)], TargetFormat::Keep);
    assert_eq!(
        (error.kind.clone(), error.file.as_str()),
        (Kind::CheckpointMissing, "t.bin")
    );
    let twice = [
        ("m.bin", &checkpoint[..]),
        ("n.bin", &checkpoint),
        ("t.bin", &tokenizer),
    ];
    let error = refused(&twice, TargetFormat::Keep);
    assert_eq!(
        (error.kind.clone(), error.file.as_str()),
        (Kind::TwoOfAKind, "n.bin")
    );
    assert_eq!(refused(&[], TargetFormat::Keep).kind, Kind::NoSource);
    let many = vec![("m.bin", &checkpoint[..]); 65];
    assert_eq!(
        refused(&many, TargetFormat::Keep).kind,
        Kind::TooManySources
    );
}

#[test]
fn other_kinds_are_told_apart() {
    let cases: [(&[u8], Kind, &str); 8] = [
        (b"", Kind::Empty, "empty"),
        (b"Once upon a time", Kind::Unrecognised, "not a model file"),
        (b"\0", Kind::Unrecognised, "not a model file"),
        (b"GGUF\x03\0\0\0", Kind::Truncated, "cut off"),
        (b"\x40\0\0\0\0\0\0\0{\"a\":", Kind::Truncated, "cut off"),
        (b"24ka\x01\0\0\0", Kind::KindLater, "llama2.c version 1"),
        (b"PK\x03\x04", Kind::KindLater, "PyTorch"),
        (b"\x89SLM\r\n\x1a\n", Kind::AlreadyPackage, "already"),
    ];
    for (bytes, kind, text) in cases {
        let error = refused(&[("x", bytes)], TargetFormat::Keep);
        assert_eq!((error.kind.clone(), error.file.as_str()), (kind, "x"));
        assert!(error.to_string().starts_with("x: "), "{error}");
        assert!(error.to_string().contains(text), "{error}");
        assert!((500..550).contains(&error.code()));
    }
}

#[test]
fn a_wrong_length_is_refused_with_both_lengths() {
    let good = SMALL.checkpoint();
    for len in [28, 29, 1000, good.len() - 4, good.len() - 1] {
        let error = refused_checkpoint(&good[..len]);
        assert_eq!(
            (error.kind.clone(), error.file.as_str()),
            (Kind::Truncated, "m.bin")
        );
        assert_eq!(error.numbers, [good.len() as u64, len as u64]);
    }
    let mut long = good.clone();
    long.push(0);
    assert_eq!(refused_checkpoint(&long).kind, Kind::Trailing);
    // Fewer bytes than a header are no checkpoint at all.
    assert_eq!(refused_checkpoint(&good[..27]).kind, Kind::Unrecognised);
}

#[test]
fn headers_that_cannot_be_are_no_checkpoint() {
    let huge = i32::MAX;
    for sizes in [
        Sizes {
            d_model: 0,
            ..SMALL
        },
        Sizes {
            d_model: -12,
            ..SMALL
        },
        Sizes {
            d_model: huge,
            ..SMALL
        },
        Sizes { d_ff: 0, ..SMALL },
        Sizes {
            d_ff: huge,
            ..SMALL
        },
        Sizes {
            n_layers: 1 << 20,
            ..SMALL
        },
        Sizes {
            n_heads: 5,
            ..SMALL
        },
        Sizes {
            n_heads: 12,
            ..SMALL
        },
        Sizes {
            n_kv_heads: 3,
            ..SMALL
        },
        Sizes {
            vocab_size: 0,
            ..SMALL
        },
        Sizes {
            vocab_size: i32::MIN,
            ..SMALL
        },
        Sizes {
            context_len: 0,
            ..SMALL
        },
        Sizes {
            context_len: -1,
            ..SMALL
        },
    ] {
        let mut bytes = sizes.header();
        bytes.resize(4096, 0);
        let error = refused_checkpoint(&bytes);
        assert!(
            matches!(error.kind, Kind::Unrecognised | Kind::PieceBroken),
            "{error}"
        );
    }
    // The largest sizes that may be: the sums still fit, and the length gives them away.
    let sizes = Sizes {
        d_model: 1 << 16,
        d_ff: 1 << 20,
        n_layers: 1024,
        n_heads: 1024,
        n_kv_heads: 1024,
        vocab_size: -(1 << 20),
        context_len: 1 << 20,
    };
    let error = refused_checkpoint(&sizes.header());
    assert_eq!(error.kind, Kind::Truncated);
    assert!(error.numbers[0] > 1 << 49);
}

#[test]
fn weights_that_are_not_finite_are_found_with_their_place() {
    let good = SMALL.checkpoint();
    let w_q = 28 + 4 * (262 * 12 + 2 * 12);
    for (place, tensor, index) in [
        (28, "token_embedding", 0),
        (28 + 4 * (262 * 12 - 1), "token_embedding", 262 * 12 - 1),
        // Row 2 of the source becomes row 1; the index counts in the source.
        (w_q + 4 * (2 * 12 + 5), "layers.0.w_q", 2 * 12 + 5),
        (good.len() - 4, "output", 262 * 12 - 1),
    ] {
        for weight in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut bytes = good.clone();
            bytes[place..place + 4].copy_from_slice(&weight.to_le_bytes());
            let error = refused_checkpoint(&bytes);
            assert_eq!(
                (error.kind.clone(), error.file.as_str()),
                (Kind::NotFinite, "m.bin")
            );
            assert_eq!((error.field.as_str(), error.numbers[0]), (tensor, index));
        }
    }
}

#[test]
fn weights_beyond_a_format_are_refused_for_it_only() {
    let mut bytes = SMALL.checkpoint();
    bytes[28..32].copy_from_slice(&1e6f32.to_le_bytes());
    let tokenizer = tokenizer_file();
    let files = [("m.bin", &bytes[..]), ("t.bin", &tokenizer[..])];
    assert_eq!(refused(&files, TargetFormat::F16).kind, Kind::DoesNotFit);
    assert!(import(&files, options(TargetFormat::F32), 4096).is_ok());
}

#[test]
fn broken_tokenizer_files_are_refused() {
    let good = tokenizer_file();
    for len in [good.len() - 1, good.len() - 6, good.len() - 11] {
        let error = refused_tokenizer(&good[..len]);
        assert!(matches!(error.kind, Kind::PieceBroken), "{error}");
        assert_eq!(error.file.as_str(), "t.bin");
    }
    // Cut between pieces: another vocabulary than the checkpoint's.
    let error = refused_tokenizer(&good[..good.len() - 10]);
    assert_eq!(
        (error.kind.clone(), error.field.as_str()),
        (Kind::SizesDisagree, "vocab_size")
    );
    assert_eq!(error.numbers, [261, 262]);

    let changed = |id: usize, score: f32, piece: &[u8]| {
        let mut pieces = vec![(0.0, b"<unk>".to_vec()), (0.0, b"<s>".to_vec())];
        pieces.push((0.0, b"</s>".to_vec()));
        pieces.extend((0..=255).map(|byte: u8| (0.0, format!("<0x{byte:02x}>").into_bytes())));
        pieces.extend([
            (0.0, b"a".to_vec()),
            (0.0, b"b".to_vec()),
            (0.0, b"ab".to_vec()),
        ]);
        pieces[id] = (score, piece.to_vec());
        tokenizer_file_of(&pieces)
    };
    for (bytes, kind, id) in [
        (
            changed(260, f32::NAN, b"b"),
            TokenizerErrorKind::ScoreNotFinite,
            260,
        ),
        (
            changed(260, 0.0, b"a"),
            TokenizerErrorKind::PieceRepeated,
            260,
        ),
        (changed(260, 0.0, b""), TokenizerErrorKind::PieceEmpty, 260),
        (
            changed(9, 0.0, b"x"),
            TokenizerErrorKind::BytePieceMissing,
            6,
        ),
        (
            changed(9, 0.0, b"<0x07>"),
            TokenizerErrorKind::PieceRepeated,
            10,
        ),
    ] {
        let error = refused_tokenizer(&bytes);
        let Kind::Tokenizer(inner) = error.kind else {
            panic!("{error}")
        };
        assert_eq!(
            (inner.kind, inner.id, error.file.as_str()),
            (kind, id, "t.bin")
        );
    }
}

#[test]
fn lengths_of_pieces_are_not_believed() {
    let mut bytes = tokenizer_file();
    for len in [-1, i32::MIN, i32::MAX, 7] {
        let at = bytes.len() - 6;
        bytes[at..at + 4].copy_from_slice(&i32::to_le_bytes(len));
        assert_eq!(refused_tokenizer(&bytes).kind, Kind::PieceBroken);
    }
}

#[test]
fn every_truncation_and_flip_of_small_files_is_survived() {
    let (checkpoint, tokenizer) = (SMALL.checkpoint(), tokenizer_file());
    for len in (0..tokenizer.len()).step_by(3) {
        refused_tokenizer(&tokenizer[..len]);
    }
    for bit in (0..tokenizer.len() * 8).step_by(29) {
        let mut flipped = tokenizer.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let files = [("m.bin", &checkpoint[..]), ("t.bin", &flipped[..])];
        let _ = import(&files, options(TargetFormat::Keep), u64::MAX);
    }
    for bit in 0..28 * 8 {
        let mut flipped = checkpoint.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let files = [("m.bin", &flipped[..]), ("t.bin", &tokenizer[..])];
        assert!(
            import(&files, options(TargetFormat::Keep), u64::MAX).is_err(),
            "bit {bit}"
        );
    }
}

#[test]
fn calls_out_of_order_and_short_supplies_are_errors_that_stay() {
    let info = SourceInfo {
        name: "m.bin".into(),
        bytes: 100,
    };
    let new = || Importer::new(vec![info.clone()], options(TargetFormat::Keep)).unwrap();
    let mut importer = new();
    assert_eq!(importer.supply(b"x").unwrap_err().kind, Kind::OutOfOrder);
    assert_eq!(
        importer.step(1).unwrap_err().kind,
        Kind::OutOfOrder,
        "an error stays"
    );

    let mut importer = new();
    let step = importer.step(1).unwrap();
    assert_eq!(
        step,
        ImportStep::Read {
            source: 0,
            offset: 0,
            len: 64
        }
    );
    assert_eq!(
        importer.step(1).unwrap(),
        step,
        "asking again changes nothing"
    );
    let error = importer.supply(&[0; 63]).unwrap_err();
    assert_eq!(
        (error.kind.clone(), error.numbers),
        (Kind::SupplyLen, [64, 63])
    );
}

#[test]
fn unknown_formats_are_named() {
    let error = TargetFormat::from_name("q3").unwrap_err();
    assert_eq!(
        (error.kind.clone(), error.field.as_str()),
        (Kind::FormatUnknown, "q3")
    );
    let error = Requantize::from_name("f16").unwrap_err();
    assert_eq!(error.kind, Kind::RequantizeUnknown);
    assert!(error.to_string().contains("use q8_0 or nearest"));
    for format in TargetFormat::ALL {
        assert_eq!(TargetFormat::from_name(format.name()).unwrap(), format);
    }
    for choice in [Requantize::Q8_0, Requantize::Nearest] {
        assert_eq!(Requantize::from_name(choice.name()).unwrap(), choice);
    }
}
