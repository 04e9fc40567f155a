//! What can be wrong with a model's configuration. Carries the option's name, owns nothing.

use crate::json::f64_text;
use core::fmt;

/// The rule that a configuration broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigErrorKind {
    /// The option lies outside its range.
    Range,
    /// `n_heads` is not a multiple of `n_kv_heads`.
    HeadsNotDivisible,
    /// The rotated part of a head is not a whole, even, positive number of elements.
    RotaryDim,
    /// A per-layer list has another length than `n_layers`.
    LayerList,
    /// The option says nothing that the defaults do not say, or needs another one that is absent.
    NoEffect,
    /// Sizes multiply to more than a tensor may hold.
    TooLarge,
    /// The option is valid, and the engine does not run it yet.
    Unsupported,
}

/// The first thing that is wrong with a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The rule that was broken.
    pub kind: ConfigErrorKind,
    /// The option that broke it, by its key.
    pub key: &'static str,
}

impl ConfigErrorKind {
    /// The stable number of this kind of error (200 to 249).
    pub const fn code(self) -> i32 {
        match self {
            ConfigErrorKind::Range => 200,
            ConfigErrorKind::HeadsNotDivisible => 201,
            ConfigErrorKind::RotaryDim => 202,
            ConfigErrorKind::LayerList => 203,
            ConfigErrorKind::NoEffect => 204,
            ConfigErrorKind::TooLarge => 205,
            ConfigErrorKind::Unsupported => 206,
        }
    }

    /// The rule as the second half of a sentence that begins with the option's name.
    pub const fn reason(self) -> &'static str {
        match self {
            ConfigErrorKind::Range => "is outside its range",
            ConfigErrorKind::HeadsNotDivisible => "does not divide n_heads",
            ConfigErrorKind::RotaryDim => {
                "gives a rotated part of the head that is not a whole, even number of elements"
            }
            ConfigErrorKind::LayerList => "does not have one element per layer",
            ConfigErrorKind::NoEffect => "has no effect without another option, and must be absent",
            ConfigErrorKind::TooLarge => "makes a tensor larger than 2^31 - 1 elements",
            ConfigErrorKind::Unsupported => "has a value that this version cannot run yet",
        }
    }
}

impl ConfigError {
    /// The stable number of this kind of error (200 to 249).
    pub const fn code(&self) -> i32 {
        self.kind.code()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The model's option {} {}", self.key, self.kind.reason())?;
        if self.kind == ConfigErrorKind::Range
            && let Some((min, max)) = super::config_check::range_of(self.key)
        {
            write!(f, " ({} to {})", f64_text(min), f64_text(max))?;
        }
        f.write_str(".")
    }
}
