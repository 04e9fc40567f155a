//! What can be wrong with a merge, an extraction or a bake: the rule and what it names.
//!
//! Codes 700–719 are stable and listed in `docs/abi.md`; errors of packages, adapters and stacks
//! keep their own. Nothing is given out before everything that can be refused was looked at.

use core::fmt;
use cultivar_core::adapter::{AdapterError, StackError};
use cultivar_core::bytes::ShortText;
use cultivar_core::package::PackageError;

/// The rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreedRule {
    /// Memory for a part of the work (named) could not be had.
    OutOfMemory,
    /// No adapter was given, or all have the weight 0.
    NoAdapters,
    /// The method (named) takes another number of adapters.
    WrongCount,
    /// A parameter (named) is out of its range.
    Parameter,
    /// A tensor (named) would have more components than a package may hold.
    TooManyComponents,
    /// A value of a tensor (named) is not finite after the operation.
    NotFinite,
    /// Two models (named: what differs) do not share one base.
    OtherBase,
    /// Two models do not differ, so there is nothing to extract.
    NoDifference,
    /// The bytes that were supplied for a tensor (named) are not those of its digest.
    Digest,
    /// The caller supplied another number of bytes than was asked for, or out of order.
    OutOfOrder,
    /// A format (named) does not exist or holds no weights.
    Format,
    /// An adapter has no deltas of its own after the operation.
    Empty,
}

impl BreedRule {
    /// Every rule, in the order of their codes.
    pub const ALL: [BreedRule; 12] = [
        BreedRule::OutOfMemory,
        BreedRule::NoAdapters,
        BreedRule::WrongCount,
        BreedRule::Parameter,
        BreedRule::TooManyComponents,
        BreedRule::NotFinite,
        BreedRule::OtherBase,
        BreedRule::NoDifference,
        BreedRule::Digest,
        BreedRule::OutOfOrder,
        BreedRule::Format,
        BreedRule::Empty,
    ];

    /// The stable number, 700 to 711.
    pub fn code(self) -> i32 {
        700 + self as i32
    }
}

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BreedError {
    /// A package cannot be read or written.
    Package(PackageError),
    /// An adapter is not valid.
    Adapter(AdapterError),
    /// An adapter cannot be used with its base.
    Stack(StackError),
    /// A rule of breeding.
    Rule {
        /// The rule.
        rule: BreedRule,
        /// What it names; empty where nothing.
        name: ShortText,
    },
}

impl BreedError {
    /// A rule broken by this name.
    pub fn new(rule: BreedRule, name: &str) -> BreedError {
        BreedError::Rule {
            rule,
            name: ShortText::new(name),
        }
    }

    /// The stable number.
    pub fn code(&self) -> i32 {
        match self {
            BreedError::Package(error) => error.code(),
            BreedError::Adapter(error) => error.code(),
            BreedError::Stack(error) => error.code(),
            BreedError::Rule { rule, .. } => rule.code(),
        }
    }

    pub(crate) fn memory(name: &str) -> BreedError {
        BreedError::new(BreedRule::OutOfMemory, name)
    }
}

impl From<PackageError> for BreedError {
    fn from(error: PackageError) -> BreedError {
        BreedError::Package(error)
    }
}

impl From<AdapterError> for BreedError {
    fn from(error: AdapterError) -> BreedError {
        BreedError::Adapter(error)
    }
}

impl From<StackError> for BreedError {
    fn from(error: StackError) -> BreedError {
        BreedError::Stack(error)
    }
}

impl fmt::Display for BreedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rule, name) = match self {
            BreedError::Package(error) => return error.fmt(f),
            BreedError::Adapter(error) => return error.fmt(f),
            BreedError::Stack(error) => return error.fmt(f),
            BreedError::Rule { rule, name } => (rule, name.as_str()),
        };
        match rule {
            BreedRule::OutOfMemory => write!(f, "out of memory for {name}; close other models"),
            BreedRule::NoAdapters => {
                f.write_str("no adapter is left to work with: give one with a weight other than 0")
            }
            BreedRule::WrongCount => write!(f, "method {name} takes another number of adapters"),
            BreedRule::Parameter => write!(f, "{name} is missing or out of its range"),
            BreedRule::TooManyComponents => write!(
                f,
                "{name} would have more than 4096 components; use a truncated method"
            ),
            BreedRule::NotFinite => write!(f, "{name} would hold a value that is not finite"),
            BreedRule::OtherBase => {
                write!(f, "the two models do not share one base: {name} differs")
            }
            BreedRule::NoDifference => f.write_str("the two models have the same weights"),
            BreedRule::Digest => write!(
                f,
                "the bytes of tensor {name} are not those of its digest: the file is damaged"
            ),
            BreedRule::OutOfOrder => f.write_str("the work was called out of order"),
            BreedRule::Format => write!(f, "there is no weight format {name}"),
            BreedRule::Empty => f.write_str("nothing is left of the adapter"),
        }
    }
}

impl core::error::Error for BreedError {}
