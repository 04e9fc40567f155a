//! Constrained output: grammars that say which bytes may come next, and so which tokens.
//!
//! JSON, JSON Schema's common part and GBNF are compiled (`compiler`) to bytes; these are read and
//! checked as one table of rules (`table`). A text's place in it is a set of stacks (`states`); a
//! vocabulary's tree of bytes gives the tokens that fit (`matcher`). Memory and counts are
//! bounded; hostile bytes are refused by name. It must never look at logits, a model or a session,
//! and nothing but `compiler` may use the compiler.

mod compiler;
mod error;
mod matcher;
mod source;
mod states;
mod table;
mod token_trie;

pub use error::{GrammarError, GrammarErrorKind};
pub use matcher::Matcher;
pub use source::GrammarSource;
pub use table::Grammar;
pub use token_trie::TokenTrie;

#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;
