//! Compiled grammars as bytes: each rule of the layout broken, and whatever is accepted matched.

use super::tests::tokenizer;
use super::*;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Where the counts of rules, sets, kinds and elements stand.
const COUNTS_AT: usize = 8 + 4 + 32;

/// Where the kinds of bytes stand.
const KINDS_AT: usize = COUNTS_AT + 16;

/// Three sets of four kinds, rules 0 to 2.
const TEXT: &str = "root ::= \"a\" pair | [ab]\npair ::= \"c\" tail\ntail ::= \"a\" | root";

fn compiled(text: &str) -> Vec<u8> {
    GrammarSource::Gbnf(text.into()).compile().unwrap()
}

fn refusal(bytes: &[u8]) -> GrammarErrorKind {
    let error = Grammar::read(bytes).unwrap_err();
    assert!((646..=649).contains(&error.code()) && !error.to_string().is_empty());
    error.kind
}

fn with_word(bytes: &[u8], at: usize, word: u32) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[at..at + 4].copy_from_slice(&word.to_le_bytes());
    changed
}

#[test]
fn every_rule_of_the_layout_is_checked() {
    use GrammarErrorKind as Kind;
    let bytes = compiled(TEXT);
    let word = |i: usize| {
        let at = COUNTS_AT + 4 * i;
        u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize
    };
    assert_eq!((word(0), word(1), word(2)), (3, 3, 4));
    let sets_at = KINDS_AT + 256;
    let alternatives_at = sets_at + word(1);
    let elements_at = alternatives_at + 4 * word(0);
    assert_eq!(bytes.len(), elements_at + 4 * word(3));
    assert_eq!(refusal(b""), Kind::NotATable);
    assert_eq!(refusal(b"CVSNAP\r\n"), Kind::NotATable);
    assert_eq!(refusal(&with_word(&bytes, 8, 2)), Kind::TableVersion(2));
    for (i, wrong) in [
        (0, 0),
        (0, 1 << 15 | 1),
        (1, 1 << 16 | 1),
        (2, 0),
        (2, 257),
        (3, 0),
        (3, 1 << 16 | 1),
    ] {
        let at = COUNTS_AT + 4 * i;
        let kind = refusal(&with_word(&bytes, at, wrong));
        assert_eq!(kind, Kind::TableCount(at as u32));
    }
    let damaged = |at: usize, word: u32| {
        let kind = refusal(&with_word(&bytes, at, word));
        assert!(
            matches!(kind, Kind::TableDamaged(_)),
            "{at} {word}: {kind:?}"
        );
    };
    // Kinds by first use, sets without bits behind the last kind.
    damaged(KINDS_AT, 1);
    damaged(KINDS_AT + 0x60, u32::from_le_bytes([0, 2, 1, 3]));
    damaged(COUNTS_AT + 8, 3);
    damaged(COUNTS_AT + 8, 5);
    damaged(sets_at, 0x10);
    // Alternatives: none, too many, too few.
    damaged(alternatives_at, 0);
    damaged(alternatives_at, 3);
    damaged(alternatives_at, u32::MAX);
    damaged(alternatives_at + 8, 1);
    // Elements: a set or rule that is not there, or comes before its turn; no end.
    damaged(elements_at, 7);
    damaged(elements_at, 2);
    damaged(elements_at, u32::MAX);
    damaged(elements_at + 4, 6);
    damaged(bytes.len() - 4, 1);
    // A rule that nothing uses.
    damaged(elements_at + 4, 4);
}

#[test]
fn truncated_and_longer_tables_are_refused() {
    let mut bytes = compiled(TEXT);
    for len in 0..bytes.len() {
        refusal(&bytes[..len]);
    }
    bytes.push(0);
    let at = bytes.len() as u32 - 1;
    assert_eq!(refusal(&bytes), GrammarErrorKind::TableDamaged(at));
}

#[test]
fn whatever_is_accepted_is_matched_in_bounded_time() {
    let trie = Arc::new(TokenTrie::new(&tokenizer()).unwrap());
    let bytes = compiled(TEXT);
    let mut n_accepted = 0;
    for at in 8 * COUNTS_AT..8 * bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        let Ok(grammar) = Grammar::read(&flipped) else {
            continue;
        };
        n_accepted += 1;
        // Also rules that begin with themselves, which no compiler lets through.
        let Ok(mut matcher) = Matcher::new(Arc::new(grammar), trie.clone()) else {
            continue;
        };
        for byte in b"acaacb" {
            let _ = matcher.mask().map(<[u64]>::len);
            let _ = matcher.accept_bytes(&[*byte]);
        }
    }
    assert!(n_accepted > 20, "{n_accepted}");
}

#[test]
fn a_rule_that_begins_with_itself_ends_as_too_ambiguous() {
    let trie = Arc::new(TokenTrie::new(&tokenizer()).unwrap());
    // root ::= root "a" | "a", written by hand over root ::= "b"? "a" | "a".
    let mut bytes = compiled("root ::= \"a\" | \"a\" root");
    let n = bytes.len();
    let elements: [u32; 5] = [2, 1, 0, 1, 0];
    for (i, word) in elements.iter().enumerate() {
        bytes = with_word(&bytes, n - 20 + 4 * i, *word);
    }
    let grammar = Arc::new(Grammar::read(&bytes).unwrap());
    let error = Matcher::new(grammar, trie).err().unwrap();
    assert_eq!(error.kind, GrammarErrorKind::TooAmbiguous);
}

#[test]
fn equal_sources_are_equal_bytes_and_name_their_text() {
    let json = GrammarSource::Json;
    assert_eq!(json.compile(), json.compile());
    assert_eq!(json.grammar().unwrap().source(), json.digest());
    // What nothing uses is left out; the text still tells them apart.
    let (a, b) = (
        compiled("root ::= \"a\""),
        compiled("root ::= \"a\" x?\nx ::= [b] x"),
    );
    assert_eq!(a.len(), b.len() - 4 - 8);
    let c = compiled("root ::= \"a\"\nother ::= \"b\"");
    assert_eq!(a[COUNTS_AT..], c[COUNTS_AT..]);
    assert_ne!(a, c);
    let text = String::from("root ::= \"a\"");
    let named = Grammar::read(&a).unwrap().source();
    assert_eq!(named, GrammarSource::Gbnf(text).digest());
}
