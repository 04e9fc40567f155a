//! The engine of Cultivar: packages, tensors, kernels, tokenizers, model, cache, sampler, session.
//!
//! Promises: no IO, no clock, no threads, no globals, no unsafe, no knowledge of wasm or of a
//! page; bytes, seeds and durations come in as arguments; memory is sized when something is
//! opened and nothing is allocated per token. Modules are listed lower layer first; a module uses
//! only modules above it in this list and its own folder.
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]

extern crate alloc;

pub use cultivar_numerics::{kernels, math, memory, rng, tensor};

pub mod bytes;
pub mod digest;
pub mod json;
pub mod self_test;
pub mod sorting;

pub mod kv_cache;
pub mod tokenizer;

pub mod package;

pub mod adapter;

pub mod grammar;
pub mod model;
pub mod sampler;

pub mod session;
