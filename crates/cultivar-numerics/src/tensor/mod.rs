//! Tensors as packages store them: formats, exact conversions, views over bytes.
//!
//! One row of [`FORMATS`] per working format. Nothing here knows of models or of kernels.

pub mod codec;
mod dtype;
mod error;
pub mod half;
pub mod payload;
pub mod quant;
pub mod quant_k;
pub mod row_order;
pub mod tile;
pub mod unpacked;

pub use dtype::{Dtype, FORMATS, Format, Layout, Parts};
pub use error::{TensorError, TensorErrorKind};

/// A matrix `[d_out, d_in]` over its stored bytes.
#[derive(Clone, Copy, Debug)]
pub struct TensorRef<'a> {
    /// Dtype and layout.
    pub format: &'static Format,
    /// Rows.
    pub d_out: usize,
    /// Columns.
    pub d_in: usize,
    /// As stored, `format.stored_bytes(d_out, d_in)` long.
    pub bytes: &'a [u8],
}
