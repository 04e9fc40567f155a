//! Rotary position embedding (Su et al., 2021): angles in f64, rotation in half-split order.
//!
//! Layers that rotate alike share one table. A model whose positions enter otherwise has none.

use super::rope_scaling;
use crate::kernels::elementwise;
use crate::math::{cos_f64, exp_f64, ln_f64, sin_f64};
use crate::memory::{filled, reserved};
use crate::package::{ModelConfig, PositionKind, RopeScalingKind};
use alloc::vec::Vec;

/// One way to rotate, and the cosines and sines of the rows now computed.
struct Table {
    theta: f64,
    scaling: RopeScalingKind,
    /// `[rotary_dim / 2]`, radians per position.
    frequencies: Vec<f64>,
    /// Factor on cosines and sines.
    attention_factor: f64,
    /// `[max_rows, rotary_dim / 2]`.
    cos: Vec<f32>,
    sin: Vec<f32>,
}

/// The rotations of a model's layers.
pub struct Rope {
    rotary_dim: usize,
    tables: Vec<Table>,
    /// The table of each layer: `[n_layers]`; empty if nothing is rotated.
    layers: Vec<usize>,
}

/// How many tables [`Rope::new`] makes for this configuration.
pub(super) fn n_tables(config: &ModelConfig) -> usize {
    if config.position_kind != PositionKind::Rope {
        return 0;
    }
    let rotation = |layer_idx| {
        let theta = config.layer_rope_theta(layer_idx);
        (theta, config.layer_rope_scaling(layer_idx))
    };
    let is_first = |layer_idx: &usize| {
        let own = rotation(*layer_idx);
        (0..*layer_idx).all(|other| rotation(other) != own)
    };
    (0..config.n_layers).filter(is_first).count()
}

impl Rope {
    /// Frequencies of a validated configuration and room for `max_rows` positions; `None` if
    /// memory cannot be had.
    pub fn new(config: &ModelConfig, max_rows: usize) -> Option<Self> {
        let n_tables = n_tables(config);
        let mut tables: Vec<Table> = reserved(n_tables)?;
        let n_rotated = if n_tables > 0 { config.n_layers } else { 0 };
        let mut layers = reserved(n_rotated)?;
        for layer_idx in 0..n_rotated {
            let theta = config.layer_rope_theta(layer_idx);
            let scaling = config.layer_rope_scaling(layer_idx);
            let is_alike = |table: &Table| table.theta == theta && table.scaling == scaling;
            let table_idx = match tables.iter().position(is_alike) {
                Some(table_idx) => table_idx,
                None => {
                    tables.push(Table::new(config, theta, scaling, max_rows)?);
                    tables.len() - 1
                }
            };
            layers.push(table_idx);
        }
        Some(Self {
            rotary_dim: config.rotary_dim(),
            tables,
            layers,
        })
    }

    /// Computes the angles of these positions; row `t` of the tables is for `positions[t]`.
    pub fn prepare(&mut self, positions: impl Iterator<Item = u32> + Clone) {
        for table in &mut self.tables {
            table.prepare(positions.clone());
        }
    }

    /// Rotates the heads of row `t` in a layer: `heads: [n_heads, head_dim]`, of each head the
    /// first `rotary_dim` elements.
    pub fn rotate(&self, layer_idx: usize, t: usize, heads: &mut [f32], head_dim: usize) {
        let Some(&table_idx) = self.layers.get(layer_idx) else {
            return;
        };
        let (table, half) = (&self.tables[table_idx], self.rotary_dim / 2);
        let row = t * half..(t + 1) * half;
        let (cos, sin) = (&table.cos[row.clone()], &table.sin[row]);
        for head in heads.chunks_exact_mut(head_dim) {
            elementwise::rotate_half(&mut head[..self.rotary_dim], cos, sin);
        }
    }
}

impl Table {
    /// Frequencies `theta^(-2i / rotary_dim)`, stretched as the configuration says.
    fn new(
        config: &ModelConfig,
        theta: f64,
        scaling: RopeScalingKind,
        max_rows: usize,
    ) -> Option<Self> {
        let rotary_dim = config.rotary_dim();
        let half = rotary_dim / 2;
        let step = ln_f64(theta) * -2.0 / rotary_dim as f64;
        let mut frequencies = reserved(half)?;
        frequencies.extend((0..half).map(|i| exp_f64(i as f64 * step)));
        let attention_factor = rope_scaling::stretch(&mut frequencies, theta, scaling, config);
        let len = max_rows.checked_mul(half)?;
        Some(Self {
            theta,
            scaling,
            frequencies,
            attention_factor,
            cos: filled(0.0, len)?,
            sin: filled(0.0, len)?,
        })
    }

    fn prepare(&mut self, positions: impl Iterator<Item = u32>) {
        let (half, factor) = (self.frequencies.len(), self.attention_factor);
        let tables = self
            .cos
            .chunks_exact_mut(half)
            .zip(self.sin.chunks_exact_mut(half));
        for (position, (cos, sin)) in positions.zip(tables) {
            let tables = cos.iter_mut().zip(sin);
            for ((cos, sin), frequency) in tables.zip(&self.frequencies) {
                let angle = f64::from(position) * frequency;
                *cos = (cos_f64(angle) * factor) as f32;
                *sin = (sin_f64(angle) * factor) as f32;
            }
        }
    }
}
