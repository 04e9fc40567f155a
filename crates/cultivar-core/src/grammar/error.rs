//! What can be wrong with a grammar or a schema, and where.

use crate::bytes::ShortText;
use core::fmt;

/// The rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrammarErrorKind {
    /// The grammar's text cannot be read at a byte.
    Syntax(u32),
    /// A rule is used and never defined.
    UnknownRule,
    /// A rule is defined twice.
    RuleTwice,
    /// There is no rule `root`.
    NoRoot,
    /// A rule begins with itself, so that no byte could be decided.
    LeftRecursion,
    /// The grammar needs more elements than the limit.
    TooLarge,
    /// Groups, schemas or references stand too deep in one another.
    TooDeep,
    /// A keyword of JSON Schema is not known or not supported.
    Keyword,
    /// A keyword of JSON Schema has a value that it cannot have.
    KeywordValue,
    /// A `$ref` leads nowhere, or out of the schema.
    Reference,
    /// A pattern uses what is not supported.
    Pattern,
    /// Nothing can satisfy it.
    Unsatisfiable,
    /// What may follow is more ambiguous than the limit on states.
    TooAmbiguous,
    /// Memory could not be had.
    OutOfMemory,
    /// No token of the vocabulary can go on.
    NoToken,
    /// The table of a session's constraint was not given to the engine.
    NotCompiled,
    /// The bytes are no table.
    NotATable,
    /// The table has a version that is not known.
    TableVersion(u32),
    /// A count at a byte of the table is outside its limits.
    TableCount(u32),
    /// The table ends too early, goes on too long, or has a wrong number at a byte.
    TableDamaged(u32),
}

/// An error of a grammar: the rule, and the name it speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrammarError {
    /// The rule that was broken.
    pub kind: GrammarErrorKind,
    /// A rule's name, a keyword or a part of the text; may be empty.
    pub name: ShortText,
}

use GrammarErrorKind as Kind;

impl GrammarError {
    /// An error that names nothing.
    pub fn new(kind: Kind) -> Self {
        Self::named(kind, "")
    }

    pub(super) fn named(kind: Kind, name: &str) -> Self {
        let name = ShortText::new(name);
        Self { kind, name }
    }

    /// Stable number of the error (630 to 659), listed in `docs/abi.md`.
    pub fn code(&self) -> i32 {
        match self.kind {
            Kind::Syntax(_) => 630,
            Kind::UnknownRule => 631,
            Kind::RuleTwice => 632,
            Kind::NoRoot => 633,
            Kind::LeftRecursion => 634,
            Kind::TooLarge => 635,
            Kind::TooDeep => 636,
            Kind::Keyword => 637,
            Kind::KeywordValue => 638,
            Kind::Reference => 639,
            Kind::Pattern => 640,
            Kind::Unsatisfiable => 641,
            Kind::TooAmbiguous => 642,
            Kind::OutOfMemory => 643,
            Kind::NoToken => 644,
            Kind::NotCompiled => 645,
            Kind::NotATable => 646,
            Kind::TableVersion(_) => 647,
            Kind::TableCount(_) => 648,
            Kind::TableDamaged(_) => 649,
        }
    }
}

impl fmt::Display for GrammarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_str();
        let sentence = match self.kind {
            Kind::Syntax(at) => {
                return write!(f, "the grammar cannot be read at byte {at}: {name}");
            }
            Kind::TableVersion(version) => {
                return write!(f, "the compiled grammar has version {version}, not 1");
            }
            Kind::TableCount(at) => {
                return write!(
                    f,
                    "the compiled grammar has too many of something at byte {at}"
                );
            }
            Kind::TableDamaged(at) => {
                return write!(f, "the compiled grammar is damaged at byte {at}");
            }
            Kind::NotCompiled => "the compiled table of the constraint was not given before",
            Kind::NotATable => "the bytes are no compiled grammar",
            Kind::NoRoot => "the grammar has no rule root",
            Kind::TooLarge => "the grammar needs more than 65536 elements: lower its counts",
            Kind::TooDeep => "the grammar is nested too deep",
            Kind::OutOfMemory => "there is not enough memory for the grammar",
            Kind::NoToken => "no token of the vocabulary can go on as the grammar asks",
            Kind::TooAmbiguous => "the grammar leaves too many ways open at once",
            Kind::UnknownRule => "the grammar uses a rule that it does not define",
            Kind::RuleTwice => "the grammar defines a rule twice",
            Kind::LeftRecursion => "a rule of the grammar begins with itself",
            Kind::Keyword => "the schema uses a keyword that is not supported",
            Kind::KeywordValue => "a keyword of the schema has a wrong value",
            Kind::Reference => "a $ref of the schema leads nowhere in it",
            Kind::Pattern => "a pattern of the schema uses what is not supported",
            Kind::Unsatisfiable => "nothing can satisfy the schema or grammar",
        };
        f.write_str(sentence)?;
        if name.is_empty() {
            Ok(())
        } else {
            write!(f, ": {name}")
        }
    }
}
