//! Streaming decode: whatever the ids and wherever they split characters, pushing one by one gives
//! the text of decoding all bytes at once, and only whole characters on the way.

use cultivar_core::tokenizer::{
    EncodeOptions, PIECE_TEXT_BYTES_MAX, PieceType, StreamDecoder, Tokenizer, TokenizerErrorKind,
    TokenizerKind, TokenizerRecord,
};

fn bytes_tokenizer() -> Tokenizer {
    Tokenizer::new(TokenizerRecord::plain_bytes()).unwrap()
}

fn stream(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut decoder = StreamDecoder::new();
    let mut text = String::new();
    for &id in ids {
        let before = text.len();
        decoder.push(tokenizer, id, &mut text);
        assert!(text.len() - before <= PIECE_TEXT_BYTES_MAX);
    }
    decoder.finish(&mut text);
    text
}

#[test]
fn any_bytes_decode_as_lossy_utf8_does() {
    let tokenizer = bytes_tokenizer();
    // Bytes at the corners of UTF-8's table, in all orders that a counter visits.
    let corners = [
        0x00, 0x20, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xe2,
        0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff,
    ];
    let mut state = 1u64;
    for round in 0..20_000 {
        let n = round % 9;
        let bytes: Vec<u8> = (0..n)
            .map(|_| {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                corners[(state >> 33) as usize % corners.len()]
            })
            .collect();
        let ids: Vec<u32> = bytes.iter().map(|byte| u32::from(*byte)).collect();
        assert_eq!(
            stream(&tokenizer, &ids),
            String::from_utf8_lossy(&bytes),
            "{bytes:x?}"
        );
    }
}

#[test]
fn bytes_round_trip_any_text() {
    let tokenizer = bytes_tokenizer();
    for text in [
        "",
        " ",
        "plain",
        "é漢🦀\u{10ffff}\0",
        "</s>",
        " \u{2581}\r\n",
    ] {
        let ids = tokenizer.ids(text, EncodeOptions::default()).unwrap();
        assert_eq!(ids.first(), Some(&256));
        assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        assert_eq!(stream(&tokenizer, &ids), text);
    }
    let options = EncodeOptions {
        add_bos: Some(false),
        parse_special: true,
    };
    let ids = tokenizer.ids("a</s>b", options).unwrap();
    assert_eq!(ids, [97, 257, 98]);
    assert_eq!(tokenizer.decode(&ids).unwrap(), "ab");
    assert!(tokenizer.is_stop(257) && !tokenizer.is_stop(256) && !tokenizer.is_stop(97));
}

#[test]
fn ids_outside_are_refused_whole_and_replaced_in_a_stream() {
    let tokenizer = bytes_tokenizer();
    let error = tokenizer.decode(&[97, 258]).unwrap_err();
    assert_eq!((error.kind, error.id), (TokenizerErrorKind::IdRange, 258));
    assert_eq!(
        stream(&tokenizer, &[97, 258, u32::MAX, 98]),
        "a\u{FFFD}\u{FFFD}b"
    );
    let mut record = TokenizerRecord::plain_bytes();
    (record.bos_id, record.add_bos) = (None, false);
    let tokenizer = Tokenizer::new(record).unwrap();
    let mut out = vec![7];
    let options = EncodeOptions {
        add_bos: Some(true),
        parse_special: false,
    };
    let error = tokenizer.encode("a", options, &mut out).unwrap_err();
    assert_eq!((error.kind, out), (TokenizerErrorKind::BosMissing, vec![7]));
}

#[test]
fn one_leading_space_is_dropped_at_the_start_and_after_a_begin_marker_only() {
    let mut record = TokenizerRecord::empty(TokenizerKind::SentencePieceBpe);
    record.pieces = [&b"<unk>"[..], b"<s>", b"</s>", b" a", b" ", b"b"]
        .into_iter()
        .collect();
    let control = PieceType::Control as u8;
    record.types = vec![PieceType::Unknown as u8, control, control, 1, 1, 1];
    record.scores = vec![0.0; 6];
    (record.bos_id, record.unk_id) = (Some(1), Some(0));
    record.remove_leading_space = true;
    let tokenizer = Tokenizer::new(record.clone()).unwrap();
    let cases: [(&[u32], &str); 7] = [
        (&[3, 3], "a a"),
        (&[1, 3, 3], "a a"),
        (&[4, 4, 5], " b"),
        (&[5, 3], "b a"),
        (&[1, 3, 1, 3], "aa"),
        (&[1, 3, 2, 3], "a a"),
        (&[0, 3], "\u{FFFD} a"),
    ];
    for (ids, text) in cases {
        assert_eq!(tokenizer.decode(ids).unwrap(), text, "{ids:?}");
    }
    record.remove_leading_space = false;
    let tokenizer = Tokenizer::new(record).unwrap();
    assert_eq!(tokenizer.decode(&[1, 3, 3]).unwrap(), " a a");
}
