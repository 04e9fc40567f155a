//! Tokenizers in GGUF metadata, right and wrong: every rule has a header that breaks it.

use cultivar_core::tokenizer::{EncodeOptions, PieceType, Tokenizer, TokenizerKind};
use cultivar_import::gguf::{Gguf, Parsed};
use cultivar_import::tokenizers::{
    ForeignTokenizer, SideFiles, from_gguf, from_sentencepiece, pad_to_rows,
};
use cultivar_import::{ImportError, ImportErrorKind as Kind};
use cultivar_testdata::foreign_files::GgufBuilder;

const TOKENS: &str = "tokenizer.ggml.tokens";
const SCORES: &str = "tokenizer.ggml.scores";
const MERGES: &str = "tokenizer.ggml.merges";

fn read(builder: GgufBuilder) -> Result<ForeignTokenizer, ImportError> {
    let bytes = builder.build();
    let Parsed::Whole(gguf) = Gguf::parse(&bytes, bytes.len() as u64)? else {
        unreachable!("the whole file is there")
    };
    from_gguf(&gguf)
}

fn model(name: &str) -> GgufBuilder {
    GgufBuilder::new().text("tokenizer.ggml.model", name)
}

/// Byte-level: a, b, the space, their joints, a piece outside the alphabet, an end marker.
fn byte_level(pre: &str, merges: &[&[u8]]) -> GgufBuilder {
    let tokens = ["a", "b", "\u{120}", "ab", "\u{120}ab", "x y", "<|im_end|>"];
    let tokens: Vec<&[u8]> = tokens.iter().map(|token| token.as_bytes()).collect();
    model("gpt2")
        .text("tokenizer.ggml.pre", pre)
        .texts(TOKENS, &tokens)
        .i32s("tokenizer.ggml.token_type", &[1, 1, 1, 1, 1, 1, 3])
        .texts(MERGES, merges)
}

const GOOD: &[&[u8]] = &[b"a b", "\u{120} ab".as_bytes()];

#[test]
fn a_byte_level_tokenizer_is_read() {
    let foreign = read(byte_level("gpt-2", GOOD).u32("tokenizer.ggml.eos_token_id", 0)).unwrap();
    let record = &foreign.record;
    assert_eq!(record.kind, TokenizerKind::ByteBpe);
    assert_eq!(record.merges, [(0, 1), (2, 3)]);
    assert_eq!(
        record.eos_ids,
        [0, 6],
        "the marker of a turn's end counts too"
    );
    assert_eq!(
        record.types[5],
        PieceType::Unused as u8,
        "not in the alphabet"
    );
    assert!(!record.add_bos && !record.ignore_merges);
    let tokenizer = Tokenizer::new(foreign.record).unwrap();
    let ids = |text: &str, parse_special| {
        let options = EncodeOptions {
            add_bos: None,
            parse_special,
        };
        tokenizer.ids(text, options).unwrap()
    };
    assert_eq!(ids("ab ab", false), [3, 4]);
    assert_eq!(ids("a<|im_end|>b", true), [0, 6, 1]);
    assert_eq!(ids("ba", false), [1, 0]);
    assert_eq!(tokenizer.decode(&[3, 4, 6]).unwrap(), "ab ab");
}

#[test]
fn families_differ_where_they_should() {
    let llama3 = read(byte_level("llama-bpe", GOOD).u32("tokenizer.ggml.bos_token_id", 6));
    let record = llama3.unwrap().record;
    assert!(record.ignore_merges && record.add_bos);
    assert_eq!(record.pre_tokenizer, ["llama3_words"]);
    let unnamed = byte_level("", GOOD);
    assert_eq!(read(unnamed).unwrap().record.pre_tokenizer.len(), 4);
}

#[test]
fn a_sentencepiece_tokenizer_is_read() {
    let tokens: [&[u8]; 5] = [
        b"<unk>",
        b"<s>",
        b"</s>",
        b"<0x0A>",
        "\u{2581}\u{2581}a".as_bytes(),
    ];
    let builder = model("llama")
        .texts(TOKENS, &tokens)
        .i32s("tokenizer.ggml.token_type", &[2, 3, 3, 6, 1])
        .f32s("tokenizer.ggml.scores", &[0.0, 0.0, 0.0, 0.0, -1.5])
        .text("tokenizer.chat_template", "{{ x }}");
    let foreign = read(builder).unwrap();
    let record = foreign.record;
    assert_eq!(record.kind, TokenizerKind::SentencePieceBpe);
    assert_eq!(record.piece(3), Some((&b"\n"[..], 6)));
    assert_eq!(record.piece(4), Some((&b"  a"[..], 1)));
    assert_eq!((record.bos_id, record.unk_id), (Some(1), Some(0)));
    assert_eq!(record.eos_ids, [2]);
    assert!(record.add_bos && record.add_space_prefix && record.remove_leading_space);
    assert_eq!(foreign.chat_template.as_deref(), Some("{{ x }}"));
}

/// The value of the last field of this number in a message, its fields being varints, bytes or
/// words as in SentencePiece's files.
fn bytes_of(message: &[u8], wanted: u64) -> Option<&[u8]> {
    let mut at = 0;
    let varint = |at: &mut usize| {
        let (mut number, mut shift) = (0_u64, 0);
        loop {
            let byte = message[*at];
            *at += 1;
            number |= u64::from(byte & 0x7F) << shift;
            shift += 7;
            if byte < 0x80 {
                return number;
            }
        }
    };
    let mut found = None;
    while at < message.len() {
        let tag = varint(&mut at);
        let len = match tag & 7 {
            0 => {
                varint(&mut at);
                0
            }
            2 => varint(&mut at) as usize,
            _ => 4,
        };
        if tag >> 3 == wanted {
            found = Some(&message[at..at + len]);
        }
        at += len;
    }
    found
}

#[test]
fn a_unigram_is_read_with_its_table() {
    let folder = env!("CARGO_MANIFEST_DIR");
    let path = format!("{folder}/../../fixtures/tokenizers/sentencepiece-unigram.model");
    let file = std::fs::read(path).unwrap();
    let table = bytes_of(bytes_of(&file, 3).unwrap(), 2).unwrap();
    let expected = from_sentencepiece(&file, &SideFiles::default())
        .unwrap()
        .record;
    assert!(!expected.map_from.is_empty());
    let unigram = |kind: u32, table: &[u8]| {
        let file = model("t5").texts(TOKENS, &[b"<unk>", "\u{2581}a".as_bytes(), b"b"]);
        let file = file.f32s(SCORES, &[0.0, -1.0, -2.5]);
        let file = file.bool("tokenizer.ggml.remove_extra_whitespaces", true);
        file.array(
            "tokenizer.ggml.precompiled_charsmap",
            kind,
            table.len() as u64,
            table,
        )
    };
    // Bytes, signed or not.
    for kind in [0, 1] {
        let record = read(unigram(kind, table)).unwrap().record;
        assert_eq!(record.kind, TokenizerKind::Unigram);
        assert_eq!(
            record.normalizer,
            ["map", "collapse_spaces", "strip_spaces"]
        );
        assert!(record.map_from == expected.map_from && record.map_to == expected.map_to);
        assert_eq!(record.scores, [0.0, -1.0, -2.5]);
        assert_eq!(record.pieces.get(1), Some(&b" a"[..]));
        assert!(record.add_space_prefix && record.remove_leading_space);
    }
    for cut in [1, 4, table.len() / 2] {
        let error = read(unigram(0, &table[..cut])).map(drop).unwrap_err();
        assert_eq!(error.field.as_str(), "tokenizer.ggml.precompiled_charsmap");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let plain = |tokens: &[&[u8]]| model("gpt2").texts(TOKENS, tokens);
    let long = vec![b'a'; 3000];
    let scored = |scores: &[f32]| {
        let tokens: [&[u8]; 2] = [b"a", b"b"];
        model("llama")
            .texts(TOKENS, &tokens)
            .f32s("tokenizer.ggml.scores", scores)
    };
    let cases: Vec<(Kind, &str, GgufBuilder)> = vec![
        (
            Kind::FieldMissing,
            "tokenizer.ggml.model",
            GgufBuilder::new(),
        ),
        (
            Kind::FieldValue,
            "tokenizer.ggml.model",
            GgufBuilder::new().u32("tokenizer.ggml.model", 1),
        ),
        (Kind::TokenizerModel, "bert", model("bert")),
        (Kind::FieldMissing, TOKENS, model("gpt2")),
        (Kind::FieldValue, TOKENS, model("gpt2").i32s(TOKENS, &[1])),
        (Kind::FieldMissing, MERGES, plain(&[b"a"])),
        (Kind::FieldValue, MERGES, plain(&[b"a"]).i32s(MERGES, &[1])),
        (
            Kind::PreTokenizerUnknown,
            "viking",
            byte_level("viking", GOOD),
        ),
        (
            Kind::PieceBroken,
            TOKENS,
            plain(&[&long]).texts(MERGES, &[]),
        ),
        (
            Kind::PieceTwice,
            TOKENS,
            plain(&[b"a", b"b", b"a"]).texts(MERGES, &[]),
        ),
        (Kind::MergeBroken, MERGES, byte_level("gpt-2", &[b"ab"])),
        (Kind::MergeBroken, MERGES, byte_level("gpt-2", &[b"a "])),
        (
            Kind::MergePieceUnknown,
            MERGES,
            byte_level("gpt-2", &[b"a b", b"a c"]),
        ),
        (
            Kind::ArrayLen,
            "tokenizer.ggml.token_type",
            plain(&[b"a"]).i32s("tokenizer.ggml.token_type", &[1, 1]),
        ),
        (
            Kind::FieldValue,
            "tokenizer.ggml.token_type",
            plain(&[b"a"]).i32s("tokenizer.ggml.token_type", &[7]),
        ),
        (Kind::ArrayLen, "tokenizer.ggml.scores", scored(&[0.0])),
        (
            Kind::FieldValue,
            "tokenizer.ggml.scores",
            scored(&[0.0, f32::NAN]),
        ),
        (
            Kind::FieldValue,
            "tokenizer.ggml.bos_token_id",
            byte_level("gpt-2", GOOD).u32("tokenizer.ggml.bos_token_id", 7),
        ),
    ];
    for (kind, field, builder) in cases {
        let error = read(builder).unwrap_err();
        assert_eq!(
            (error.kind.clone(), error.field.as_str()),
            (kind, field),
            "{error}"
        );
        assert!(!error.to_string().contains('?') && !error.to_string().is_empty());
    }
}

#[test]
fn merges_that_cannot_be_are_refused_when_it_is_opened() {
    use cultivar_core::tokenizer::TokenizerErrorKind as Rule;
    for (rule, place, merges) in [
        (Rule::MergeRepeated, 1, &[&b"a b"[..], b"a b"][..]),
        (Rule::MergeUnknown, 1, &[b"a b", b"b a"]),
    ] {
        let record = read(byte_level("gpt-2", merges)).unwrap().record;
        let error = Tokenizer::new(record).map(drop).unwrap_err();
        assert_eq!((error.kind, error.id), (rule, place));
    }
}

#[test]
fn rows_without_tokens_become_unused_pieces() {
    let mut record = read(byte_level("gpt-2", GOOD)).unwrap().record;
    assert!(pad_to_rows(&mut record, 7).is_ok());
    assert_eq!(record.vocab_size(), 7);
    pad_to_rows(&mut record, 10).unwrap();
    assert_eq!(record.piece(9), Some((&b""[..], PieceType::Unused as u8)));
    assert!(Tokenizer::new(record.clone()).is_ok());
    let error = pad_to_rows(&mut record, 9).unwrap_err();
    assert_eq!(
        (error.kind.clone(), error.numbers),
        (Kind::SizesDisagree, [10, 9])
    );
}
