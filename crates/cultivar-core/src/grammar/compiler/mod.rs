//! The compilers: JSON mode, JSON Schema and GBNF become the bytes of a table.
//!
//! An engine's module has none of this: the text module compiles, the engine matches. Counts and
//! depth are bounded; a hostile grammar is refused by name.

mod byte_set;
mod expression;
mod gbnf;
mod json_rules;
mod numbers;
mod pattern;
mod schema;
mod table_maker;
mod text_reader;

use super::error::GrammarError;
use super::source::GrammarSource;
use super::table::{Grammar, TableParts};
use alloc::vec;
use alloc::vec::Vec;

impl GrammarSource {
    /// The bytes of its table, which [`Grammar::read`] reads; the same source, the same bytes.
    pub fn compile(&self) -> Result<Vec<u8>, GrammarError> {
        let parts = match self {
            Self::Json => json_mode()?,
            Self::Schema(schema) => schema::parse(schema)?,
            Self::Gbnf(text) => gbnf::parse(text)?,
        };
        Ok(parts.write(&self.digest()))
    }

    /// The table itself.
    pub fn grammar(&self) -> Result<Grammar, GrammarError> {
        Grammar::read(&self.compile()?)
    }
}

/// Any JSON object or array.
fn json_mode() -> Result<TableParts, GrammarError> {
    let mut rules = expression::Rules::default();
    let json = json_rules::JsonRules::new(&mut rules)?;
    let root = rules.declare("root")?;
    let either = vec![json.object, json.array];
    rules.define(root, expression::Expression::OneOf(either));
    table_maker::make(rules, root)
}
