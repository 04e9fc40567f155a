//! Small dense linear algebra in f64: products, QR and singular values, each in one fixed order.
//!
//! For factors of adapters, so at most a few thousand columns. Every result is the same bits on
//! every machine: no fused operation, no library function, no order that depends on threads.

mod matrix;
mod qr;
mod svd;

pub use matrix::Matrix;
pub use qr::{Qr, qr};
pub use svd::{Svd, low_rank_svd, randomized_svd, svd};
