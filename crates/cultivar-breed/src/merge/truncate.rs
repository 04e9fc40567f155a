//! Truncated singular values: the nearest delta of a chosen rank (Eckart and Young, 1936).
//!
//! Low-rank deltas go through the QR of their factors and the small core between them, dense ones
//! through a seeded sketch. The new factors have orthonormal rows and columns; singular values are
//! the scales.

use super::delta::NewDelta;
use super::operands::Operands;
use crate::error::BreedError;
use crate::linear_algebra::{Matrix, Svd, low_rank_svd, randomized_svd};
use alloc::vec::Vec;

/// What a truncation kept and lost: Frobenius norms, squared.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// Of what was to be represented.
    pub norm_squared: f64,
    /// Of what is missing.
    pub lost_squared: f64,
}

impl Loss {
    /// The relative Frobenius error; 0 of nothing.
    pub fn relative(&self) -> f64 {
        if self.norm_squared <= 0.0 {
            return 0.0;
        }
        cultivar_core::math::sqrt_f64(self.lost_squared / self.norm_squared)
    }

    /// Adds the loss of another tensor.
    pub fn add(&mut self, other: Loss) {
        self.norm_squared += other.norm_squared;
        self.lost_squared += other.lost_squared;
    }
}

/// The sum of all deltas of a matrix at `rank` components.
pub fn truncate(
    operands: &Operands<'_>,
    rank: usize,
    seed: u64,
) -> Result<(NewDelta, Loss), BreedError> {
    let memory = || BreedError::memory(operands.target);
    if operands.are_low_rank() {
        let (b, a) = operands.factors()?;
        let of = low_rank_svd(&b, &a).ok_or_else(memory)?;
        let squares = |sigma: &[f64]| sigma.iter().map(|s| s * s).sum::<f64>();
        let lost = squares(of.sigma.get(rank..).unwrap_or(&[]));
        let loss = Loss {
            norm_squared: squares(&of.sigma),
            lost_squared: lost,
        };
        return Ok((to_delta(&of.truncated(rank)), loss));
    }
    let dense = operands.dense()?;
    let of_dense = truncate_dense(&dense, operands.d_out, operands.d_in, rank, seed);
    of_dense.ok_or_else(memory)
}

/// A dense delta, row after row, at `rank` components; `None` if memory cannot be had.
pub fn truncate_dense(
    dense: &[f32],
    d_out: usize,
    d_in: usize,
    rank: usize,
    seed: u64,
) -> Option<(NewDelta, Loss)> {
    let at = |row: usize, column: usize| f64::from(dense[row * d_in + column]);
    let matrix = Matrix::from_fn(d_out, d_in, at)?;
    let of = randomized_svd(&matrix, rank, seed)?;
    let norm = matrix.norm();
    let kept: f64 = of.sigma.iter().map(|s| s * s).sum();
    // Below zero where rounding says so: nothing is lost then.
    let lost = norm * norm - kept;
    let loss = Loss {
        norm_squared: norm * norm,
        lost_squared: if lost > 0.0 { lost } else { 0.0 },
    };
    Some((to_delta(&of), loss))
}

/// Left vectors as `lora_b`, right ones as `lora_a`, singular values as scales.
fn to_delta(of: &Svd) -> NewDelta {
    let rank = of.sigma.len();
    let rows = 0..of.u.n_rows();
    let b: Vec<f32> = rows
        .flat_map(|row| (0..rank).map(move |j| of.u.at(row, j) as f32))
        .collect();
    let a: Vec<f32> = (0..rank)
        .flat_map(|j| of.v.column(j).iter().map(|value| *value as f32))
        .collect();
    NewDelta::LowRank {
        a,
        b,
        scales: of.sigma.iter().map(|sigma| *sigma as f32).collect(),
        formats: ["f32"; 2],
    }
}
