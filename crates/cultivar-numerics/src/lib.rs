//! The arithmetic of Cultivar: own functions, random numbers, tensor formats and kernels.
//!
//! A crate of its own so that it can be compiled for speed where everything else is compiled for
//! size; the engine's crate re-exports its modules. No IO, no clock, no globals, no unsafe, and no
//! knowledge of packages or models. Modules are listed lower layer first; a module uses only
//! modules above it in this list and its own folder.
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]

extern crate alloc;

pub mod math;
pub mod memory;
pub mod rng;

pub mod tensor;

pub mod kernels;
