//! What can be wrong with putting an adapter on a stack, or with a weight there.
//!
//! Whatever is refused changes nothing: neither the stack nor what runs on it.

use super::error::AdapterError;
use crate::bytes::ShortText;
use alloc::boxed::Box;
use core::fmt;

/// The rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackRule {
    /// Memory could not be had: bytes asked for.
    OutOfMemory,
    /// The adapters take more bytes than the stack may: bytes needed, bytes allowed.
    TooLarge,
    /// The stack holds as many adapters as it may: adapters, adapters allowed.
    TooMany,
    /// There is no adapter at this place of the stack: place, adapters there.
    NoSuchAdapter,
    /// A weight is not a finite number.
    WeightNotFinite,
    /// A weight times a scale of the adapter is not finite any more.
    WeightTooLarge,
    /// A list of layer weights has another length than the model has layers: weights, layers.
    LayerWeights,
    /// The target is none that this engine's forward pass reads.
    NotApplicable,
    /// The base plus the delta is not finite in the base's format: the first such row.
    Fused,
}

impl StackRule {
    /// Every rule, in the order of their codes.
    pub const ALL: [StackRule; 9] = [
        StackRule::OutOfMemory,
        StackRule::TooLarge,
        StackRule::TooMany,
        StackRule::NoSuchAdapter,
        StackRule::WeightNotFinite,
        StackRule::WeightTooLarge,
        StackRule::LayerWeights,
        StackRule::NotApplicable,
        StackRule::Fused,
    ];

    /// The stable number of the rule, 470 to 478.
    pub fn code(self) -> i32 {
        470 + self as i32
    }
}

/// Why a stack refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StackError {
    /// The adapter is not valid, or not for this base.
    Adapter(AdapterError),
    /// A rule of stacks.
    Rule(Box<StackErrorDetail>),
}

/// Where a stack broke a rule; behind a pointer, so that results stay small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackErrorDetail {
    /// The rule.
    pub rule: StackRule,
    /// The target at fault; empty if there is none.
    pub name: ShortText,
    /// Numbers that the rule describes.
    pub numbers: [u64; 2],
}

impl StackError {
    /// The stable number of this error, listed in `docs/abi.md`.
    pub fn code(&self) -> i32 {
        match self {
            StackError::Adapter(error) => error.code(),
            StackError::Rule(fault) => fault.rule.code(),
        }
    }

    pub(crate) fn numbers(rule: StackRule, first: u64, second: u64) -> StackError {
        StackError::new(rule, "", [first, second])
    }

    pub(crate) fn named(rule: StackRule, name: &str) -> StackError {
        StackError::new(rule, name, [0; 2])
    }

    pub(crate) fn at_row(rule: StackRule, name: &str, row: usize) -> StackError {
        StackError::new(rule, name, [row as u64, 0])
    }

    #[cold]
    #[inline(never)]
    fn new(rule: StackRule, name: &str, numbers: [u64; 2]) -> StackError {
        StackError::Rule(Box::new(StackErrorDetail {
            rule,
            name: ShortText::new(name),
            numbers,
        }))
    }
}

impl From<AdapterError> for StackError {
    fn from(error: AdapterError) -> StackError {
        StackError::Adapter(error)
    }
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StackErrorDetail {
            rule,
            name,
            numbers: [first, second],
        } = match self {
            StackError::Adapter(error) => return error.fmt(f),
            StackError::Rule(fault) => &**fault,
        };
        match rule {
            StackRule::OutOfMemory => write!(
                f,
                "Out of memory: {first} bytes for an adapter could not be had; close other models."
            ),
            StackRule::TooLarge => write!(
                f,
                "The adapters need {first} bytes, but {second} are allowed; take one off first."
            ),
            StackRule::TooMany => write!(
                f,
                "The stack holds {first} adapters already, and may hold {second}; merge some."
            ),
            StackRule::NoSuchAdapter => {
                write!(f, "There is no adapter {first} on a stack of {second}.")
            }
            StackRule::WeightNotFinite => {
                f.write_str("An adapter's weight must be a finite number.")
            }
            StackRule::WeightTooLarge => write!(
                f,
                "This weight times the scales of {name} is too large for a number."
            ),
            StackRule::LayerWeights => {
                write!(f, "{first} layer weights for a model of {second} layers.")
            }
            StackRule::NotApplicable => {
                write!(f, "The forward pass of this base does not read {name}.")
            }
            StackRule::Fused => write!(
                f,
                "Row {first} of {name} plus its delta is too large for the format of the base."
            ),
        }
    }
}

impl core::error::Error for StackError {}
