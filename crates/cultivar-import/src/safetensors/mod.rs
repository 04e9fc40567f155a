//! safetensors (Hugging Face, 2022): the header of a file, and the index of a model in several.
//!
//! A file is `u64 n`, `n` bytes of JSON, then the tensors without gap or overlap to its end.
//! Nothing is believed before that has been checked. Source: safetensors `README.md`.

mod header;
mod index;

pub use header::{HEADER_BYTES_MAX, SafeDtype, SafeTensor, Safetensors, header_bytes};
pub use index::ShardIndex;
