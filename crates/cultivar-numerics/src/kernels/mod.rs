//! Kernels: the arithmetic that every logit passes through, behind one contract.
//!
//! `scalar.rs` is the specification; the backend of this build (`fast`) equals it bit for bit for
//! every shape, row count and batch size, because each output element has one fixed order of
//! summation. Nothing here allocates, and no relaxed floating-point operation is used.
//! Lengths are asserted here, at the contract; kernels below may rely on them.

mod activations;
pub mod attention;
mod backend;
pub mod elementwise;
pub mod logits_fold;
pub mod low_rank;
pub mod scalar;

#[cfg(target_feature = "simd128")]
mod lanes;
#[cfg(target_feature = "simd128")]
mod pairs;
#[cfg(not(target_feature = "simd128"))]
mod portable;
#[cfg(target_feature = "simd128")]
mod products;
#[cfg(all(target_feature = "simd128", target_feature = "relaxed-simd"))]
mod relaxed;
#[cfg(all(target_feature = "simd128", not(target_feature = "relaxed-simd")))]
mod simd128;
#[cfg(target_feature = "simd128")]
mod super_tiles;
#[cfg(target_feature = "simd128")]
mod tiles;
#[cfg(target_feature = "simd128")]
mod vectors;

pub use activations::Activations;
pub use backend::{Backend, backend_name};

use crate::tensor::{Dtype, TensorRef};
use backend::fast;

/// Calls a kernel of the backend asked for. Builds with vectors hold no other than their own.
macro_rules! by_backend {
    ($backend:expr, $kernel:ident($($arg:expr),*)) => {
        match $backend {
            #[cfg(not(target_feature = "simd128"))]
            Backend::Scalar => scalar::$kernel($($arg),*),
            Backend::Fast => fast::$kernel($($arg),*),
        }
    };
}
use by_backend;

/// Columns of one quantization block, for weights and activations alike.
pub const BLOCK_LEN: usize = 32;
/// Partial sums of every f32 reduction: element `i` is added to sum `i mod 16`.
pub const PARTIAL_SUMS: usize = 16;

/// `out[t][r] = sum_k w[r][k] * x[t][k]`, reading the packed weights directly.
///
/// `out: [n_rows, d_out]`, `w: [d_out, d_in]`, activations `[n_rows, d_in]`. Quantized weights use
/// the activations' integer codes (exact block sums, scaled and added in block order); f32, f16
/// and bf16 weights use the f32 activations with 16 partial sums and a fixed tree.
/// The order of summation of an element depends on `d_in` alone.
///
/// # Panics
/// When the lengths of `out`, `w.bytes` and the activations do not fit each other.
pub fn matmul(backend: Backend, out: &mut [f32], w: TensorRef<'_>, x: &Activations) {
    let n_rows = x.n_rows();
    assert_eq!(
        w.d_in,
        x.d_in(),
        "matmul: columns of weights and activations"
    );
    assert_eq!(out.len(), n_rows * w.d_out, "matmul: length of the output");
    assert_eq!(
        w.format.stored_bytes(w.d_out as u64, w.d_in as u64),
        Some(w.bytes.len() as u64),
        "matmul: bytes of the weights"
    );
    if n_rows == 0 {
        return;
    }
    match w.format.dtype {
        Dtype::Q8_0 | Dtype::Q4_0 | Dtype::Q5_0 | Dtype::Q4K | Dtype::Q6K => {
            by_backend!(backend, matmul_tiles(out, w, x));
        }
        Dtype::F32 => matmul_plain::<4>(backend, out, w, x),
        Dtype::F16 | Dtype::Bf16 => matmul_plain::<2>(backend, out, w, x),
        // A package never gives a weight matrix of another dtype: the schema refuses it.
        Dtype::U32 => unreachable!("matmul: no kernel for {}", w.format.name),
    }
}

/// Rows of f32, f16 or bf16: `ELEMENT_BYTES` each, row-major.
fn matmul_plain<const ELEMENT_BYTES: usize>(
    backend: Backend,
    out: &mut [f32],
    w: TensorRef<'_>,
    x: &Activations,
) {
    let row_bytes = w.d_in * ELEMENT_BYTES;
    for (row_idx, row) in w.bytes.chunks_exact(row_bytes).enumerate() {
        for t in 0..x.n_rows() {
            let values = x.values(t);
            out[t * w.d_out + row_idx] = match w.format.dtype {
                Dtype::F32 => by_backend!(backend, dot_f32_bytes(row, values)),
                Dtype::F16 => by_backend!(backend, dot_f16_bytes(row, values)),
                _ => by_backend!(backend, dot_bf16_bytes(row, values)),
            };
        }
    }
}

/// `sum_i a[i] * b[i]` with 16 partial sums (index mod 16) and the fixed tree.
///
/// # Panics
/// When the lengths differ.
#[inline]
pub fn dot(backend: Backend, a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "dot: lengths");
    by_backend!(backend, dot(a, b))
}

/// [`dot`] with `b` stored as f16 bits, each widened exactly.
///
/// # Panics
/// When the lengths differ.
#[inline]
pub fn dot_f16(backend: Backend, a: &[f32], b: &[u16]) -> f32 {
    assert_eq!(a.len(), b.len(), "dot_f16: lengths");
    by_backend!(backend, dot_f16(a, b))
}

/// [`dot`] with `b` stored as raised f16 (`half::raise`), each widened exactly; whole groups of 16.
///
/// # Panics
/// When the lengths differ or are no multiple of 16.
#[inline]
pub fn dot_raised(backend: Backend, a: &[f32], b: &[u16], unit: f32) -> f32 {
    assert_eq!(a.len(), b.len(), "dot_raised: lengths");
    assert_eq!(a.len() % PARTIAL_SUMS, 0, "dot_raised: a tail");
    by_backend!(backend, dot_raised(a, b, unit))
}

/// [`dot`] with `b` stored as signed 8-bit codes, each widened exactly; the caller scales.
///
/// # Panics
/// When the lengths differ.
#[inline]
pub fn dot_i8(backend: Backend, a: &[f32], b: &[i8]) -> f32 {
    assert_eq!(a.len(), b.len(), "dot_i8: lengths");
    by_backend!(backend, dot_i8(a, b))
}

/// [`dot`] with each row: `out: [n]`, `a: [d]`, `rows: [n, d]`.
///
/// # Panics
/// When the lengths do not fit each other, or `a` is empty.
pub fn dot_rows(backend: Backend, out: &mut [f32], a: &[f32], rows: &[f32]) {
    assert_eq!(rows.len(), out.len() * a.len(), "dot_rows: lengths");
    match backend {
        #[cfg(not(target_feature = "simd128"))]
        Backend::Scalar => scalar::dot_rows(out, a, rows, scalar::dot),
        Backend::Fast => fast::dot_rows(out, a, rows),
    }
}

/// [`dot_f16`] with each row: `out: [n]`, `a: [d]`, `rows: [n, d]`.
///
/// # Panics
/// As [`dot_rows`].
pub fn dot_rows_f16(backend: Backend, out: &mut [f32], a: &[f32], rows: &[u16]) {
    assert_eq!(rows.len(), out.len() * a.len(), "dot_rows_f16: lengths");
    match backend {
        #[cfg(not(target_feature = "simd128"))]
        Backend::Scalar => scalar::dot_rows(out, a, rows, scalar::dot_f16),
        Backend::Fast => fast::dot_rows_f16(out, a, rows),
    }
}

/// [`dot_i8`] with each row: `out: [n]`, `a: [d]`, `rows: [n, d]`.
///
/// # Panics
/// As [`dot_rows`].
pub fn dot_rows_i8(backend: Backend, out: &mut [f32], a: &[f32], rows: &[i8]) {
    assert_eq!(rows.len(), out.len() * a.len(), "dot_rows_i8: lengths");
    match backend {
        #[cfg(not(target_feature = "simd128"))]
        Backend::Scalar => scalar::dot_rows(out, a, rows, scalar::dot_i8),
        Backend::Fast => fast::dot_rows_i8(out, a, rows),
    }
}

/// RMSNorm (Zhang and Sennrich, 2019): `out[i] = x[i] / sqrt(mean(x^2) + eps) * weight[i]`.
///
/// `out, x, weight: [d]`. The sum of squares is [`dot`] of `x` with itself; the reciprocal is
/// taken once and multiplied first, the weight second. `NaN` spreads to the whole row.
///
/// # Panics
/// When the lengths differ.
pub fn rms_norm(backend: Backend, out: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
    assert_eq!(out.len(), x.len(), "rms_norm: length of the output");
    assert_eq!(weight.len(), x.len(), "rms_norm: length of the weight");
    let inverse = inverse_rms(backend, x, eps);
    for ((o, v), w) in out.iter_mut().zip(x).zip(weight) {
        *o = (v * inverse) * w;
    }
}

/// [`rms_norm`] of a row in its own place: `x, weight: [d]`.
///
/// # Panics
/// When the lengths differ.
pub fn rms_norm_in_place(backend: Backend, x: &mut [f32], weight: &[f32], eps: f32) {
    assert_eq!(weight.len(), x.len(), "rms_norm: length of the weight");
    let inverse = inverse_rms(backend, x, eps);
    for (v, w) in x.iter_mut().zip(weight) {
        *v = (*v * inverse) * w;
    }
}

/// LayerNorm (Ba, Kiros and Hinton, 2016) of a row in its own place:
/// `x[i] = (x[i] - mean) / sqrt(variance + eps) * weight[i]`; the caller adds the bias.
///
/// `x, weight: [d]`. The mean is taken away first ([`elementwise::center`]); what is left is
/// normalized as by [`rms_norm`], its mean square being the variance. `NaN` spreads to the row.
///
/// # Panics
/// When the lengths differ.
pub fn layer_norm(backend: Backend, x: &mut [f32], weight: &[f32], eps: f32) {
    elementwise::center(x);
    rms_norm_in_place(backend, x, weight, eps);
}

/// `1 / sqrt(mean(x^2) + eps)`.
#[inline]
fn inverse_rms(backend: Backend, x: &[f32], eps: f32) -> f32 {
    let mean = dot(backend, x, x) / x.len() as f32;
    1.0 / crate::math::sqrt_f32(mean + eps)
}
