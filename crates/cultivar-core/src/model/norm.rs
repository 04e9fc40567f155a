//! Normalization of rows.

use crate::kernels::{self, Backend};

/// RMSNorm of each row: `out, x: [n_rows, d]`, `weight: [d]`; see [`kernels::rms_norm`].
pub(super) fn normalize(backend: Backend, out: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
    let width = weight.len();
    for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
        kernels::rms_norm(backend, out, x, weight, eps);
    }
}
