//! GGUF (ggml-org, 2023), versions 2 and 3: the header of a file, borrowed from its first bytes.
//!
//! Nothing is copied and nothing is believed: counts are held against the bytes that are there,
//! every place against the file. What the keys mean is for those who ask for them.
//! Source: ggml `docs/gguf.md`.

mod header;
mod tensor;
mod value;

pub use header::{Gguf, HEADER_BYTES_MAX, MAGIC, Parsed};
pub use tensor::GgufTensor;
pub use value::{GgufArray, GgufValue};
