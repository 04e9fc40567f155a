//! Rotary position embedding (Su et al., 2021): angles in f64, rotation in half-split order.

use crate::math::{cos_f64, exp_f64, ln_f64, sin_f64};
use crate::memory::{filled, reserved};
use alloc::vec::Vec;

/// Frequencies of a head and the cosines and sines of the rows now computed.
pub struct Rope {
    /// `[head_dim / 2]`, radians per position.
    frequencies: Vec<f64>,
    /// `[max_rows, head_dim / 2]`.
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rope {
    /// Frequencies `theta^(-2i / head_dim)` and room for `max_rows` positions; `None` if memory
    /// cannot be had.
    pub fn new(head_dim: usize, theta: f64, max_rows: usize) -> Option<Self> {
        let half = head_dim / 2;
        let step = ln_f64(theta) * -2.0 / head_dim as f64;
        let mut frequencies = reserved(half)?;
        frequencies.extend((0..half).map(|i| exp_f64(i as f64 * step)));
        let len = max_rows.checked_mul(half)?;
        Some(Self {
            frequencies,
            cos: filled(0.0, len)?,
            sin: filled(0.0, len)?,
        })
    }

    /// Computes the angles of these positions; row `t` of the tables is for `positions[t]`.
    pub fn prepare(&mut self, positions: impl Iterator<Item = u32>) {
        let half = self.frequencies.len();
        let tables = self
            .cos
            .chunks_exact_mut(half)
            .zip(self.sin.chunks_exact_mut(half));
        for (position, (cos, sin)) in positions.zip(tables) {
            let tables = cos.iter_mut().zip(sin);
            for ((cos, sin), frequency) in tables.zip(&self.frequencies) {
                let angle = f64::from(position) * frequency;
                *cos = cos_f64(angle) as f32;
                *sin = sin_f64(angle) as f32;
            }
        }
    }

    /// Cosines and sines of row `t`: `[head_dim / 2]` each.
    pub fn row(&self, t: usize) -> (&[f32], &[f32]) {
        let half = self.frequencies.len();
        (
            &self.cos[t * half..(t + 1) * half],
            &self.sin[t * half..(t + 1) * half],
        )
    }
}
