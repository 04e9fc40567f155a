//! One vocabulary by every route: tokenizer.json, tokenizer.model, GGUF and llama2.c's own file
//! give the same ids; and what is wrong with a tokenizer.model is named.
//!
//! The first needs `CULTIVAR_DATA`; it says so and passes without it.

use cultivar_core::json::{self, JsonValue};
use cultivar_core::tokenizer::{EncodeOptions, Tokenizer, TokenizerKind, TokenizerRecord};
use cultivar_import::ImportErrorKind as Kind;
use cultivar_import::gguf::{Gguf, Parsed};
use cultivar_import::tokenizers::{SideFiles, from_gguf, from_json, from_sentencepiece};
use std::path::Path;

/// The records of the three routes.
fn routes(folder: &Path) -> [TokenizerRecord; 3] {
    let file = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let parsed = |name: &str| -> JsonValue { json::parse(&file(name)).unwrap() };
    let config = parsed("hf/tokenizer_config.json");
    let generation = parsed("hf/generation_config.json");
    let beside = SideFiles {
        tokenizer_config: Some(&config),
        generation_config: Some(&generation),
        model_config: None,
    };
    let json = from_json(&parsed("hf/tokenizer.json"), &beside).unwrap();
    let model = from_sentencepiece(&file("hf/tokenizer.model"), &beside).unwrap();
    let name = "gguf/stories260K-f32.gguf";
    let bytes = file(name);
    let Parsed::Whole(gguf) = Gguf::parse(&bytes, bytes.len() as u64).unwrap() else {
        unreachable!("the whole file is there")
    };
    [json.record, model.record, from_gguf(&gguf).unwrap().record]
}

#[test]
fn every_route_gives_the_same_ids() {
    let Some(data) = std::env::var_os("CULTIVAR_DATA") else {
        eprintln!("skipped: CULTIVAR_DATA is not set");
        return;
    };
    let data = Path::new(&data);
    let records = routes(&data.join("models/stories260K"));
    for record in &records {
        assert_eq!(record.kind, TokenizerKind::SentencePieceBpe);
        assert_eq!(record.types, records[2].types);
        assert_eq!(record.pieces, records[2].pieces);
        assert_eq!(record.bos_id, records[2].bos_id);
        assert!(record.eos_ids.contains(&2));
        assert!(record.add_bos && record.add_space_prefix && record.remove_leading_space);
    }
    let tokenizers = records.map(|record| Tokenizer::new(record).unwrap());
    let story = std::fs::read_to_string(data.join("text/tinyshakespeare.txt")).unwrap();
    let reference = std::fs::read(data.join("reference/stories260K.json")).unwrap();
    let reference = json::parse(&reference).unwrap();
    let eval = reference.get("eval").and_then(|eval| eval.get("text"));
    let mut texts = vec![&story[..100_000], "Zoë  ate\n\n three 🦙s. 我", ""];
    texts.extend(eval.and_then(JsonValue::as_str));
    for text in texts {
        let ids = |tokenizer: &Tokenizer| tokenizer.ids(text, EncodeOptions::default()).unwrap();
        let expected = ids(&tokenizers[2]);
        assert!(
            tokenizers
                .iter()
                .all(|tokenizer| ids(tokenizer) == expected)
        );
    }
}

/// A field of a message: its number, kind 2, and its bytes.
fn bytes_field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, bytes.len() as u8];
    out.extend(bytes);
    out
}

/// A small number as a field.
fn number_field(number: u16, value: u8) -> Vec<u8> {
    let key = number << 3;
    if key < 0x80 {
        return vec![key as u8, value];
    }
    vec![key as u8 & 0x7F | 0x80, (key >> 7) as u8, value]
}

fn piece(text: &str, score: f32, kind: u8) -> Vec<u8> {
    let score = [&[2 << 3 | 5][..], &score.to_le_bytes()].concat();
    let message = [
        bytes_field(1, text.as_bytes()),
        score,
        number_field(3, kind),
    ]
    .concat();
    bytes_field(1, &message)
}

fn small(trainer: &[u8], normalizer: &[u8]) -> Vec<u8> {
    [
        piece("<unk>", 0.0, 2),
        piece("<s>", 0.0, 3),
        piece("</s>", 0.0, 3),
        piece("\u{2581}a", -1.0, 1),
        piece("a", -2.0, 1),
        bytes_field(2, trainer),
        bytes_field(3, normalizer),
    ]
    .concat()
}

#[test]
fn a_small_model_is_read() {
    let plain = SideFiles::default();
    let bytes = small(&number_field(3, 2), &number_field(4, 0));
    let record = from_sentencepiece(&bytes, &plain).unwrap().record;
    assert_eq!(record.kind, TokenizerKind::SentencePieceBpe);
    assert_eq!(record.piece(3), Some((&b" a"[..], 1)));
    assert!(record.normalizer.is_empty());
    assert_eq!((record.bos_id, &record.eos_ids[..]), (Some(1), &[2][..]));
    let bytes = small(&[], &[]);
    let record = from_sentencepiece(&bytes, &plain).unwrap().record;
    assert_eq!(record.kind, TokenizerKind::Unigram);
    assert_eq!(record.normalizer, ["collapse_spaces", "strip_spaces"]);
    let tokenizer = Tokenizer::new(record).unwrap();
    let ids = |text| tokenizer.ids(text, EncodeOptions::default()).unwrap();
    assert_eq!(
        ids("  a b "),
        [1, 3, 0],
        "unknown characters side by side are one"
    );
    assert_eq!(ids("aaa"), [1, 3, 4, 4]);
}

#[test]
fn what_is_wrong_with_a_model_is_named() {
    let plain = SideFiles::default();
    let good = small(&[], &[]);
    let with_piece = |piece: Vec<u8>| [good.clone(), piece].concat();
    let cases = [
        (Kind::FieldMissing, "pieces", bytes_field(2, &[])),
        (
            Kind::Truncated,
            "tokenizer.model",
            good[..good.len() - 1].to_vec(),
        ),
        (
            Kind::Truncated,
            "tokenizer.model",
            bytes_field(1, b"\x0a\x09a"),
        ),
        (Kind::PieceBroken, "pieces", with_piece(piece("", 0.0, 1))),
        (
            Kind::PieceBroken,
            "pieces",
            with_piece(piece("x", f32::NAN, 1)),
        ),
        (Kind::PieceBroken, "pieces", with_piece(piece("x", 0.0, 9))),
        (Kind::PieceBroken, "pieces", with_piece(piece("x", 0.0, 6))),
        (
            Kind::TokenizerModel,
            "SentencePiece words",
            small(&number_field(3, 3), &[]),
        ),
        (
            Kind::TokenizerModel,
            "SentencePiece characters",
            small(&number_field(3, 4), &[]),
        ),
        (
            Kind::TokenizerStep,
            "treat_whitespace_as_suffix",
            small(&number_field(24, 1), &[]),
        ),
        (
            Kind::TokenizerStep,
            "escape_whitespaces: false",
            small(&[], &number_field(5, 0)),
        ),
        (
            Kind::FieldValue,
            "precompiled_charsmap",
            small(&[], &bytes_field(2, b"x")),
        ),
        (Kind::FieldValue, "eos_id", small(&number_field(42, 9), &[])),
    ];
    for (kind, field, bytes) in cases {
        let error = from_sentencepiece(&bytes, &plain).unwrap_err();
        assert_eq!(
            (error.kind.clone(), error.field.as_str()),
            (kind, field),
            "{error}"
        );
    }
}

#[test]
fn any_damaged_model_is_read_or_refused() {
    let good = small(&number_field(3, 2), &number_field(4, 0));
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            if let Ok(foreign) = from_sentencepiece(&bytes, &SideFiles::default())
                && let Ok(tokenizer) = Tokenizer::new(foreign.record)
            {
                assert!(tokenizer.ids("a b", EncodeOptions::default()).is_ok());
            }
        }
    }
}

#[test]
fn normalization_tables_give_the_librarys_ids() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tokenizers");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let texts = json::parse(&read("expected.json")).unwrap();
    let texts = texts.get("texts").unwrap().as_array().unwrap();
    let answers = json::parse(&read("sentencepiece.json")).unwrap();
    for kind in ["unigram", "bpe"] {
        let file = read(&format!("sentencepiece-{kind}.model"));
        let record = from_sentencepiece(&file, &SideFiles::default());
        let record = record.unwrap().record;
        assert_eq!(record.normalizer[0], "map");
        assert_eq!(record.map_from.len(), record.map_to.len());
        let tokenizer = Tokenizer::new(record).unwrap();
        let plain = EncodeOptions {
            add_bos: Some(false),
            parse_special: false,
        };
        let rows = answers.get(kind).unwrap().as_array().unwrap();
        for (text, row) in texts.iter().zip(rows) {
            let text = text.as_str().unwrap();
            if text.contains('\u{2581}') {
                // Here it is a space like any other, there none that is collapsed.
                continue;
            }
            let expected: Vec<u32> = row
                .as_array()
                .unwrap()
                .iter()
                .map(|id| id.as_u32().unwrap())
                .collect();
            assert_eq!(
                tokenizer.ids(text, plain).unwrap(),
                expected,
                "{kind}: {text:?}"
            );
        }
    }
}
