//! Grammars as they are built: rules of expressions, before they become a table.

use super::super::error::{GrammarError, GrammarErrorKind};
use super::super::table::RULES_MAX;
use super::byte_set::ByteSet;
use crate::bytes::ShortText;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Which rule is meant.
pub(super) type RuleId = u32;

/// What a stretch of text may be.
#[derive(Clone, Debug)]
pub(super) enum Expression {
    /// One byte of a set.
    Bytes(ByteSet),
    /// One after the other; nothing, if there are none.
    Sequence(Vec<Expression>),
    /// Any of them; no text at all, if there are none.
    OneOf(Vec<Expression>),
    /// What a rule says.
    Rule(RuleId),
    /// At least so often, and at most so often.
    Repeat(Box<Expression>, u32, Option<u32>),
}

impl Expression {
    /// Nothing.
    pub fn empty() -> Self {
        Self::Sequence(Vec::new())
    }

    /// Any of these; the one itself if there is one.
    pub fn any_of(mut alternatives: Vec<Expression>) -> Self {
        match alternatives.pop() {
            Some(only) if alternatives.is_empty() => only,
            Some(last) => {
                alternatives.push(last);
                Self::OneOf(alternatives)
            }
            None => Self::OneOf(alternatives),
        }
    }

    /// This, or nothing.
    pub fn optional(self) -> Self {
        Self::Repeat(Box::new(self), 0, Some(1))
    }

    /// This, at least so often.
    pub fn at_least(self, n: u32) -> Self {
        Self::Repeat(Box::new(self), n, None)
    }
}

/// Rules under construction.
#[derive(Default)]
pub(super) struct Rules {
    pub rules: Vec<(ShortText, Option<Expression>)>,
}

impl Rules {
    /// A new rule, to be defined later. The name serves messages.
    pub fn declare(&mut self, name: &str) -> Result<RuleId, GrammarError> {
        if self.rules.len() >= RULES_MAX {
            return Err(GrammarError::new(GrammarErrorKind::TooLarge));
        }
        self.rules.push((ShortText::new(name), None));
        Ok(self.rules.len() as RuleId - 1)
    }

    /// Says what a declared rule is.
    pub fn define(&mut self, rule: RuleId, expression: Expression) {
        if let Some((_, definition)) = self.rules.get_mut(rule as usize) {
            *definition = Some(expression);
        }
    }

    /// Whether a rule was defined.
    pub fn is_defined(&self, rule: RuleId) -> bool {
        let rule = self.rules.get(rule as usize);
        rule.is_some_and(|(_, definition)| definition.is_some())
    }

    /// A new rule that is this.
    pub fn add(&mut self, name: &str, expression: Expression) -> Result<Expression, GrammarError> {
        let rule = self.declare(name)?;
        self.define(rule, expression);
        Ok(Expression::Rule(rule))
    }
}
