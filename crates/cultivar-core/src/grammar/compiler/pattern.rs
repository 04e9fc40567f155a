//! Simple regular expressions (`pattern` of JSON Schema) over the inside of a JSON string.
//!
//! Characters, sets, `\d \w \s` and their opposites, `.`, groups, `|`, `* + ? {m,n}`, and anchors
//! at the ends. Everything else is refused. A character that a string must escape is escaped.

use super::super::error::{GrammarError, GrammarErrorKind};
use super::byte_set::{CharSet, literal};
use super::expression::Expression;
use super::json_rules::{JsonRules, plain_chars};
use super::text_reader::TextReader;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// Deepest nesting of groups.
const DEPTH_MAX: usize = 32;

/// The strings that the pattern finds something in, without their quotation marks.
pub(super) fn parse(pattern: &str, json: &JsonRules) -> Result<Expression, GrammarError> {
    let mut parser = Parser {
        reader: TextReader::new(pattern),
        json,
    };
    let expression = parser.alternatives(0)?;
    match parser.reader.peek() {
        None => Ok(expression),
        Some(_) => Err(parser.refuse()),
    }
}

#[derive(Clone, Copy)]
struct Parser<'a> {
    reader: TextReader<'a>,
    json: &'a JsonRules,
}

impl Parser<'_> {
    fn refuse(&self) -> GrammarError {
        GrammarError::named(GrammarErrorKind::Pattern, self.reader.rest())
    }

    fn alternatives(&mut self, depth: usize) -> Result<Expression, GrammarError> {
        if depth > DEPTH_MAX {
            return Err(GrammarError::new(GrammarErrorKind::TooDeep));
        }
        let mut alternatives = vec![self.sequence(depth)?];
        while self.reader.take("|") {
            alternatives.push(self.sequence(depth)?);
        }
        Ok(Expression::any_of(alternatives))
    }

    fn sequence(&mut self, depth: usize) -> Result<Expression, GrammarError> {
        let anything = || self.json.char.clone().at_least(0);
        let mut parts = Vec::new();
        if depth == 0 && !self.reader.take("^") {
            parts.push(anything());
        }
        loop {
            match self.reader.peek() {
                Some('$') if depth == 0 => {
                    self.reader.next();
                    return match self.reader.peek() {
                        None | Some('|') => Ok(Expression::Sequence(parts)),
                        Some(_) => Err(self.refuse()),
                    };
                }
                None | Some('|' | ')') => {
                    if depth == 0 {
                        parts.push(anything());
                    }
                    return Ok(Expression::Sequence(parts));
                }
                Some(_) => {
                    let part = self.part(depth)?;
                    parts.push(self.repeated(part)?);
                }
            }
        }
    }

    fn part(&mut self, depth: usize) -> Result<Expression, GrammarError> {
        let before = *self;
        let refused = move || before.refuse();
        match self.reader.next() {
            Some('(') => {
                if !self.reader.take("?:") && self.reader.peek() == Some('?') {
                    return Err(refused());
                }
                let group = self.alternatives(depth + 1)?;
                self.reader.take(")").then_some(group).ok_or_else(refused)
            }
            Some('[') => Ok(escaped(&self.reader.set(escape).ok_or_else(refused)?)),
            Some('.') => {
                let ends = CharSet::of(&[(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)]);
                Ok(escaped(&ends.complement()))
            }
            Some('\\') => Ok(escaped(&escape(&mut self.reader).ok_or_else(refused)?)),
            Some('^' | '$' | '*' | '+' | '?' | '{' | '}' | ']') | None => Err(refused()),
            Some(c) => Ok(escaped(&single(c))),
        }
    }

    /// What stands behind a part: how often it may come.
    fn repeated(&mut self, part: Expression) -> Result<Expression, GrammarError> {
        let before = *self;
        let (min, max) = match self.reader.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => (2, None),
            _ => return Ok(part),
        };
        let is_braced = self.reader.next() == Some('{');
        let (min, max) = match is_braced {
            true => self.reader.counts().ok_or_else(|| before.refuse())?,
            false => (min, max),
        };
        // Lazy and possessive forms are refused, as are counts of counts.
        match self.reader.peek() {
            Some('?' | '*' | '+' | '{') => Err(before.refuse()),
            _ => Ok(Expression::Repeat(Box::new(part), min, max)),
        }
    }
}

fn single(c: char) -> CharSet {
    CharSet::of(&[(u32::from(c), u32::from(c))])
}

/// What follows a backslash.
fn escape(reader: &mut TextReader<'_>) -> Option<CharSet> {
    let digits = || CharSet::of(&[(0x30, 0x39)]);
    let words = || CharSet::of(&[(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]);
    let spaces = || {
        CharSet::of(&[
            (0x09, 0x0D),
            (0x20, 0x20),
            (0xA0, 0xA0),
            (0x1680, 0x1680),
            (0x2000, 0x200A),
            (0x2028, 0x2029),
            (0x202F, 0x202F),
            (0x205F, 0x205F),
            (0x3000, 0x3000),
            (0xFEFF, 0xFEFF),
        ])
    };
    Some(match reader.next()? {
        'd' => digits(),
        'D' => digits().complement(),
        'w' => words(),
        'W' => words().complement(),
        's' => spaces(),
        'S' => spaces().complement(),
        'n' => single('\n'),
        'r' => single('\r'),
        't' => single('\t'),
        'x' => CharSet::of(&[reader.hex(2).map(|c| (c, c))?]),
        'u' => CharSet::of(&[reader.hex(4).map(|c| (c, c))?]),
        c if c.is_ascii_punctuation() => single(c),
        _ => return None,
    })
}

/// One character of the set as a string writes it.
fn escaped(set: &CharSet) -> Expression {
    let plain = set.without(&plain_chars().complement());
    let mut alternatives = vec![plain.expression()];
    for (c, text) in [
        ('"', "\\\""),
        ('\\', "\\\\"),
        ('\n', "\\n"),
        ('\r', "\\r"),
        ('\t', "\\t"),
    ] {
        if set.contains(u32::from(c)) {
            alternatives.push(literal(text.as_bytes()));
        }
    }
    Expression::OneOf(alternatives)
}
