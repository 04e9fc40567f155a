//! Every rule of a tokenizer record has a record that breaks it, and is refused by its own error.

use cultivar_core::tokenizer::TokenizerErrorKind as Kind;
use cultivar_core::tokenizer::{
    PIECE_BYTES_MAX, PieceType, Pieces, Tokenizer, TokenizerError, TokenizerKind, TokenizerRecord,
    VOCAB_SIZE_MAX,
};

/// Ids: 0 unknown, 1 begin, 2 end, 3 "a", 4 "b", 5 "ab", then the 256 bytes.
fn good() -> TokenizerRecord {
    let mut record = TokenizerRecord::empty(TokenizerKind::SentencePieceBpe);
    let named = [&b"<unk>"[..], b"<s>", b"</s>", b"a", b"b", b"ab"];
    record.pieces = named.into_iter().collect();
    record.types = vec![2, 3, 3, 1, 1, 1];
    for byte in 0..=255u8 {
        assert!(record.pieces.push(&[byte]));
        record.types.push(PieceType::Byte as u8);
    }
    record.scores = vec![0.0; record.pieces.len()];
    record.bos_id = Some(1);
    record.eos_ids = vec![2];
    record
}

/// The record with piece `id` replaced.
fn with_piece(id: usize, piece: &[u8], kind: PieceType) -> TokenizerRecord {
    let mut record = good();
    let pieces: Vec<Vec<u8>> = record.pieces.iter().map(<[u8]>::to_vec).collect();
    record.pieces = pieces
        .iter()
        .enumerate()
        .map(|(idx, old)| if idx == id { piece } else { old.as_slice() })
        .collect::<Pieces>();
    record.types[id] = kind as u8;
    record
}

fn changed(change: impl FnOnce(&mut TokenizerRecord)) -> TokenizerRecord {
    let mut record = good();
    change(&mut record);
    record
}

/// The same with this list for the step `map`, and this normalizer step.
fn with_map(record: &mut TokenizerRecord, pairs: &[(&str, &str)], step: &str) {
    record.map_from = pairs.iter().map(|(from, _)| from.as_bytes()).collect();
    record.map_to = pairs.iter().map(|(_, to)| to.as_bytes()).collect();
    if !step.is_empty() {
        record.normalizer.push(step.into());
    }
}

#[test]
fn every_broken_rule_is_named() {
    let long = vec![b'x'; PIECE_BYTES_MAX + 1];
    let cases: Vec<(Kind, u32, TokenizerRecord)> = vec![
        (
            Kind::VocabSize,
            0,
            TokenizerRecord::empty(TokenizerKind::SentencePieceBpe),
        ),
        (Kind::ScoreCount, 0, changed(|r| r.scores.truncate(9))),
        (Kind::ScoreCount, 0, changed(|r| r.scores.push(0.0))),
        (Kind::TypeCount, 0, changed(|r| r.types.truncate(9))),
        (Kind::PieceType, 4, changed(|r| r.types[4] = 0)),
        (Kind::PieceType, 4, changed(|r| r.types[4] = 7)),
        (Kind::ScoreNotFinite, 5, changed(|r| r.scores[5] = f32::NAN)),
        (
            Kind::ScoreNotFinite,
            3,
            changed(|r| r.scores[3] = f32::NEG_INFINITY),
        ),
        (Kind::PieceEmpty, 3, with_piece(3, b"", PieceType::Normal)),
        (
            Kind::PieceTooLong,
            3,
            with_piece(3, &long, PieceType::Normal),
        ),
        (
            Kind::BytePieceLen,
            6,
            with_piece(6, b"<0x00>", PieceType::Byte),
        ),
        (
            Kind::PieceRepeated,
            5,
            with_piece(5, b"a", PieceType::Normal),
        ),
        (Kind::PieceRepeated, 5, with_piece(5, b"a", PieceType::User)),
        (
            Kind::PieceRepeated,
            2,
            with_piece(2, b"<s>", PieceType::Control),
        ),
        (Kind::PieceRepeated, 7, with_piece(7, &[0], PieceType::Byte)),
        (
            Kind::BytePieceMissing,
            1,
            with_piece(7, b"x", PieceType::Normal),
        ),
        (Kind::SpecialIdRange, 262, changed(|r| r.bos_id = Some(262))),
        (Kind::SpecialIdRange, 999, changed(|r| r.eos_ids.push(999))),
        (Kind::SpecialIdRange, 900, changed(|r| r.unk_id = Some(900))),
        (
            Kind::SpecialIdRange,
            u32::MAX,
            changed(|r| r.pad_id = Some(u32::MAX)),
        ),
        (Kind::EosOrder, 2, changed(|r| r.eos_ids.push(2))),
        (Kind::EosOrder, 1, changed(|r| r.eos_ids.push(1))),
        (
            Kind::BosMissing,
            0,
            changed(|r| (r.bos_id, r.add_bos) = (None, true)),
        ),
        (
            Kind::MapBroken,
            0,
            changed(|r| with_map(r, &[("a", "b")], "")),
        ),
        (Kind::MergesUnused, 0, changed(|r| r.merges.push((3, 4)))),
        (
            Kind::StepUnknown,
            0,
            changed(|r| r.normalizer.push("nfx".into())),
        ),
        (
            Kind::StepUnknown,
            0,
            changed(|r| r.pre_tokenizer.push("digits".into())),
        ),
        (
            Kind::StepUnknown,
            0,
            changed(|r| r.decoder.push("strip".into())),
        ),
    ];
    assert!(Tokenizer::new(good()).is_ok());
    assert_refused(cases);
}

fn assert_refused(cases: Vec<(Kind, u32, TokenizerRecord)>) {
    for (kind, id, record) in cases {
        let error = Tokenizer::new(record).map(drop).unwrap_err();
        assert_eq!(error, TokenizerError::new(kind, id), "{error}");
        assert!((300..350).contains(&error.code()));
        assert!(error.to_string().starts_with("tokenizer: "));
    }
}

#[test]
fn a_broken_list_of_replacements_is_named() {
    assert_refused(vec![
        (Kind::MapBroken, 0, changed(|r| with_map(r, &[], "map"))),
        (
            Kind::MapBroken,
            0,
            changed(|r| with_map(r, &[("", "b")], "map")),
        ),
        (
            Kind::MapBroken,
            1,
            changed(|r| with_map(r, &[("b", ""), ("a", "")], "map")),
        ),
        (
            Kind::MapBroken,
            1,
            changed(|r| with_map(r, &[("b", ""), ("b", "a")], "map")),
        ),
        (
            Kind::MapBroken,
            0,
            changed(|r| {
                with_map(r, &[], "map");
                assert!(r.map_from.push(b"a"));
            }),
        ),
        (
            Kind::MapBroken,
            0,
            changed(|r| {
                with_map(r, &[], "map");
                assert!(r.map_from.push(b"a") && r.map_to.push(&[0xFF]));
            }),
        ),
    ]);
}

#[test]
fn no_bytes_and_no_unknown_id_is_refused() {
    let mut record = TokenizerRecord::empty(TokenizerKind::SentencePieceBpe);
    record.pieces = [&b"a"[..]].into_iter().collect();
    record.types = vec![1];
    record.scores = vec![0.0];
    let error = Tokenizer::new(record).map(drop).unwrap_err();
    assert_eq!(error, TokenizerError::new(Kind::BytePieceMissing, 0));
}

#[test]
fn unused_pieces_may_repeat() {
    assert!(Tokenizer::new(with_piece(5, b"a", PieceType::Unused)).is_ok());
    assert!(Tokenizer::new(with_piece(5, b"", PieceType::Unused)).is_ok());
}

/// Ids: 0 "a", 1 "b", 2 "ab", 3 "c".
fn with_merges(kind: TokenizerKind, merges: &[(u32, u32)]) -> TokenizerRecord {
    let mut record = TokenizerRecord::empty(kind);
    record.pieces = [&b"a"[..], b"b", b"ab", b"c"].into_iter().collect();
    record.types = vec![1; 4];
    record.merges = merges.to_vec();
    record.unk_id = (kind == TokenizerKind::CharBpe).then_some(3);
    record
}

#[test]
fn records_with_merges_keep_their_rules() {
    for kind in [TokenizerKind::ByteBpe, TokenizerKind::CharBpe] {
        let good = with_merges(kind, &[(0, 1)]);
        assert!(Tokenizer::new(good.clone()).is_ok());
        let mut scored = good.clone();
        scored.scores = vec![0.0; 4];
        let mut typed = good.clone();
        typed.types[2] = 3;
        let mut normalized = good.clone();
        normalized.normalizer = vec!["nfc".into(), "nfx".into()];
        let mut split = good.clone();
        split.normalizer = vec!["nfc".into()];
        split.pre_tokenizer = vec!["gpt2_words".into(), "gpt3_words".into()];
        let mut decoded = good.clone();
        decoded.decoder = vec!["fuse".into()];
        for (rule, id, record) in [
            (Kind::ScoreCount, 0, scored),
            (Kind::MergeUnknown, 0, typed),
            (Kind::StepUnknown, 1, normalized),
            (Kind::StepUnknown, 2, split),
            (Kind::StepUnknown, 0, decoded),
            (Kind::MergePart, 1, with_merges(kind, &[(0, 1), (0, 9)])),
            (Kind::MergePart, 0, with_merges(kind, &[(u32::MAX, 1)])),
            (Kind::MergeRepeated, 1, with_merges(kind, &[(0, 1), (0, 1)])),
            (Kind::MergeUnknown, 0, with_merges(kind, &[(1, 0)])),
        ] {
            let error = Tokenizer::new(record).map(drop).unwrap_err();
            assert_eq!(error, TokenizerError::new(rule, id), "{error}");
            assert!((300..350).contains(&error.code()));
            assert!(error.to_string().starts_with("tokenizer: "));
        }
    }
    let mut byte = with_merges(TokenizerKind::ByteBpe, &[]);
    byte.types[0] = PieceType::Byte as u8;
    let error = Tokenizer::new(byte).map(drop).unwrap_err();
    assert_eq!(error, TokenizerError::new(Kind::PieceType, 0));
    let mut ignoring = good();
    ignoring.ignore_merges = true;
    let error = Tokenizer::new(ignoring).map(drop).unwrap_err();
    assert_eq!(error, TokenizerError::new(Kind::MergesUnused, 0));
}

#[test]
fn bytes_records_keep_their_rules() {
    let plain = TokenizerRecord::plain_bytes();
    assert!(Tokenizer::new(plain.clone()).is_ok());
    let bare = TokenizerRecord::empty(TokenizerKind::Bytes);
    assert_eq!(Tokenizer::new(bare).unwrap().vocab_size(), 256);

    let mut scored = plain.clone();
    scored.scores = vec![0.0; 2];
    assert_eq!(
        Tokenizer::new(scored).map(drop).unwrap_err().kind,
        Kind::ScoreCount
    );
    let mut typed = plain.clone();
    typed.types[1] = PieceType::Normal as u8;
    let error = Tokenizer::new(typed).map(drop).unwrap_err();
    assert_eq!(error, TokenizerError::new(Kind::PieceType, 257));
    let mut large = plain;
    large.pieces = vec![&b"x"[..]; VOCAB_SIZE_MAX].into_iter().collect();
    assert_eq!(
        Tokenizer::new(large).map(drop).unwrap_err().kind,
        Kind::VocabSize
    );
}
