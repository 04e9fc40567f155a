//! Linear layers: a matrix in its package format and a bias, and the one place where the forward
//! pass multiplies by a weight matrix.
//!
//! Whoever changes what a layer computes (an adapter beside its matrix, another kernel) does so
//! here, for every matrix alike. The target names the layer; the products know no more of it.

use super::mixes::Mixes;
use super::weights::Tensor;
use crate::kernels::{self, Activations, Backend, elementwise};
use crate::package::schema::TensorRole;
use alloc::vec::Vec;

/// A matrix `[d_out, d_in]` and what is added to its products.
pub struct Linear {
    /// `[d_out, d_in]`.
    pub weight: Tensor,
    /// `[d_out]`; empty if the layer has none.
    pub bias: Vec<f32>,
}

/// Which matrix of a model is meant. `token_embedding` and `output` are two targets, also where
/// both are one matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// What the matrix does.
    pub role: TensorRole,
    /// Its layer; `None` for matrices outside the layers.
    pub layer: Option<usize>,
}

impl Target {
    /// The matrix that does this, in this layer.
    pub const fn new(role: TensorRole, layer: Option<usize>) -> Self {
        Self { role, layer }
    }

    /// The bias beside this matrix or norm, if there can be one.
    pub fn bias(self) -> Option<Self> {
        let layer = self.layer;
        self.role.bias().map(|role| Self { role, layer })
    }
}

/// Loads rows for the matrices that read them next; quantizes them if any of those needs it.
///
/// `rows: [n_rows, d_in]`.
pub(super) fn load<'a>(
    activations: &mut Activations,
    backend: Backend,
    rows: &[f32],
    d_in: usize,
    readers: impl IntoIterator<Item = &'a Linear>,
) {
    let mut readers = readers.into_iter();
    let quantize = readers.any(|linear| linear.weight.is_quantized());
    activations.load(backend, rows, d_in, quantize);
}

/// `out[t] = (W + deltas of row t's stack) x[t] + b` for the rows now loaded.
///
/// `out: [n_rows, d_out]`, `x: [n_rows, d_in]`. The product is [`kernels::matmul`]'s; deltas of
/// adapters are added to the finished sum, then the bias.
pub(super) fn multiply(
    backend: Backend,
    out: &mut [f32],
    linear: &Linear,
    target: Target,
    x: &Activations,
    mixes: &mut Mixes,
) {
    kernels::matmul(backend, out, linear.weight.view(), x);
    mixes.add_products(backend, out, target, x);
    if let Some(bias) = target.bias().filter(|_| !linear.bias.is_empty()) {
        for (t, out) in out.chunks_exact_mut(linear.bias.len()).enumerate() {
            elementwise::add(out, mixes.vector(&linear.bias, t, bias));
        }
    }
}
