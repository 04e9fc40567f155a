//! The sampler: one token from logits, by settings and a counter-based random stream.
//!
//! Steps, in order: temperature, top-k, top-p, draw. Buffers are fixed; the order of every sum is
//! fixed, so a seed names one text everywhere. When the probabilities have no usable mass the
//! choice falls back to greedy, and the fallback is counted.

mod candidates;

use crate::math::exp_f32;
use crate::rng::{self, Purpose};
use alloc::vec::Vec;
use candidates::Candidate;

/// Most candidates that are ever compared; the bound of `top_k`.
pub const TOP_K_MAX: usize = 1024;

/// How a token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplerSettings {
    /// 0 is greedy; otherwise logits are divided by it.
    pub temperature: f32,
    /// Candidates kept, by logit: 1..=1024.
    pub top_k: u32,
    /// Candidates kept, by cumulative probability: above 0, up to 1.
    pub top_p: f32,
    /// Names the random stream.
    pub seed: u64,
}

/// Chooses tokens; holds the candidates' buffer and counts fallbacks.
pub struct Sampler {
    settings: SamplerSettings,
    candidates: Vec<Candidate>,
    n_fallbacks: u64,
}

impl Sampler {
    /// A sampler with room for `top_k` candidates.
    pub fn new(settings: SamplerSettings) -> Self {
        let room = if settings.temperature == 0.0 {
            0
        } else {
            settings.top_k as usize
        };
        Self {
            settings,
            candidates: Vec::with_capacity(room.min(TOP_K_MAX)),
            n_fallbacks: 0,
        }
    }

    /// How tokens are chosen.
    pub fn settings(&self) -> SamplerSettings {
        self.settings
    }

    /// How many choices fell back to greedy because probabilities had no usable mass.
    pub fn n_fallbacks(&self) -> u64 {
        self.n_fallbacks
    }

    /// Chooses the token of step `index` of the stream: an index into `logits`.
    pub fn sample(&mut self, logits: &[f32], index: u64) -> u32 {
        if self.settings.temperature == 0.0 {
            return greedy(logits);
        }
        candidates::select(&mut self.candidates, logits, self.settings.top_k as usize);
        let mass = self.weigh();
        if !(mass > 0.0 && mass < f32::INFINITY) {
            self.n_fallbacks += 1;
            return greedy(logits);
        }
        let kept = self.keep_top_p(mass);
        let draw = rng::draw(self.settings.seed, Purpose::Sample, index);
        let target = rng::unit_f32(draw[0]) * kept;
        let mut sum = 0.0;
        for candidate in &self.candidates {
            sum += candidate.weight;
            if sum > target {
                return candidate.token;
            }
        }
        // Rounding may leave the target at the very end of the mass.
        self.candidates
            .last()
            .map_or_else(|| greedy(logits), |candidate| candidate.token)
    }

    /// `weight = exp((logit - max) / temperature)` for each candidate; returns their sum.
    fn weigh(&mut self) -> f32 {
        let max = self
            .candidates
            .first()
            .map_or(0.0, |candidate| candidate.logit);
        let mut mass = 0.0;
        for candidate in &mut self.candidates {
            candidate.weight = exp_f32((candidate.logit - max) / self.settings.temperature);
            mass += candidate.weight;
        }
        mass
    }

    /// Drops the candidates after the first whose cumulative weight reaches `top_p * mass`;
    /// returns the weight of those kept.
    fn keep_top_p(&mut self, mass: f32) -> f32 {
        let limit = self.settings.top_p * mass;
        let mut sum = 0.0;
        for i in 0..self.candidates.len() {
            sum += self.candidates[i].weight;
            if sum >= limit {
                self.candidates.truncate(i + 1);
                break;
            }
        }
        sum
    }
}

/// The token with the largest logit; the lowest id among equals. `NaN` is never larger.
pub fn greedy(logits: &[f32]) -> u32 {
    let mut best = 0;
    let mut best_logit = f32::NEG_INFINITY;
    for (id, &logit) in logits.iter().enumerate() {
        if logit > best_logit {
            (best, best_logit) = (id as u32, logit);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn settings(temperature: f32, top_k: u32, top_p: f32, seed: u64) -> SamplerSettings {
        SamplerSettings {
            temperature,
            top_k,
            top_p,
            seed,
        }
    }

    #[test]
    fn greedy_takes_the_first_of_equals_and_ignores_nan() {
        assert_eq!(greedy(&[1.0, 3.0, 3.0]), 1);
        assert_eq!(greedy(&[f32::NAN, -2.0, f32::NEG_INFINITY]), 1);
        assert_eq!(greedy(&[f32::NAN, f32::NAN]), 0);
        let mut sampler = Sampler::new(settings(0.0, 40, 1.0, 7));
        assert_eq!(sampler.sample(&[0.0, 5.0, 1.0], 0), 1);
    }

    #[test]
    fn frequencies_follow_the_probabilities() {
        let logits = [0.0f32, 1.0, 2.0, -1.0];
        let total: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum();
        let mut sampler = Sampler::new(settings(1.0, 1024, 1.0, 42));
        let mut counts = [0u32; 4];
        for index in 0..40_000 {
            counts[sampler.sample(&logits, index) as usize] += 1;
        }
        for (count, logit) in counts.iter().zip(logits) {
            let expected = f64::from(logit).exp() / total * 40_000.0;
            let deviation = (f64::from(*count) - expected).abs();
            assert!(deviation < 5.0 * expected.sqrt(), "{count} of {expected}");
        }
    }

    #[test]
    fn top_k_and_top_p_bound_what_can_be_chosen() {
        let logits = [2.0f32, 1.9, 1.8, 1.7, 1.6];
        let chosen = |settings: SamplerSettings| {
            let mut sampler = Sampler::new(settings);
            let mut seen = vec![false; logits.len()];
            for index in 0..2000 {
                seen[sampler.sample(&logits, index) as usize] = true;
            }
            seen.iter().filter(|seen| **seen).count()
        };
        assert_eq!(chosen(settings(1.0, 2, 1.0, 1)), 2);
        assert_eq!(chosen(settings(1.0, 1, 1.0, 1)), 1);
        assert_eq!(chosen(settings(1.0, 5, 1.0, 1)), 5);
        assert_eq!(chosen(settings(1.0, 5, 0.45, 1)), 2);
        assert_eq!(chosen(settings(1.0, 5, 1e-9, 1)), 1);
    }

    #[test]
    fn the_stream_depends_on_seed_and_index_only() {
        let logits: Vec<f32> = (0..300).map(|i| (i * 37 % 101) as f32 * 0.03).collect();
        let text = |seed: u64| {
            let mut sampler = Sampler::new(settings(0.9, 50, 0.95, seed));
            (0..50)
                .map(|i| sampler.sample(&logits, i))
                .collect::<Vec<_>>()
        };
        assert_eq!(text(5), text(5));
        assert_ne!(text(5), text(6));
        let mut sampler = Sampler::new(settings(0.9, 50, 0.95, 5));
        assert_eq!(sampler.sample(&logits, 49), text(5)[49]);
    }

    #[test]
    fn unusable_mass_falls_back_to_greedy_and_is_counted() {
        let mut sampler = Sampler::new(settings(1.0, 10, 1.0, 0));
        assert_eq!(sampler.sample(&[f32::NAN, f32::NAN], 0), 0);
        assert_eq!(sampler.sample(&[1.0, f32::INFINITY], 1), 1);
        assert_eq!(sampler.n_fallbacks(), 2);
        assert_eq!(sampler.sample(&[1.0, f32::NAN, 900.0], 2), 2);
        assert_eq!(sampler.n_fallbacks(), 2);
    }
}
