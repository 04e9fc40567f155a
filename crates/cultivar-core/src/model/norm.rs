//! Normalization of rows, as a model's options ask for it.
//!
//! Targets name the vectors, to which the adapters of each row may add.

use super::linear::Target;
use super::mixes::Mixes;
use crate::kernels::{self, Backend, elementwise};
use crate::package::NormKind;
use alloc::vec::Vec;

/// The parameters of one normalization.
pub struct Norm {
    /// Factors: `[d]`.
    pub weight: Vec<f32>,
    /// Summands: `[d]` for a LayerNorm, empty for an RMSNorm.
    pub bias: Vec<f32>,
}

/// How all rows of a model are normalized.
#[derive(Clone, Copy)]
pub(super) struct Normalizer {
    pub backend: Backend,
    pub kind: NormKind,
    pub eps: f32,
}

impl Normalizer {
    /// `out[t] = norm(x[t])`: `out, x: [n_rows, d]`.
    pub fn rows(self, out: &mut [f32], x: &[f32], norm: &Norm, target: Target, mixes: &mut Mixes) {
        let width = norm.weight.len();
        let rows = out.chunks_exact_mut(width).zip(x.chunks_exact(width));
        for (t, (out, x)) in rows.enumerate() {
            self.row(out, x, (norm, target), t, mixes);
        }
    }

    /// `out = norm(x)` for row `t` of the batch: `out, x: [d]`.
    pub fn row(
        self,
        out: &mut [f32],
        x: &[f32],
        (norm, target): (&Norm, Target),
        t: usize,
        mixes: &mut Mixes,
    ) {
        match self.kind {
            NormKind::Rms => {
                let weight = mixes.vector(&norm.weight, t, target);
                kernels::rms_norm(self.backend, out, x, weight, self.eps);
            }
            NormKind::Layer => {
                out.copy_from_slice(x);
                self.row_in_place(out, (norm, target), t, mixes);
            }
        }
    }

    /// `x[t] = norm(x[t])`: `x: [n_rows, d]`.
    pub fn rows_in_place(self, x: &mut [f32], norm: &Norm, target: Target, mixes: &mut Mixes) {
        for (t, x) in x.chunks_exact_mut(norm.weight.len()).enumerate() {
            self.row_in_place(x, (norm, target), t, mixes);
        }
    }

    fn row_in_place(
        self,
        x: &mut [f32],
        (norm, target): (&Norm, Target),
        t: usize,
        mixes: &mut Mixes,
    ) {
        let weight = mixes.vector(&norm.weight, t, target);
        match self.kind {
            NormKind::Rms => kernels::rms_norm_in_place(self.backend, x, weight, self.eps),
            NormKind::Layer => kernels::layer_norm(self.backend, x, weight, self.eps),
        }
        if let Some(bias) = target.bias().filter(|_| !norm.bias.is_empty()) {
            elementwise::add(x, mixes.vector(&norm.bias, t, bias));
        }
    }

    /// RMSNorm, whatever the kind, of each `[weight.len()]` of a row of heads: `x: [n_rows,
    /// d_heads]`.
    pub fn heads(
        self,
        x: &mut [f32],
        d_heads: usize,
        weight: &[f32],
        target: Target,
        mixes: &mut Mixes,
    ) {
        for (t, x) in x.chunks_exact_mut(d_heads).enumerate() {
            let weight = mixes.vector(weight, t, target);
            for x in x.chunks_exact_mut(weight.len()) {
                kernels::rms_norm_in_place(self.backend, x, weight, self.eps);
            }
        }
    }
}
