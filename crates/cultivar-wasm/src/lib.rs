//! The WebAssembly boundary: allocator, handles, status codes, and a table of plain functions.
//!
//! The only crate with `unsafe`, every block with its proof. The module imports nothing: no
//! clock, no randomness, no printing; the host asks and is answered. All verbs are safe methods
//! of [`host::Host`], so they are tested natively; `docs/abi.md` describes them for hosts.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![allow(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn)]
#![deny(clippy::disallowed_methods)]

extern crate alloc;

pub mod buffer;
pub mod exports;
pub mod handles;
pub mod heap;
pub mod host;
#[cfg(feature = "breeder")]
mod jobs;
pub mod status;
pub mod verbs;

#[cfg(target_arch = "wasm32")]
mod panic;
#[cfg(target_arch = "wasm32")]
mod wasm_heap;

/// Figures of the heap, and bytes of the whole memory; zeros where the system allocates.
pub(crate) fn memory_figures() -> (heap::HeapStats, usize) {
    #[cfg(target_arch = "wasm32")]
    return (wasm_heap::stats(), wasm_heap::memory_bytes());
    #[cfg(not(target_arch = "wasm32"))]
    return (heap::HeapStats::default(), 0);
}

/// Starts a new measurement of the heap's peak.
pub(crate) fn reset_memory_peak() {
    #[cfg(target_arch = "wasm32")]
    wasm_heap::reset_peak();
}
