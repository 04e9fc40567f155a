//! Constrained output: grammars that say which bytes may come next, and so which tokens.
//!
//! JSON, JSON Schema's common part and GBNF's become one table of rules (`table`); a text's place
//! in it is a set of stacks (`states`); a vocabulary's tree of bytes gives the tokens that fit
//! (`matcher`). Memory and counts are bounded; a hostile grammar is refused by name. It must never
//! look at logits, a model or a session.

mod byte_set;
mod error;
mod expression;
mod gbnf;
mod json_rules;
mod matcher;
mod numbers;
mod pattern;
mod schema;
mod source;
mod states;
mod table;
mod text_reader;
mod token_trie;

pub use error::{GrammarError, GrammarErrorKind};
pub use matcher::Matcher;
pub use source::GrammarSource;
pub use table::Grammar;
pub use token_trie::TokenTrie;

use crate::json::JsonValue;
use alloc::vec;

impl Grammar {
    /// Any JSON object or array.
    pub fn json() -> Result<Grammar, GrammarError> {
        let mut rules = expression::Rules::default();
        let json = json_rules::JsonRules::new(&mut rules)?;
        let root = rules.declare("root")?;
        let either = vec![json.object, json.array];
        rules.define(root, expression::Expression::OneOf(either));
        Grammar::new(rules, root)
    }

    /// JSON texts that satisfy a schema.
    pub fn from_json_schema(schema: &JsonValue) -> Result<Grammar, GrammarError> {
        schema::parse(schema)
    }

    /// Texts of the rule `root` of a grammar in GBNF.
    pub fn from_gbnf(text: &str) -> Result<Grammar, GrammarError> {
        gbnf::parse(text)
    }
}

#[cfg(test)]
mod tests;
