//! The transformer: weights held per tensor, a workspace sized once, one forward pass over a
//! batch of (sequence, position, token) rows.
//!
//! Decode, prefill and the evaluation of many candidates are the same path with other row counts,
//! and give the same bits. Nothing here allocates once an [`Engine`] is made.

mod attention;
mod builder;
mod card;
mod dims;
mod engine;
mod error;
mod feed_forward;
mod forward;
mod grammars;
mod linear;
mod mixes;
mod norm;
mod options;
mod profile;
mod rope;
mod rope_scaling;
mod stacks;
mod weights;
mod workspace;

pub use builder::{ModelBuilder, OpenError};
pub use card::{architecture_label, card_json};
pub use dims::Dims;
pub use engine::{Engine, EngineOptions, MemoryEstimate};
pub use error::{ModelError, ModelErrorDetail, ModelErrorKind};
pub use forward::{Begun, Row};
pub use linear::{Linear, Target};
pub use mixes::StackId;
pub use norm::Norm;
pub use profile::{PROFILE_PARTS, Profile};
pub use weights::{LayerWeights, Model, Tensor, Weights};

/// Version of the numerics contract in `docs/numerics.md`; part of every run digest. It changes
/// when any logits bit may.
pub const NUMERICS_VERSION: u32 = 1;
