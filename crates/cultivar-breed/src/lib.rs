//! Breeding: adapters and models made from adapters and models.
//!
//! Promises: no IO, no clock, no unsafe; the same parents, parameters and seed give the same bytes
//! on every machine; what is made carries its genome; nothing is given out that a reader would
//! refuse. Formulas and errors: `docs/breeding.md`.
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]

extern crate alloc;

mod bake;
mod error;
mod extract;
pub mod linear_algebra;
mod merge;
mod rows;
mod stack_check;
mod step;

pub use bake::{BakeOptions, BakedTensor, Baker};
pub use error::{BreedError, BreedRule};
pub use extract::{Extraction, Extractor};
pub use merge::{Loss, MERGE_METHODS, Merge, MergeMethod, MergeOptions, Merged, Merger, merge};
pub use stack_check::StackCheck;
pub use step::BreedStep;
