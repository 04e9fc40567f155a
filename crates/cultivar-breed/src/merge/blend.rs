//! Bounded noise for a blend: `alpha D1 + (1 - alpha) D2 + eps`, where `|eps| <= noise * rms` and
//! `rms` is the root mean square of the blended delta's elements.
//!
//! Low-rank deltas get one more component with factors within -1..1, others noise on the elements
//! that they have. Every number is named by seed, tensor and place.

use super::delta::NewDelta;
use super::operands::Operands;
use crate::error::BreedError;
use crate::linear_algebra::qr;
use cultivar_core::math::sqrt_f64;
use cultivar_core::rng::{self, Purpose};

/// Which random numbers a tensor's noise takes.
#[derive(Clone, Copy, Debug)]
pub struct NoiseStream {
    /// Names the blend.
    pub seed: u64,
    /// Names the tensor: its place among the targets.
    pub target_idx: u64,
}

impl NoiseStream {
    /// Number `index`, evenly from -1 to 1.
    fn number(&self, index: u64) -> f32 {
        let place = (self.target_idx << 40) | index;
        let [word, ..] = rng::draw(self.seed, Purpose::BlendNoise, place);
        rng::unit_f32(word) * 2.0 - 1.0
    }
}

/// Adds noise to a delta that was made of these operands.
pub fn add_noise(
    delta: &mut NewDelta,
    operands: &Operands<'_>,
    noise: f32,
    stream: NoiseStream,
) -> Result<(), BreedError> {
    let n_elements = (operands.d_out * operands.d_in) as f64;
    match delta {
        NewDelta::LowRank {
            a,
            b,
            scales,
            formats,
        } => {
            let memory = || BreedError::memory(operands.target);
            let (own_b, own_a) = operands.factors()?;
            let (b_core, a_core) = (qr(&own_b), qr(&own_a));
            let (b_core, a_core) = (b_core.ok_or_else(memory)?.r, a_core.ok_or_else(memory)?.r);
            let core = b_core.times_transposed(&a_core).ok_or_else(memory)?;
            let rms = core.norm() / sqrt_f64(n_elements);
            let rank = scales.len();
            let n_in = operands.d_in as u64;
            a.extend((0..n_in).map(|i| stream.number(i)));
            let mut wider = alloc::vec::Vec::new();
            wider
                .try_reserve_exact(b.len() + operands.d_out)
                .map_err(|_| memory())?;
            for (row, components) in b.chunks_exact(rank.max(1)).enumerate() {
                wider.extend_from_slice(components);
                wider.push(stream.number(n_in + row as u64));
            }
            *b = wider;
            scales.push((f64::from(noise) * rms) as f32);
            *formats = ["f32"; 2];
        }
        NewDelta::Raw(values) | NewDelta::Sparse(_, values) => {
            let squares: f64 = values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
            let bound = (f64::from(noise) * sqrt_f64(squares / n_elements)) as f32;
            for (i, value) in values.iter_mut().enumerate() {
                *value += bound * stream.number(i as u64);
            }
        }
    }
    Ok(())
}
