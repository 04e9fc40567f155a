//! The common subset of GBNF, the notation of llama.cpp's grammars.
//!
//! ```text
//! # comment
//! root ::= "yes" | "no" | list{1,3}
//! list ::= "[" [a-z]+ ("," [^\x00-\x1f])* "]" .?
//! ```
//! A rule ends at the end of its line, but within parentheses and behind `|`.

use super::super::error::{GrammarError, GrammarErrorKind};
use super::super::table::TableParts;
use super::byte_set::{CharSet, literal};
use super::expression::{Expression, RuleId, Rules};
use super::table_maker;
use super::text_reader::{TextReader, is_name};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// Deepest nesting of parentheses.
const DEPTH_MAX: usize = 64;

/// The table of a grammar's text.
pub(super) fn parse(text: &str) -> Result<TableParts, GrammarError> {
    let mut parser = Parser {
        reader: TextReader::new(text),
        rules: Rules::default(),
        names: Vec::new(),
    };
    parser.skip(true);
    while parser.reader.peek().is_some() {
        parser.rule()?;
        parser.skip(true);
    }
    let root = parser.names.iter().find(|(name, _)| name == "root");
    let root = root.map(|(_, rule)| *rule);
    table_maker::make(
        parser.rules,
        root.ok_or_else(|| GrammarError::new(GrammarErrorKind::NoRoot))?,
    )
}

struct Parser<'a> {
    reader: TextReader<'a>,
    rules: Rules,
    names: Vec<(String, RuleId)>,
}

impl Parser<'_> {
    fn wrong(&self, what: &str) -> GrammarError {
        GrammarError::named(GrammarErrorKind::Syntax(self.reader.at as u32), what)
    }

    /// Passes over spaces and comments, and over line ends if they mean nothing here.
    fn skip(&mut self, over_lines: bool) {
        while let Some(c) = self.reader.peek() {
            match c {
                ' ' | '\t' => {}
                '\r' | '\n' if over_lines => {}
                '#' => {
                    let rest = self.reader.rest();
                    self.reader.at += rest.find(['\r', '\n']).unwrap_or(rest.len());
                    continue;
                }
                _ => break,
            }
            self.reader.next();
        }
    }

    fn name(&mut self) -> Option<String> {
        let n: usize = self
            .reader
            .rest()
            .chars()
            .take_while(|c| is_name(*c))
            .count();
        let name = self
            .reader
            .rest()
            .get(..n)
            .filter(|name| !name.is_empty())?;
        self.reader.at += n;
        Some(String::from(name))
    }

    /// The rule of this name, met for the first time or again.
    fn rule_of(&mut self, name: String) -> Result<RuleId, GrammarError> {
        if let Some((_, rule)) = self.names.iter().find(|(known, _)| *known == name) {
            return Ok(*rule);
        }
        let rule = self.rules.declare(&name)?;
        self.names.push((name, rule));
        Ok(rule)
    }

    fn rule(&mut self) -> Result<(), GrammarError> {
        let name = self
            .name()
            .ok_or_else(|| self.wrong("a rule's name is expected"))?;
        let twice = GrammarError::named(GrammarErrorKind::RuleTwice, &name);
        let rule = self.rule_of(name)?;
        if self.rules.is_defined(rule) {
            return Err(twice);
        }
        self.skip(false);
        if !self.reader.take("::=") {
            return Err(self.wrong("::= is expected"));
        }
        self.skip(true);
        let expression = self.alternatives(0)?;
        self.rules.define(rule, expression);
        match self.reader.peek() {
            None | Some('\r' | '\n') => Ok(()),
            Some(_) => Err(self.wrong("the end of the line is expected")),
        }
    }

    fn alternatives(&mut self, depth: usize) -> Result<Expression, GrammarError> {
        if depth > DEPTH_MAX {
            return Err(GrammarError::new(GrammarErrorKind::TooDeep));
        }
        let mut alternatives = Vec::new();
        loop {
            alternatives.push(self.sequence(depth)?);
            self.skip(depth > 0);
            if !self.reader.take("|") {
                return Ok(Expression::any_of(alternatives));
            }
            self.skip(true);
        }
    }

    fn sequence(&mut self, depth: usize) -> Result<Expression, GrammarError> {
        let mut parts = Vec::new();
        loop {
            self.skip(depth > 0);
            let Some(part) = self.part(depth)? else {
                return Ok(Expression::Sequence(parts));
            };
            let part = self.repeated(part)?;
            parts.push(part);
        }
    }

    /// One literal, set, group or name; `None` where a sequence ends.
    fn part(&mut self, depth: usize) -> Result<Option<Expression>, GrammarError> {
        Ok(Some(match self.reader.peek() {
            Some('"') => {
                self.reader.next();
                self.literal()?
            }
            Some('[') => {
                self.reader.next();
                let set = self.reader.set(escape);
                set.ok_or_else(|| self.wrong("a set such as [a-z] is expected"))?
                    .expression()
            }
            Some('.') => {
                self.reader.next();
                CharSet::all().expression()
            }
            Some('(') => {
                self.reader.next();
                self.skip(true);
                let group = self.alternatives(depth + 1)?;
                if !self.reader.take(")") {
                    return Err(self.wrong(") is expected"));
                }
                group
            }
            Some(c) if is_name(c) => {
                let name = self
                    .name()
                    .ok_or_else(|| self.wrong("a name is expected"))?;
                Expression::Rule(self.rule_of(name)?)
            }
            _ => return Ok(None),
        }))
    }

    fn literal(&mut self) -> Result<Expression, GrammarError> {
        let mut text = String::new();
        loop {
            let c = match self.reader.next() {
                Some('"') => return Ok(literal(text.as_bytes())),
                Some('\\') => {
                    escape(&mut self.reader).and_then(|set| char::from_u32(set.single()?))
                }
                c => c,
            };
            text.push(
                c.ok_or_else(|| self.wrong("a literal does not end, or has a wrong escape"))?,
            );
        }
    }

    /// What stands behind a part: `*`, `+`, `?` or counts in braces.
    fn repeated(&mut self, part: Expression) -> Result<Expression, GrammarError> {
        let (min, max) = match self.reader.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => {
                self.reader.next();
                let counts = self.reader.counts();
                let (min, max) =
                    counts.ok_or_else(|| self.wrong("counts such as {2,5} are expected"))?;
                return Ok(Expression::Repeat(Box::new(part), min, max));
            }
            _ => return Ok(part),
        };
        self.reader.next();
        Ok(Expression::Repeat(Box::new(part), min, max))
    }
}

/// What follows a backslash, in literals and sets alike.
fn escape(reader: &mut TextReader<'_>) -> Option<CharSet> {
    let c = match reader.next()? {
        'n' => u32::from('\n'),
        'r' => u32::from('\r'),
        't' => u32::from('\t'),
        'x' => reader.hex(2)?,
        'u' => reader.hex(4)?,
        'U' => reader.hex(8)?,
        c @ ('\\' | '"' | '[' | ']' | '-' | '^') => u32::from(c),
        _ => return None,
    };
    char::from_u32(c).map(|_| CharSet::of(&[(c, c)]))
}
