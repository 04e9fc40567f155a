//! Normalization of rows.

use super::linear::Target;
use super::mixes::Mixes;
use crate::kernels::{self, Backend};

/// RMSNorm of each row: `out, x: [n_rows, d]`, `weight: [d]`; see [`kernels::rms_norm`].
///
/// `target` names the weight, to which the stack of each row may add.
pub(super) fn normalize(
    backend: Backend,
    out: &mut [f32],
    x: &[f32],
    weight: &[f32],
    target: Target,
    eps: f32,
    mixes: &mut Mixes,
) {
    let width = weight.len();
    let rows = out.chunks_exact_mut(width).zip(x.chunks_exact(width));
    for (t, (out, x)) in rows.enumerate() {
        kernels::rms_norm(backend, out, x, mixes.vector(weight, t, target), eps);
    }
}
