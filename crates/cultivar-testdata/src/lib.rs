//! For tests and measurements only: byte builders, seeded random models, a naive reference.
//!
//! Nothing that ships depends on this crate. It may panic: what it builds is code, not input.
#![forbid(unsafe_code)]

pub mod adapters;
pub mod byte_builder;
pub mod family;
pub mod foreign_files;
pub mod hostile;
pub mod hostile_adapters;
pub mod loading;
pub mod models;
pub mod random_text;
pub mod reference;
mod reference_rope;
pub mod small_llama;
pub mod small_packages;
pub mod variants;
