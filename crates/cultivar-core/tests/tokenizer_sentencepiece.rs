//! SentencePiece BPE against its slow twin: look at every pair, join the best, start again.
//!
//! Vocabularies and texts are made from seeds; every difference is reproducible. The splitting at
//! spaces and the heap must never show in the ids.

use cultivar_core::tokenizer::{
    EncodeOptions, PieceType, Pieces, Tokenizer, TokenizerKind, TokenizerRecord,
};

/// A small generator for test inputs (xorshift64*, Vigna 2016).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }

    fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }

    fn text(&mut self, letters: &[&str], n: usize) -> String {
        (0..n).map(|_| self.pick(letters)).collect()
    }
}

const LETTERS: [&str; 9] = ["a", "b", "c", " ", "é", "漢", "🦀", "\n", "d"];

fn add(record: &mut TokenizerRecord, piece: &[u8], score: f32, kind: PieceType) {
    assert!(record.pieces.push(piece));
    record.scores.push(score);
    record.types.push(kind as u8);
}

/// Unknown, begin, end, the 256 bytes, then random pieces of random scores with many ties.
fn random_record(seed: u64, crosses_spaces: bool, with_unused: bool) -> TokenizerRecord {
    let mut seeded = Seeded(seed * 2 + 1);
    let mut record = TokenizerRecord::empty(TokenizerKind::SentencePieceBpe);
    add(&mut record, b"<unk>", 0.0, PieceType::Unknown);
    add(&mut record, b"<s>", 0.0, PieceType::Control);
    add(&mut record, b"</s>", 0.0, PieceType::Control);
    for byte in 0..=255u8 {
        add(&mut record, &[byte], 0.0, PieceType::Byte);
    }
    let mut known: Vec<String> = Vec::new();
    for _ in 0..120 {
        let n = 1 + seeded.below(4);
        let mut piece = if n == 1 || known.len() < 8 {
            seeded.text(&LETTERS[..8], n)
        } else {
            // Joining known pieces makes deep merges likely.
            let left = known[seeded.below(known.len())].clone();
            left + &known[seeded.below(known.len())]
        };
        if !crosses_spaces {
            let n_spaces = piece.len() - piece.trim_start_matches(' ').len();
            piece = " ".repeat(n_spaces) + &piece.replace(' ', "");
        }
        if piece.is_empty() || piece.len() > 24 || known.contains(&piece) {
            continue;
        }
        let score = -(seeded.below(40) as f32) / 4.0;
        let unused = with_unused && seeded.below(5) == 0;
        let kind = if unused {
            PieceType::Unused
        } else {
            PieceType::Normal
        };
        add(&mut record, piece.as_bytes(), score, kind);
        known.push(piece);
    }
    record.bos_id = Some(1);
    record.eos_ids = vec![2];
    record.unk_id = Some(0);
    record
}

/// The specification: one list of symbols, every pair looked at before every join.
fn slow_ids(record: &TokenizerRecord, text: &str) -> Vec<u32> {
    let find = |piece: &str| {
        let text_types = [PieceType::Normal as u8, PieceType::Unused as u8];
        let is_it = |id: &usize| {
            record.pieces.get(*id) == Some(piece.as_bytes())
                && text_types.contains(&record.types[*id])
        };
        (0..record.pieces.len()).find(is_it)
    };
    let mut symbols: Vec<(String, Vec<String>)> = text
        .chars()
        .map(|c| (c.to_string(), vec![c.to_string()]))
        .collect();
    loop {
        let mut best: Option<(f32, usize)> = None;
        for idx in 1..symbols.len() {
            let joined = symbols[idx - 1].0.clone() + &symbols[idx].0;
            if let Some(id) = find(&joined) {
                let score = record.scores[id];
                if best.is_none_or(|(best_score, _)| score > best_score) {
                    best = Some((score, idx));
                }
            }
        }
        let Some((_, idx)) = best else { break };
        let (right, right_parts) = symbols.remove(idx);
        let (left, left_parts) = symbols[idx - 1].clone();
        let joined = left + &right;
        let unused = find(&joined).is_some_and(|id| record.types[id] == PieceType::Unused as u8);
        let parts = if unused {
            [left_parts, right_parts].concat()
        } else {
            vec![joined.clone()]
        };
        symbols[idx - 1] = (joined, parts);
    }
    let mut ids = Vec::new();
    for part in symbols.into_iter().flat_map(|(_, parts)| parts) {
        match find(&part) {
            Some(id) if record.types[id] == PieceType::Normal as u8 => ids.push(id as u32),
            _ => ids.extend(part.bytes().map(|byte| 3 + u32::from(byte))),
        }
    }
    ids
}

fn check_against_slow_twin(crosses_spaces: bool, with_unused: bool) {
    let plain = EncodeOptions {
        add_bos: Some(false),
        parse_special: false,
    };
    for seed in 0..60 {
        let record = random_record(seed, crosses_spaces, with_unused);
        let tokenizer = Tokenizer::new(record.clone()).unwrap();
        let mut seeded = Seeded(seed * 7 + 3);
        for n in 0..34 {
            let text = seeded.text(&LETTERS, n);
            let ids = tokenizer.ids(&text, plain).unwrap();
            assert_eq!(ids, slow_ids(&record, &text), "seed {seed}, text {text:?}");
            assert_eq!(tokenizer.decode(&ids).unwrap(), text, "seed {seed}");
        }
    }
}

#[test]
fn ids_equal_the_slow_twin_with_words() {
    check_against_slow_twin(false, false);
}

#[test]
fn ids_equal_the_slow_twin_across_spaces() {
    check_against_slow_twin(true, false);
}

#[test]
fn ids_equal_the_slow_twin_with_unused_pieces() {
    check_against_slow_twin(false, true);
    check_against_slow_twin(true, true);
}

#[test]
fn unknown_characters_of_a_run_become_one_unknown_id() {
    let mut record = TokenizerRecord::empty(TokenizerKind::SentencePieceBpe);
    record.pieces = [&b"<unk>"[..], b"a"].into_iter().collect::<Pieces>();
    record.scores = vec![0.0; 2];
    record.types = vec![PieceType::Unknown as u8, PieceType::Normal as u8];
    record.unk_id = Some(0);
    let tokenizer = Tokenizer::new(record).unwrap();
    let ids = tokenizer.ids("a漢漢a🦀", EncodeOptions::default()).unwrap();
    assert_eq!(ids, [1, 0, 1, 0]);
    assert_eq!(tokenizer.decode(&ids).unwrap(), "a\u{FFFD}a\u{FFFD}");
}

#[test]
fn prefix_space_mark_and_markers() {
    let mut record = random_record(1, false, false);
    record.add_space_prefix = true;
    record.remove_leading_space = true;
    record.add_bos = true;
    add(&mut record, b"  ", 1.0, PieceType::Normal);
    let added = record.vocab_size() as u32;
    add(&mut record, b"<turn>", 0.0, PieceType::User);
    add(&mut record, b"<turn", 0.0, PieceType::Control);
    let tokenizer = Tokenizer::new(record.clone()).unwrap();
    let ids = |text: &str, parse_special: bool| {
        tokenizer
            .ids(
                text,
                EncodeOptions {
                    add_bos: None,
                    parse_special,
                },
            )
            .unwrap()
    };
    // The prefix is one space; the mark means a space; nothing is added to an empty text.
    assert_eq!(ids("", false), [1]);
    assert_eq!(ids("a", false)[1..], slow_ids(&record, " a"));
    assert_eq!(ids("a\u{2581}b", false), ids("a b", false));
    assert_eq!(tokenizer.decode(&ids(" a", false)).unwrap(), " a");
    // Markers are characters unless asked for; the author's pieces are always found.
    assert!(!ids("x</s>", false).contains(&2));
    assert_eq!(ids("</s><s>", true), [1, 2, 1]);
    assert_eq!(ids("<turn>", false), [1, added]);
    assert_eq!(ids("<turn><turn", true), [1, added, added + 1]);
    assert!(!ids("<turn", false).contains(&(added + 1)));
    let around = ids("a<turn>a", false);
    assert_eq!(
        around[1..],
        [
            slow_ids(&record, " a"),
            vec![added],
            slow_ids(&record, " a")
        ]
        .concat()
    );
}

#[test]
fn a_megabyte_takes_no_quadratic_time() {
    let record = random_record(5, true, false);
    let tokenizer = Tokenizer::new(record).unwrap();
    for text in [
        "a".repeat(1 << 20),
        "ab c".repeat(1 << 18),
        "<".repeat(1 << 20),
    ] {
        let mut ids = Vec::new();
        tokenizer
            .encode(&text, EncodeOptions::default(), &mut ids)
            .unwrap();
        assert_eq!(tokenizer.decode(&ids).unwrap(), text);
    }
}

#[test]
fn sums_in_single_precision_tell_equal_cuts_apart_as_sentencepiece_does() {
    // Scores of a trained vocabulary, and what SentencePiece and the sum in f64 make of the text.
    let mut record = TokenizerRecord::empty(TokenizerKind::Unigram);
    add(&mut record, b"<unk>", 0.0, PieceType::Unknown);
    record.unk_id = Some(0);
    for (piece, score) in [
        (" V", -9.848_983),
        ("V", -8.791_338),
        ("II", -9.865_394),
        ("I", -9.879_847),
    ] {
        add(&mut record, piece.as_bytes(), score, PieceType::Normal);
    }
    for (sums_f32, expected) in [(true, [1, 2, 2, 3, 4]), (false, [1, 2, 2, 4, 3])] {
        record.sums_f32 = sums_f32;
        let tokenizer = Tokenizer::new(record.clone()).unwrap();
        let ids = tokenizer.ids(" VVVIII", EncodeOptions::default()).unwrap();
        assert_eq!(ids, expected, "{sums_f32}");
    }
    let mut other = random_record(1, false, false);
    other.sums_f32 = true;
    assert!(Tokenizer::new(other).is_err());
}
