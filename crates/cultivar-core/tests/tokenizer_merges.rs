//! BPE by a list of merges: against a slow twin on random vocabularies, and on any bytes.

use cultivar_core::package::{RecordWriter, read_tokenizer, tokenizer_records};
use cultivar_core::tokenizer::{EncodeOptions, Tokenizer, TokenizerKind, TokenizerRecord};

const PLAIN: EncodeOptions = EncodeOptions {
    add_bos: Some(false),
    parse_special: false,
};

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

/// All 256 bytes, then joints of two random pieces, each with its merge in the order of its birth.
fn random_vocabulary(random: &mut Random, n_joints: usize) -> TokenizerRecord {
    let mut pieces: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).collect();
    let mut merges = Vec::new();
    while pieces.len() < 256 + n_joints {
        let mut part = || match random.below(4) {
            0 => b'a' as u64 + random.below(3),
            1 => b' ' as u64,
            2 => 0xC3,
            _ => random.below(pieces.len() as u64).max(97),
        };
        let (left, right) = (part() as usize, part() as usize);
        let whole = [&pieces[left][..], &pieces[right]].concat();
        if whole.len() <= 12 && !pieces.contains(&whole) {
            pieces.push(whole);
            merges.push((left as u32, right as u32));
        }
    }
    let mut record = TokenizerRecord::empty(TokenizerKind::ByteBpe);
    record.types = vec![1; pieces.len()];
    record.pieces = pieces.iter().map(Vec::as_slice).collect();
    record.merges = merges;
    record
}

/// The slow twin: before every join, every adjacent pair is looked at.
fn slow_ids(record: &TokenizerRecord, text: &str) -> Vec<u32> {
    let mut ids: Vec<u32> = text.bytes().map(u32::from).collect();
    loop {
        let rank = |pair: &[u32]| {
            let wanted = (pair[0], pair[1]);
            record.merges.iter().position(|merge| *merge == wanted)
        };
        let ranked = ids.windows(2).enumerate();
        let best = ranked
            .filter_map(|(at, pair)| Some((rank(pair)?, at)))
            .min();
        let Some((rank, at)) = best else { return ids };
        ids.splice(at..at + 2, [256 + rank as u32]);
    }
}

fn random_text(random: &mut Random, len: u64) -> String {
    (0..random.below(len))
        .filter_map(|_| match random.below(5) {
            0 => Some(' '),
            1 => char::from_u32(random.below(0x11_0000) as u32),
            2 => char::from_u32(0xC0 + random.below(0x40) as u32),
            _ => char::from_u32(b'a' as u32 + random.below(3) as u32),
        })
        .collect()
}

#[test]
fn merging_equals_the_slow_twin() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..20 {
        let record = random_vocabulary(&mut random, 200);
        let tokenizer = Tokenizer::new(record.clone()).unwrap();
        for _ in 0..50 {
            let text = random_text(&mut random, 60);
            let ids = tokenizer.ids(&text, PLAIN).unwrap();
            assert_eq!(ids, slow_ids(&record, &text), "{text:?}");
            assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        }
    }
}

#[test]
fn words_that_were_met_before_have_the_ids_they_had() {
    let mut random = Random(5);
    let mut record = random_vocabulary(&mut random, 200);
    record.pre_tokenizer = vec!["space_words".into()];
    let tokenizer = Tokenizer::new(record).unwrap();
    let words: Vec<String> = (0..300).map(|_| random_text(&mut random, 90)).collect();
    let mut text = String::new();
    for _ in 0..4000 {
        text.push_str(&words[random.below(300) as usize]);
        text.push(' ');
    }
    let mut expected = Vec::new();
    let first = text.find(' ').unwrap_or(0);
    expected.extend(tokenizer.ids(&text[..first], PLAIN).unwrap());
    for word in text[first..].split(' ').skip(1) {
        let word = format!(" {word}");
        expected.extend(tokenizer.ids(&word, PLAIN).unwrap());
    }
    assert_eq!(tokenizer.ids(&text, PLAIN).unwrap(), expected);
}

#[test]
fn special_pieces_take_white_space_along_where_they_are_told_to() {
    let mut record = TokenizerRecord::empty(TokenizerKind::ByteBpe);
    record.pieces = [&b"a"[..], b" ", b"\n", b"<x>", b"<y>"]
        .into_iter()
        .collect();
    record.types = vec![1, 1, 1, 3, 3];
    let options = EncodeOptions {
        add_bos: None,
        parse_special: true,
    };
    let text = " a \n<x>\n a <y> a<x>";
    let ids = |record: &TokenizerRecord| {
        let tokenizer = Tokenizer::new(record.clone()).unwrap();
        tokenizer.ids(text, options).unwrap()
    };
    assert_eq!(ids(&record), [1, 0, 1, 2, 3, 2, 1, 0, 1, 4, 1, 0, 3]);
    record.strip_right_ids = vec![3];
    assert_eq!(ids(&record), [1, 0, 1, 2, 3, 0, 1, 4, 1, 0, 3]);
    record.strip_left_ids = vec![3, 4];
    assert_eq!(ids(&record), [1, 0, 3, 0, 4, 1, 0, 3]);
    let bytes = tokenizer_records(&record).finish();
    assert_eq!(read_tokenizer(&bytes, 0, 5).unwrap(), record);
    record.strip_left_ids = vec![4, 3];
    assert!(Tokenizer::new(record.clone()).is_err());
    assert!(read_tokenizer(&tokenizer_records(&record).finish(), 0, 5).is_err());
}

#[test]
fn what_merges_cannot_reach_is_taken_whole_where_merges_are_ignored() {
    let mut record = TokenizerRecord::empty(TokenizerKind::ByteBpe);
    record.pieces = [&b"a"[..], b"b", b"ba"].into_iter().collect();
    record.types = vec![1; 3];
    let ids = |record: &TokenizerRecord| {
        let tokenizer = Tokenizer::new(record.clone()).unwrap();
        tokenizer.ids("ba", PLAIN).unwrap()
    };
    assert_eq!(ids(&record), [1, 0]);
    record.ignore_merges = true;
    assert_eq!(ids(&record), [2]);
}

#[test]
fn a_byte_without_a_piece_is_unknown_or_nothing() {
    let mut record = TokenizerRecord::empty(TokenizerKind::ByteBpe);
    record.pieces = [&b"a"[..], b"<unk>"].into_iter().collect();
    record.types = vec![1, 2];
    let ids = |record: &TokenizerRecord| {
        let tokenizer = Tokenizer::new(record.clone()).unwrap();
        tokenizer.ids("a\u{e9}a", PLAIN).unwrap()
    };
    assert_eq!(ids(&record), [0, 0]);
    record.unk_id = Some(1);
    assert_eq!(ids(&record), [0, 1, 1, 0]);
}

#[test]
fn characters_without_a_piece_are_spelt() {
    let mut record = TokenizerRecord::empty(TokenizerKind::CharBpe);
    for byte in 0..=255u8 {
        assert!(record.pieces.push(&[byte]));
        record.types.push(6);
    }
    for piece in ["a", "\u{e9}", " ", "a\u{e9}", " a\u{e9}"] {
        assert!(record.pieces.push(piece.as_bytes()));
        record.types.push(1);
    }
    record.merges = vec![(256, 257), (258, 259)];
    let tokenizer = Tokenizer::new(record).unwrap();
    let ids = tokenizer.ids(" a\u{e9}\u{2581}b\u{e8}", PLAIN).unwrap();
    assert_eq!(ids, [260, 258, 98, 0xC3, 0xA8], "U+2581 means a space");
    assert_eq!(tokenizer.decode(&ids).unwrap(), " a\u{e9} b\u{e8}");
}

#[test]
fn a_long_word_of_one_letter_is_encoded() {
    let mut record = random_vocabulary(&mut Random(7), 100);
    record.pre_tokenizer = vec!["gpt2_words".into()];
    let tokenizer = Tokenizer::new(record).unwrap();
    let text = "a".repeat(300_000);
    let ids = tokenizer.ids(&text, PLAIN).unwrap();
    assert_eq!(tokenizer.decode(&ids).unwrap(), text);
}

#[test]
fn a_section_with_merges_round_trips_and_unknown_steps_are_named() {
    let mut record = random_vocabulary(&mut Random(3), 20);
    record.normalizer = vec!["nfc".into()];
    record.pre_tokenizer = vec!["numbers".into(), "gpt2_words".into()];
    record.ignore_merges = true;
    let bytes = tokenizer_records(&record).finish();
    let read = read_tokenizer(&bytes, 0, record.vocab_size()).unwrap();
    assert_eq!(read, record);
    assert_eq!(tokenizer_records(&read).finish(), bytes);
    for (key, step) in [
        ("normalizer", "nfx"),
        ("pre_tokenizer", "gpt9_words"),
        ("decoder", "fuse"),
    ] {
        let mut writer: RecordWriter = tokenizer_records(&record);
        writer.text_list(key, [step].into_iter());
        let error = read_tokenizer(&writer.finish(), 0, record.vocab_size()).unwrap_err();
        assert!(error.to_string().contains(step), "{error}");
    }
}

#[test]
fn any_bytes_are_read_or_refused() {
    let mut random = Random(11);
    let record = random_vocabulary(&mut random, 10);
    let good = tokenizer_records(&record).finish();
    for _ in 0..3000 {
        let mut bytes = good.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        }
        if let Ok(record) = read_tokenizer(&bytes, 0, record.vocab_size())
            && let Ok(tokenizer) = Tokenizer::new(record)
        {
            let text = random_text(&mut random, 30);
            let ids = tokenizer.ids(&text, PLAIN).unwrap();
            assert!(tokenizer.decode(&ids).is_ok());
        }
    }
}
