//! The rules of JSON itself (RFC 8259), with little white space: within brackets and behind commas
//! and colons one space, or a line end and up to sixteen spaces of indentation. Numbers have at
//! most 16 digits, so that every reader can hold them and none goes on for ever.

use super::super::error::GrammarError;
use super::byte_set::{CharSet, literal};
use super::expression::{Expression, Rules};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// Rules that JSON texts share.
#[derive(Clone)]
pub(super) struct JsonRules {
    /// White space, or none.
    pub space: Expression,
    /// One character within a string, escaped or not.
    pub char: Expression,
    /// Any string.
    pub string: Expression,
    /// Any number.
    pub number: Expression,
    /// Any integer.
    pub integer: Expression,
    /// Any value.
    pub value: Expression,
    /// Any object.
    pub object: Expression,
    /// Any array.
    pub array: Expression,
}

/// A character that needs no escape in a string.
pub(super) fn plain_chars() -> CharSet {
    CharSet::of(&[(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C)]).complement()
}

pub(super) fn sequence(parts: Vec<Expression>) -> Expression {
    Expression::Sequence(parts)
}

fn set(ranges: &[(char, char)]) -> Expression {
    let range = |(a, b): &(char, char)| (u32::from(*a), u32::from(*b));
    CharSet::of(&ranges.iter().map(range).collect::<Vec<_>>()).expression()
}

/// Digits.
pub(super) fn digit() -> Expression {
    set(&[('0', '9')])
}

/// Digits behind the first of an integer, and behind the point: no double tells more apart.
pub(super) const MORE_DIGITS_MAX: u32 = 15;

/// So many digits.
pub(super) fn digits(min: u32, max: u32) -> Expression {
    Expression::Repeat(Box::new(digit()), min, Some(max))
}

/// A point and digits.
pub(super) fn fraction() -> Expression {
    sequence(vec![literal(b"."), digits(1, MORE_DIGITS_MAX)])
}

/// `a` as often as wanted, with commas between.
pub(super) fn list_of(
    rules: &JsonRules,
    one: Expression,
    min: u32,
    max: Option<u32>,
) -> Expression {
    let next = sequence(vec![literal(b","), rules.space.clone(), one.clone()]);
    let rest = Expression::Repeat(
        Box::new(next),
        min.saturating_sub(1),
        max.map(|max| max.saturating_sub(1)),
    );
    let list = sequence(vec![one, rest]);
    match (min, max) {
        (_, Some(0)) => Expression::empty(),
        (0, _) => list.optional(),
        _ => list,
    }
}

/// A list between brackets, white space within.
pub(super) fn bracketed(rules: &JsonRules, brackets: &[u8; 2], inner: Expression) -> Expression {
    let space = || rules.space.clone();
    let [open, close] = brackets;
    sequence(vec![
        literal(&[*open]),
        space(),
        inner,
        space(),
        literal(&[*close]),
    ])
}

impl JsonRules {
    /// Adds them to a grammar.
    pub fn new(rules: &mut Rules) -> Result<JsonRules, GrammarError> {
        let indent = Expression::Repeat(Box::new(literal(b" ")), 0, Some(16));
        let space = Expression::OneOf(vec![
            Expression::empty(),
            literal(b" "),
            sequence(vec![literal(b"\n"), indent]),
        ]);
        let space = rules.add("space", space)?;
        let char = rules.add("char", any_char())?;
        let string = sequence(vec![
            literal(b"\""),
            char.clone().at_least(0),
            literal(b"\""),
        ]);
        let string = rules.add("string", string)?;
        let magnitude = Expression::OneOf(vec![
            literal(b"0"),
            sequence(vec![set(&[('1', '9')]), digits(0, MORE_DIGITS_MAX)]),
        ]);
        let signed = sequence(vec![literal(b"-").optional(), magnitude]);
        let integer = rules.add("integer", signed)?;
        let fraction = fraction();
        let exponent = sequence(vec![
            set(&[('e', 'e'), ('E', 'E')]),
            set(&[('+', '+'), ('-', '-')]).optional(),
            digits(1, 2),
        ]);
        let number = sequence(vec![
            integer.clone(),
            fraction.optional(),
            exponent.optional(),
        ]);
        let number = rules.add("number", number)?;
        let value = rules.declare("value")?;
        let json = JsonRules {
            space,
            char,
            string,
            number,
            integer,
            value: Expression::Rule(value),
            object: Expression::empty(),
            array: Expression::empty(),
        };
        let member = sequence(vec![
            json.string.clone(),
            literal(b":"),
            json.space.clone(),
            json.value.clone(),
        ]);
        let member = rules.add("member", member)?;
        let members = list_of(&json, member, 0, None);
        let elements = list_of(&json, json.value.clone(), 0, None);
        let object = rules.add("object", bracketed(&json, b"{}", members))?;
        let array = rules.add("array", bracketed(&json, b"[]", elements))?;
        let any = vec![
            object.clone(),
            array.clone(),
            json.string.clone(),
            json.number.clone(),
            literal(b"true"),
            literal(b"false"),
            literal(b"null"),
        ];
        rules.define(value, Expression::OneOf(any));
        Ok(JsonRules {
            object,
            array,
            ..json
        })
    }
}

/// One character of a string: as it is, or escaped; half of a surrogate pair is none.
fn any_char() -> Expression {
    let hex = || set(&[('0', '9'), ('a', 'f'), ('A', 'F')]);
    let escaped = |parts: Vec<Expression>| {
        let mut all = vec![literal(b"\\u")];
        all.extend(parts);
        sequence(all)
    };
    let d = || set(&[('d', 'd'), ('D', 'D')]);
    let low = vec![
        d(),
        set(&[('8', '9'), ('a', 'b'), ('A', 'B')]),
        hex(),
        hex(),
        literal(b"\\u"),
        d(),
        set(&[('c', 'f'), ('C', 'F')]),
        hex(),
        hex(),
    ];
    let not_d = set(&[('0', '9'), ('a', 'c'), ('A', 'C'), ('e', 'f'), ('E', 'F')]);
    let short = CharSet::of(&[
        (0x22, 0x22),
        (0x2F, 0x2F),
        (0x5C, 0x5C),
        (0x62, 0x62),
        (0x66, 0x66),
        (0x6E, 0x6E),
        (0x72, 0x72),
        (0x74, 0x74),
    ]);
    Expression::OneOf(vec![
        plain_chars().expression(),
        sequence(vec![literal(b"\\"), short.expression()]),
        escaped(vec![not_d, hex(), hex(), hex()]),
        escaped(vec![d(), set(&[('0', '7')]), hex(), hex()]),
        escaped(low),
    ])
}
