//! The grammars that an engine's sessions can be constrained by: compiled tables by their source,
//! and the vocabulary's tree of bytes, made for the first of them.
//!
//! The engine compiles nothing; whoever opens a constrained session hands its table over before.

use super::engine::Engine;
use crate::digest::Digest;
use crate::grammar::{Grammar, GrammarError, GrammarErrorKind, Matcher, TokenTrie};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Tables that are kept; sessions that are open hold on to theirs.
const TABLES_MAX: usize = 64;

/// See the module.
#[derive(Default)]
pub(super) struct Grammars {
    /// The newest last.
    tables: Vec<Arc<Grammar>>,
    trie: Option<Arc<TokenTrie>>,
}

impl Engine {
    /// Keeps the table of a constraint, for sessions with this constraint in their settings. Of
    /// more than 64 the oldest is forgotten.
    pub fn add_grammar(&mut self, grammar: Grammar) {
        let tables = &mut self.grammars.tables;
        tables.retain(|kept| kept.source() != grammar.source());
        if tables.len() >= TABLES_MAX {
            tables.remove(0);
        }
        tables.push(Arc::new(grammar));
    }

    /// A matcher before the first byte, by the table of this source.
    pub(crate) fn matcher(&mut self, source: &Digest) -> Result<Matcher, GrammarError> {
        let grammars = &mut self.grammars;
        let table = grammars.tables.iter().find(|kept| kept.source() == *source);
        let table = table.ok_or_else(|| GrammarError::new(GrammarErrorKind::NotCompiled))?;
        let trie = match &grammars.trie {
            Some(trie) => trie.clone(),
            None => {
                let memory = GrammarError::new(GrammarErrorKind::OutOfMemory);
                let trie = TokenTrie::new(&self.model.tokenizer).ok_or(memory)?;
                grammars.trie.insert(Arc::new(trie)).clone()
            }
        };
        Matcher::new(table.clone(), trie)
    }
}
