//! Adapters (`.sla`): what is added to a base model, tensor by tensor, and to which bases.
//!
//! An adapter is read and validated wholly, with its base, before anything changes; then it may be
//! put on a stack and is applied beside the base's products. Three kinds of delta: raw, sparse and
//! low-rank; DoRA magnitudes have a reserved name and are refused by it. Packages are specified in
//! `docs/package-format.md`, the products in `docs/numerics.md`.

mod binding;
mod card;
mod compatibility;
mod delta;
mod error;
mod fused;
pub mod genome;
mod head;
pub mod live;
mod loaded;
mod stack;
mod stack_error;
mod weighing;
mod whole;

pub use binding::{BaseFit, Binding};
pub use card::DeltaFigures;
pub use compatibility::{Compatibility, Field, FieldReport, FieldStatus};
pub use delta::{Delta, DeltaKind, Part};
pub use error::{AdapterError, AdapterErrorDetail, AdapterRule};
pub use fused::{BaseRows, FusedCheck};
pub use head::AdapterHead;
pub use loaded::{DeltaValues, LoadedAdapter, LoadedDelta, LowRankDelta, SparseDelta, Values};
pub use stack::{ActiveDelta, Stack, StackEntry, StackLimits};
pub use stack_error::{StackError, StackErrorDetail, StackRule};
pub use weighing::Weighing;
pub use whole::{Adapter, AdapterParts, adapter_writer, write_adapter};
