//! The methods of merging: a row each in [`MERGE_METHODS`], with its parameters and their ranges.

use crate::error::{BreedError, BreedRule};
use cultivar_core::json::JsonWriter;

/// A method as it is listed for people.
#[derive(Clone, Copy, Debug)]
pub struct MergeMethod {
    /// Its name.
    pub name: &'static str,
    /// Its parameters.
    pub parameters: &'static [&'static str],
    /// What it computes.
    pub formula: &'static str,
}

/// Every method.
pub const MERGE_METHODS: &[MergeMethod] = &[
    MergeMethod {
        name: "cat",
        parameters: &[],
        formula: "[B1 B2 ...] diag(w1 s1, w2 s2, ...) [A1; A2; ...]: exact, ranks add up",
    },
    MergeMethod {
        name: "svd",
        parameters: &["rank", "seed"],
        formula: "the nearest delta of the chosen rank to w1 D1 + w2 D2 + ...",
    },
    MergeMethod {
        name: "blend",
        parameters: &["alpha", "noise", "seed"],
        formula: "alpha D1 + (1 - alpha) D2 + eps, |eps| <= noise rms(D)",
    },
    MergeMethod {
        name: "sum",
        parameters: &[],
        formula: "w1 D1 + w2 D2 + ..., every element; sparse where all are sparse",
    },
];

/// A method with its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Merge {
    /// The exact concatenation.
    Concatenate,
    /// The nearest delta of `rank` components.
    Truncate {
        /// 1 to 4096.
        rank: usize,
        /// Names the sketch of dense deltas.
        seed: u64,
    },
    /// Two adapters, `alpha` of the first, with bounded noise.
    Blend {
        /// Any finite number.
        alpha: f32,
        /// 0 and more.
        noise: f32,
        /// Names the noise.
        seed: u64,
    },
    /// The sum, element by element.
    Sum,
}

impl Merge {
    /// The method's name in [`MERGE_METHODS`].
    pub fn name(&self) -> &'static str {
        match self {
            Merge::Concatenate => "cat",
            Merge::Truncate { .. } => "svd",
            Merge::Blend { .. } => "blend",
            Merge::Sum => "sum",
        }
    }

    pub(super) fn check(&self, n_adapters: usize) -> Result<(), BreedError> {
        let parameter = |name| Err(BreedError::new(BreedRule::Parameter, name));
        match *self {
            Merge::Truncate { rank, .. } if !(1..=4096).contains(&rank) => parameter("rank"),
            Merge::Blend { alpha, .. } if !alpha.is_finite() => parameter("alpha"),
            Merge::Blend { noise, .. } if !noise.is_finite() || noise < 0.0 => parameter("noise"),
            Merge::Blend { .. } if n_adapters != 2 => {
                Err(BreedError::new(BreedRule::WrongCount, self.name()))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn put_parameters(&self, json: &mut JsonWriter) {
        match *self {
            Merge::Concatenate | Merge::Sum => {}
            Merge::Truncate { rank, seed } => {
                json.field_u64("rank", rank as u64);
                json.field_display("seed", seed);
            }
            Merge::Blend { alpha, noise, seed } => {
                json.field_f32("alpha", alpha);
                json.field_f32("noise", noise);
                json.field_display("seed", seed);
            }
        }
    }
}
