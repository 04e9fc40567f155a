//! The deltas that several adapters have for one tensor, in the forms that merges compute with.

use super::delta::{NewDelta, sparse_sum};
use crate::error::BreedError;
use crate::linear_algebra::Matrix;
use alloc::vec::Vec;
use cultivar_core::adapter::{ActiveDelta, DeltaValues, SparseDelta};
use cultivar_core::kernels::low_rank::panel_at;
use cultivar_core::memory::{filled, reserved};

/// The active deltas of one tensor, in stack order; at least one.
pub struct Operands<'a> {
    /// The tensor's name.
    pub target: &'a str,
    /// Rows; 1 for a vector.
    pub d_out: usize,
    /// Columns.
    pub d_in: usize,
    /// Deltas with their weights.
    pub deltas: Vec<ActiveDelta<'a>>,
}

impl<'a> Operands<'a> {
    /// Whether all deltas are low-rank.
    pub fn are_low_rank(&self) -> bool {
        let mut deltas = self.deltas.iter();
        deltas.all(|active| matches!(active.delta.values, DeltaValues::LowRank(_)))
    }

    /// Whether all deltas are sparse.
    pub fn are_sparse(&self) -> bool {
        let mut deltas = self.deltas.iter();
        deltas.all(|active| matches!(active.delta.values, DeltaValues::Sparse(_)))
    }

    /// The concatenation of low-rank deltas: exact, and with the bits of the live stack.
    pub fn concatenated(&self) -> Result<NewDelta, BreedError> {
        let memory = || BreedError::memory(self.target);
        let rank: usize = self.deltas.iter().map(|active| active.scales.len()).sum();
        let mut a = reserved(rank.saturating_mul(self.d_in)).ok_or_else(memory)?;
        let mut b = filled(0.0, rank.saturating_mul(self.d_out)).ok_or_else(memory)?;
        let mut scales = reserved(rank).ok_or_else(memory)?;
        let mut formats = ["f16"; 2];
        for active in &self.deltas {
            let DeltaValues::LowRank(low_rank) = &active.delta.values else {
                continue;
            };
            let first = scales.len();
            let (own_a, own_b) = (low_rank.a.view(), low_rank.b.view());
            a.extend((0..own_a.len()).map(|i| own_a.get(i)));
            for (row, out) in b.chunks_exact_mut(rank.max(1)).enumerate() {
                let own = out.iter_mut().skip(first).take(active.scales.len());
                for (j, out) in own.enumerate() {
                    *out = own_b.get(panel_at(row, j, active.scales.len()));
                }
            }
            scales.extend_from_slice(active.scales);
            for (format, own) in formats.iter_mut().zip(low_rank.formats) {
                if own.name != "f16" {
                    *format = "f32";
                }
            }
        }
        Ok(NewDelta::LowRank {
            a,
            b,
            scales,
            formats,
        })
    }

    /// `b [d_out, rank]` with the scales in it and `a [d_in, rank]`: the sum is `b a^T`.
    pub fn factors(&self) -> Result<(Matrix, Matrix), BreedError> {
        let NewDelta::LowRank { a, b, scales, .. } = self.concatenated()? else {
            return Err(BreedError::memory(self.target));
        };
        let memory = || BreedError::memory(self.target);
        let rank = scales.len();
        let b = Matrix::from_fn(self.d_out, rank, |row, j| {
            f64::from(scales[j]) * f64::from(b[row * rank + j])
        });
        let a = Matrix::from_fn(self.d_in, rank, |row, j| f64::from(a[j * self.d_in + row]));
        Ok((b.ok_or_else(memory)?, a.ok_or_else(memory)?))
    }

    /// The sum of all deltas, every element, in stack order.
    pub fn dense(&self) -> Result<Vec<f32>, BreedError> {
        let n = self.d_out.saturating_mul(self.d_in);
        let mut dense = filled(0.0, n).ok_or_else(|| BreedError::memory(self.target))?;
        for (row, out) in dense.chunks_exact_mut(self.d_in.max(1)).enumerate() {
            for active in &self.deltas {
                active.delta.add_row(out, row, active.weight);
            }
        }
        Ok(dense)
    }

    /// The sum of sparse deltas.
    pub fn sparse(&self) -> Result<NewDelta, BreedError> {
        let mut flat = Vec::new();
        for active in &self.deltas {
            if let DeltaValues::Sparse(sparse) = &active.delta.values {
                let indices = flat_indices(sparse, self.d_in);
                let indices = indices.ok_or_else(|| BreedError::memory(self.target))?;
                flat.push((indices, sparse.values.as_slice(), active.weight));
            }
        }
        let parts: Vec<_> = flat
            .iter()
            .map(|(i, v, w)| (i.as_slice(), *v, *w))
            .collect();
        sparse_sum(&parts, self.target)
    }

    /// The sum in the narrowest kind that holds it: sparse, or every element.
    pub fn sum(&self) -> Result<NewDelta, BreedError> {
        match self.are_sparse() {
            true => self.sparse(),
            false => Ok(NewDelta::Raw(self.dense()?)),
        }
    }
}

/// The flat indices of a sparse delta.
fn flat_indices(sparse: &SparseDelta, d_in: usize) -> Option<Vec<u32>> {
    let mut indices = reserved(sparse.columns.len())?;
    for (i, row) in sparse.rows.iter().enumerate() {
        let (columns, _) = sparse.entries(i);
        indices.extend(columns.iter().map(|column| row * d_in as u32 + column));
    }
    Some(indices)
}
