//! Adapters (`.sla`): what is added to a base model, tensor by tensor, and to which bases.
//!
//! Reading, writing and validating; nothing is applied here. An adapter is validated wholly, with
//! its base, before anything changes. Three kinds of delta: raw, sparse and low-rank; DoRA
//! magnitudes have a reserved name and are refused by it. Specified in `docs/package-format.md`.

mod binding;
mod delta;
mod error;
mod head;
mod whole;

pub use binding::{BaseFit, Binding};
pub use delta::{Delta, DeltaKind, Part};
pub use error::{AdapterError, AdapterRule};
pub use head::AdapterHead;
pub use whole::{Adapter, AdapterParts, adapter_writer, write_adapter};
