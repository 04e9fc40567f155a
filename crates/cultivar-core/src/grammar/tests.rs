//! Grammars against a slow twin: stacks as plain lists, every token byte by byte, nothing kept.

use super::table::Element;
use super::*;
use crate::json;
use crate::tokenizer::{PieceType, Tokenizer, TokenizerKind, TokenizerRecord};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A small generator for test inputs (xorshift64*, Vigna 2016).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }
}

/// Unknown, begin, end, the bytes, and pieces such as JSON is made of.
pub(super) fn tokenizer() -> Tokenizer {
    let mut record = TokenizerRecord::empty(TokenizerKind::SentencePieceBpe);
    let mut add = |piece: &[u8], kind: PieceType| {
        assert!(record.pieces.push(piece));
        record.scores.push(0.0);
        record.types.push(kind as u8);
    };
    add(b"<unk>", PieceType::Unknown);
    add(b"<s>", PieceType::Control);
    add(b"</s>", PieceType::Control);
    (0..=255u8).for_each(|byte| add(&[byte], PieceType::Byte));
    let parts = [
        "{\"", "\":", ": ", "\", \"", "\"}", "],", "[1", "true", "false", "null", "12", "3.5",
        "name", "age", "é", "漢字", "🦀", "\\u00", "\\n", "  ", "\n", "}, {", "ab", "abc", "a",
    ];
    let mut seeded = Seeded(5);
    let mut known: Vec<String> = Vec::new();
    for i in 0..400 {
        let mut piece = String::from(parts[i % parts.len()]);
        if i >= parts.len() {
            piece += parts[seeded.below(parts.len())];
        }
        if !known.contains(&piece) && piece.len() > 1 {
            add(piece.as_bytes(), PieceType::Normal);
            known.push(piece);
        }
    }
    record.eos_ids = Vec::from([2]);
    Tokenizer::new(record).unwrap()
}

/// The twin: every stack that waits for a byte, as a list of places, the top last.
fn open(grammar: &Grammar, stack: Vec<u32>, seen: &mut Vec<Vec<u32>>, out: &mut Vec<Vec<u32>>) {
    if seen.contains(&stack) {
        return;
    }
    seen.push(stack.clone());
    let Some((&place, below)) = stack.split_last() else {
        out.push(stack);
        return;
    };
    match grammar.elements[place as usize] {
        Element::Class(_) => out.push(stack),
        Element::End => open(grammar, below.to_vec(), seen, out),
        Element::Rule(rule) => {
            for &start in grammar.alternatives(rule) {
                let mut stack = below.to_vec();
                if grammar.elements[place as usize + 1] != Element::End {
                    stack.push(place + 1);
                }
                stack.push(start);
                open(grammar, stack, seen, out);
            }
        }
    }
}

fn start(grammar: &Grammar) -> Vec<Vec<u32>> {
    let mut out = Vec::new();
    for &start in grammar.alternatives(0) {
        open(grammar, Vec::from([start]), &mut Vec::new(), &mut out);
    }
    unique(out)
}

fn unique(mut stacks: Vec<Vec<u32>>) -> Vec<Vec<u32>> {
    stacks.sort();
    stacks.dedup();
    stacks
}

fn step(grammar: &Grammar, stacks: &[Vec<u32>], byte: u8) -> Vec<Vec<u32>> {
    let kind = grammar.kind_of_byte[usize::from(byte)];
    let mut out = Vec::new();
    for stack in stacks {
        let Some((&place, below)) = stack.split_last() else {
            continue;
        };
        let Element::Class(class) = grammar.elements[place as usize] else {
            continue;
        };
        if grammar.has(class, kind) {
            let mut stack = below.to_vec();
            stack.push(place + 1);
            open(grammar, stack, &mut Vec::new(), &mut out);
        }
    }
    unique(out)
}

const GBNF: [&str; 4] = [
    "root ::= \"yes\" | \"no\" | list{1,3} # a comment\n\
     list ::= \"[\" [a-c]+ (\",\" [^\\x00-\\x1f\\]])* \"]\" .?",
    "root ::= expr\nexpr ::= term ((\"+\" | \"-\") term)*\nterm ::= [0-9]+ | \"(\" expr \")\"",
    "root ::= (\"a\"? \"b\"?)* \"\\u6f22\" x{2} y{0,4}\n\
     x ::= [\u{e0}-\u{ff}\\-] |\n  \"\"\ny ::= \"c\" y | \"c\"",
    "root ::= [^\"]* \"\\\"\" root?",
];

const SCHEMAS: [&str; 4] = [
    r#"{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer",
        "minimum":-5,"maximum":120}},"required":["age"],"additionalProperties":true}"#,
    r##"{"type":"array","items":{"anyOf":[{"enum":["ab",12,null,{"a":[1]}]},{"type":"boolean"},
        {"$ref":"#"}]},"minItems":1,"maxItems":3}"##,
    r#"{"type":["string","null"],"pattern":"^[a-z]{2,4}(\\d|\"|\\\\)*$"}"#,
    r#"{"type":"number","minimum":-10,"maximum":35}"#,
];

fn gbnf(text: &str) -> Result<Grammar, GrammarError> {
    GrammarSource::Gbnf(text.into()).grammar()
}

fn schema(text: &str) -> Result<Grammar, GrammarError> {
    GrammarSource::Schema(json::parse(text.as_bytes()).unwrap()).grammar()
}

fn all_grammars() -> Vec<Grammar> {
    let mut all: Vec<Grammar> = GBNF.map(|text| gbnf(text).unwrap()).into();
    for text in SCHEMAS {
        all.push(schema(text).unwrap());
    }
    all.push(GrammarSource::Json.grammar().unwrap());
    all
}

#[test]
fn masks_equal_the_check_of_every_token_byte_by_byte() {
    let tokenizer = tokenizer();
    let trie = Arc::new(TokenTrie::new(&tokenizer).unwrap());
    let mut seeded = Seeded(77);
    for (i, grammar) in all_grammars().into_iter().enumerate() {
        let grammar = Arc::new(grammar);
        let mut matcher = Matcher::new(grammar.clone(), trie.clone()).unwrap();
        for _ in 0..6 {
            matcher.reset().unwrap();
            let mut stacks = start(&grammar);
            for n in 0..40 {
                assert_eq!(matcher.accepts(), stacks.contains(&Vec::new()), "{i} {n}");
                let mask = matcher.mask().unwrap().to_vec();
                let mut allowed = Vec::new();
                for id in 0..tokenizer.vocab_size() {
                    let bytes = tokenizer.text_bytes(id).unwrap_or(&[]);
                    let after = bytes
                        .iter()
                        .fold(stacks.clone(), |s, b| step(&grammar, &s, *b));
                    let fits = !bytes.is_empty() && !after.is_empty();
                    let bit = mask[id as usize / 64] >> (id % 64) & 1 == 1;
                    assert_eq!(bit, fits, "grammar {i}, step {n}, token {id}");
                    if fits {
                        allowed.push((id, after));
                    }
                }
                if allowed.is_empty() {
                    assert!(
                        matcher.accepts(),
                        "grammar {i}: a text that cannot be completed"
                    );
                    break;
                }
                let (id, after) = allowed.swap_remove(seeded.below(allowed.len()));
                assert!(matcher.accept(&tokenizer, id).unwrap());
                stacks = after;
            }
        }
    }
}

fn matches(grammar: &Grammar, text: &str) -> bool {
    let mut stacks = start(grammar);
    for byte in text.bytes() {
        stacks = step(grammar, &stacks, byte);
    }
    stacks.contains(&Vec::new())
}

#[test]
fn gbnf_means_what_it_says() {
    let cases: [(&str, &[&str], &[&str]); 6] = [
        (
            GBNF[0],
            &["yes", "[a]", "[abc,é][b],", "[a][b][c]x"],
            &["", "[", "[d]", "[a][a][a][a]"],
        ),
        (GBNF[1], &["1", "12+(3-4)", "((7))"], &["", "+", "(1", "1+"]),
        (
            GBNF[2],
            &["漢à-", "abba漢", "漢ÿccccc"],
            &["漢cd", "abc", "漢a"],
        ),
        (GBNF[3], &["a\"", "\"\"x\""], &["a", ""]),
        ("root ::= \"a\"{2,}", &["aa", "aaaaa"], &["a", ""]),
        (
            "root ::= \"\\x41\\n\" [\\^\\]-]*",
            &["A\n", "A\n]^-"],
            &["A", "A\n\\"],
        ),
    ];
    for (text, right, wrong) in cases {
        let grammar = gbnf(text).unwrap();
        right
            .iter()
            .for_each(|t| assert!(matches(&grammar, t), "{text}: {t}"));
        wrong
            .iter()
            .for_each(|t| assert!(!matches(&grammar, t), "{text}: {t}"));
    }
}

#[test]
fn every_wrong_grammar_is_refused_by_its_own_rule() {
    use GrammarErrorKind as Kind;
    let deep = "(".repeat(70);
    let many = "root ::= ".to_string() + &"a{1000} ".repeat(100) + "\na ::= \"x\"";
    let cases: [(&str, Kind, &str); 13] = [
        (
            "root ::= \"a",
            Kind::Syntax(11),
            "a literal does not end, or has a wrong escape",
        ),
        ("root = \"a\"", Kind::Syntax(5), "::= is expected"),
        (
            "root ::= [z-a]",
            Kind::Syntax(13),
            "a set such as [a-z] is expected",
        ),
        (
            "root ::= \"a\"{3",
            Kind::Syntax(14),
            "counts such as {2,5} are expected",
        ),
        ("root ::= (\"a\"", Kind::Syntax(13), ") is expected"),
        ("root ::= other", Kind::UnknownRule, "other"),
        ("root ::= \"a\"\nroot ::= \"b\"", Kind::RuleTwice, "root"),
        ("start ::= \"a\"", Kind::NoRoot, ""),
        (
            "root ::= e\ne ::= e \"+\" e | \"1\"",
            Kind::LeftRecursion,
            "e",
        ),
        (
            "root ::= x\nx ::= \"\"? x \"a\" | \"b\"",
            Kind::LeftRecursion,
            "x",
        ),
        ("root ::= \"a\" root", Kind::Unsatisfiable, ""),
        (&many, Kind::TooLarge, ""),
        (&("root ::= ".to_string() + &deep), Kind::TooDeep, ""),
    ];
    for (text, kind, name) in cases {
        let error = gbnf(text).err().unwrap();
        assert_eq!((error.kind, error.name.as_str()), (kind, name), "{text}");
        assert!((630..660).contains(&error.code()) && !error.to_string().is_empty());
    }
}

#[test]
fn every_wrong_schema_is_refused_by_its_own_rule() {
    use GrammarErrorKind as Kind;
    let cases = [
        (
            r#"{"type":"object","minProperties":1}"#,
            Kind::Keyword,
            "minProperties",
        ),
        (r#"{"oneOf":[{}]}"#, Kind::Keyword, "oneOf"),
        (
            r#"{"type":"number","exclusiveMinimum":1}"#,
            Kind::Keyword,
            "exclusiveMinimum",
        ),
        (r#"{"type":"strin"}"#, Kind::KeywordValue, "type"),
        (
            r#"{"type":"integer","minimum":0.5}"#,
            Kind::KeywordValue,
            "minimum",
        ),
        (
            r#"{"type":"string","maxLength":-1}"#,
            Kind::KeywordValue,
            "maxLength",
        ),
        (r#"[1]"#, Kind::KeywordValue, "a schema"),
        (r##"{"$ref":"#/$defs/no"}"##, Kind::Reference, "#/$defs/no"),
        (r#"{"$ref":"http://x"}"#, Kind::Reference, "http://x"),
        (r#"{"pattern":"a(?=b)"}"#, Kind::Pattern, "(?=b)"),
        (r#"{"pattern":"a+?"}"#, Kind::Pattern, "+?"),
        (
            r#"{"type":"integer","minimum":5,"maximum":4}"#,
            Kind::Unsatisfiable,
            "",
        ),
        (
            r#"{"type":"array","minItems":3,"maxItems":2}"#,
            Kind::Unsatisfiable,
            "minItems",
        ),
        (r#"{"enum":[]}"#, Kind::Unsatisfiable, ""),
        (r##"{"$ref":"#"}"##, Kind::Unsatisfiable, ""),
        (
            r#"{"type":"string","maxLength":1000000}"#,
            Kind::TooLarge,
            "",
        ),
        (
            r#"{"type":"object","required":["a"],"additionalProperties":false}"#,
            Kind::Unsatisfiable,
            "a",
        ),
    ];
    for (text, kind, name) in cases {
        let error = schema(text).unwrap_err();
        assert_eq!((error.kind, error.name.as_str()), (kind, name), "{text}");
    }
}

#[test]
fn full_memory_changes_no_answer_and_endless_depth_is_refused() {
    let trie = Arc::new(TokenTrie::new(&tokenizer()).unwrap());
    let matcher = |text: &str| {
        let grammar = Arc::new(gbnf(text).unwrap());
        Matcher::new(grammar, trie.clone()).unwrap()
    };
    // More states than there is room for, one after the other.
    let mut long = matcher("root ::= a{30} \nb ::= \"x\"\na ::= b{600}");
    for n in 0..18_000 {
        assert!(!long.accepts(), "{n}");
        assert!(long.accept_bytes(b"x").unwrap(), "{n}");
    }
    assert!(long.accepts() && long.is_complete());
    assert!(!long.accept_bytes(b"x").unwrap());
    // Stacks deeper than there is room for.
    let mut deep = matcher("root ::= \"(\" root \")\" | \"-\"");
    let error = (0..100_000).find_map(|_| deep.accept_bytes(b"(").err());
    assert_eq!(error.unwrap().kind, GrammarErrorKind::TooAmbiguous);
    let mut less_deep = matcher("root ::= \"(\" root \")\" | \"-\"");
    for text in [b"(", b")"] {
        for _ in 0..10_000 {
            assert!(less_deep.accept_bytes(text).unwrap());
        }
        if text == b"(" {
            assert!(less_deep.accept_bytes(b"-").unwrap());
        }
    }
    assert!(less_deep.is_complete());
    // As many stacks at once as there are ways to split a text.
    let ways = (0..300).map(|i| alloc::format!("r{i}")).collect::<Vec<_>>();
    let rules: String = ways
        .iter()
        .map(|r| alloc::format!("{r} ::= \"a\" \"{r}\"\n"))
        .collect();
    let text = "root ::= ".to_string() + &ways.join(" | ") + "\n" + &rules;
    let grammar = Arc::new(gbnf(&text).unwrap());
    let error = Matcher::new(grammar, trie).err().unwrap();
    assert_eq!(error.kind, GrammarErrorKind::TooAmbiguous);
}

#[test]
fn bounds_of_any_length_are_kept_exactly_and_stay_small() {
    let limit = 9_999_999_999_999_999i64;
    let bounds = [
        (0, limit),
        (18, limit),
        (-limit, -1),
        (1_000_000, 9_999_999),
        (1_000_001, 1_999_999),
        (1_990, 8_809),
        (10, 10_000_000),
        (-305, 12_000_000_099),
    ];
    for (min, max) in bounds {
        let text = alloc::format!("{{\"type\":\"integer\",\"minimum\":{min},\"maximum\":{max}}}");
        let grammar = schema(&text).unwrap();
        assert!(grammar.elements.len() < 2000, "{text}");
        let mut seeded = Seeded(min.unsigned_abs() + 3);
        let near = (-12..=12).flat_map(|n| [min + n, max + n, min / 2 + max / 2 + n, n * 999]);
        let mut numbers: Vec<i64> = near.filter(|n| n.abs() <= limit).collect();
        for n_digits in 1..=16 {
            let scale = 10i64.pow(n_digits);
            numbers.push(seeded.below(1 << 30) as i64 * 9_312_113 % scale);
            numbers.extend([scale - 1, 1 - scale, scale / 10]);
        }
        for n in numbers {
            assert_eq!(
                matches(&grammar, &n.to_string()),
                (min..=max).contains(&n),
                "{text}: {n}"
            );
        }
    }
    let common = schema(r#"{"type":"integer","minimum":0}"#).unwrap();
    assert!(matches(&common, "9999999999999999") && !matches(&common, "-1"));
}
