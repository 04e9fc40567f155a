//! What can be wrong with an adapter beyond its container, and with its use on a base.

use crate::bytes::ShortText;
use crate::package::PackageError;
use alloc::boxed::Box;
use core::fmt;

/// Declares the rules with their code and sentence.
macro_rules! adapter_rules {
    ($($variant:ident = $code:literal, $reason:literal;)*) => {
        /// The rule that an adapter broke.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum AdapterRule {
            $(#[doc = $reason] $variant,)*
        }

        impl AdapterRule {
            /// Every rule, in the order of their codes.
            pub const ALL: &'static [AdapterRule] = &[$(AdapterRule::$variant,)*];

            /// The stable number of the rule.
            pub const fn code(self) -> i32 {
                match self { $(AdapterRule::$variant => $code,)* }
            }

            /// The rule as a sentence without its full stop.
            pub const fn reason(self) -> &'static str {
                match self { $(AdapterRule::$variant => $reason,)* }
            }
        }
    };
}

adapter_rules! {
    PartName = 450, "A tensor of an adapter is not called TARGET#PART with a known part";
    Magnitude = 451, "The adapter has DoRA magnitudes, which this version cannot apply yet";
    PartMissing = 452, "A target lacks a part that its kind of delta needs";
    PartMix = 453, "A target has parts of more than one kind of delta";
    PartShape = 454, "The parts of a target do not fit one another";
    Rank = 455, "A low-rank delta does not have 1 to 4096 components";
    PartFormat = 456, "A part is stored in a format that it must not have";
    IndexOrder = 457, "The indices of a sparse delta are not strictly ascending";
    IndexBounds = 458, "An index of a sparse delta lies outside its target";
    UnknownTarget = 459, "The base has no tensor for this delta";
    TargetShape = 460, "A delta has another shape than the base's tensor";
    OtherArchitecture = 461, "The adapter was made for a base with another architecture";
    OtherTokenizer = 462, "The adapter was made for a base with another tokenizer";
    OtherTensorSchema = 463, "The adapter was made for a base with other tensors";
    OtherWeights = 464, "The adapter is bound to the exact weights of another base";
    NoBaseWeights = 465, "The adapter is bound to exact weights but does not say to which";
}

/// The first thing that is wrong with an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdapterError {
    /// The container or one of its values is not valid; the package's codes.
    Package(PackageError),
    /// The container is valid, the adapter is not.
    Rule(Box<AdapterErrorDetail>),
}

/// Where an adapter broke a rule; behind a pointer, so that results stay small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterErrorDetail {
    /// The rule that was broken.
    pub rule: AdapterRule,
    /// The tensor or target at fault; empty if there is none.
    pub name: ShortText,
    /// The byte of the file where the value at fault begins; 0 if there is none.
    pub offset: u64,
}

impl AdapterError {
    /// The stable number of this error: 450 to 499, or the package's.
    pub fn code(&self) -> i32 {
        match self {
            AdapterError::Package(error) => error.code(),
            AdapterError::Rule(fault) => fault.rule.code(),
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn rule(rule: AdapterRule, name: &str, offset: u64) -> Self {
        AdapterError::Rule(Box::new(AdapterErrorDetail {
            rule,
            name: ShortText::new(name),
            offset,
        }))
    }
}

impl From<PackageError> for AdapterError {
    fn from(error: PackageError) -> Self {
        AdapterError::Package(error)
    }
}

impl fmt::Display for AdapterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdapterError::Package(error) => fmt::Display::fmt(error, f),
            AdapterError::Rule(fault) => {
                let AdapterErrorDetail { rule, name, offset } = &**fault;
                f.write_str(rule.reason())?;
                if !name.is_empty() {
                    write!(f, ": {name}")?;
                }
                if *offset > 0 {
                    write!(f, " (byte {offset})")?;
                }
                f.write_str(".")
            }
        }
    }
}
