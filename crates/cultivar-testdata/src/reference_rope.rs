//! Rotary positions of the naive forward pass, straight from the papers' formulas in f64.

use cultivar_core::package::{ModelConfig, RopeScalingKind};
use std::f64::consts::TAU;

/// How one layer rotates its heads.
pub struct Rotation {
    /// Radians per position of each pair.
    frequencies: Vec<f64>,
    /// Factor on cosines and sines.
    amplitude: f64,
}

impl Rotation {
    /// Turns the pairs of one head by the angles of a position.
    pub fn apply(&self, head: &mut [f64], position: usize) {
        let half = self.frequencies.len();
        for (i, frequency) in self.frequencies.iter().enumerate() {
            let (sin, cos) = (position as f64 * frequency).sin_cos();
            let (sin, cos) = (sin * self.amplitude, cos * self.amplitude);
            let (a, b) = (head[i], head[i + half]);
            (head[i], head[i + half]) = (a * cos - b * sin, b * cos + a * sin);
        }
    }
}

/// The rotation of a layer.
pub fn rotation(config: &ModelConfig, layer: usize) -> Rotation {
    let rotary_dim = config.head_dim as f64 * config.rotary_fraction;
    let thetas = &config.rope_theta_per_layer;
    let theta = thetas.get(layer).copied().unwrap_or(config.rope_theta);
    let is_scaled = config.rope_scaling_layers.get(layer) != Some(&0);
    let (factor, params) = (config.rope_scaling_factor, &config.rope_scaling_params);
    let mut amplitude = 1.0;
    let mut frequencies = Vec::new();
    for i in 0..rotary_dim as usize / 2 {
        let plain = 1.0 / theta.powf(2.0 * i as f64 / rotary_dim);
        let kind = config.rope_scaling_kind;
        frequencies.push(match kind {
            _ if !is_scaled => plain,
            RopeScalingKind::None => plain,
            RopeScalingKind::Linear => plain / factor,
            RopeScalingKind::Llama3 => {
                // The share of the unstretched frequency grows with the turns in the old context.
                let turns = params[2] * plain / TAU;
                let share = ((turns - params[0]) / (params[1] - params[0])).clamp(0.0, 1.0);
                plain * (share + (1.0 - share) / factor)
            }
            RopeScalingKind::Yarn => {
                amplitude = params[3];
                let at =
                    |turns: f64| rotary_dim * (params[2] / (turns * TAU)).ln() / (2.0 * theta.ln());
                let (mut low, mut high) = (at(params[0]), at(params[1]));
                if params[4] == 1.0 {
                    (low, high) = (low.floor(), high.ceil());
                }
                let (low, high) = (low.max(0.0), high.min(rotary_dim - 1.0));
                let width = if low == high { 0.001 } else { high - low };
                let share = 1.0 - ((i as f64 - low) / width).clamp(0.0, 1.0);
                plain * (share + (1.0 - share) / factor)
            }
        });
    }
    Rotation {
        frequencies,
        amplitude,
    }
}
