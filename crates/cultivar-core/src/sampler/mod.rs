//! The sampler: one token from logits, by settings and a counter-based random stream.
//!
//! Steps, in order: bias, bans, penalties; temperature, top-k, typical-p, top-p, min-p; draw.
//! Buffers are fixed; the order of every sum is fixed, so a seed names one text everywhere. When
//! the probabilities have no usable mass the choice falls back to greedy, and that is counted.

mod adjustment;
mod candidates;
mod logprobs;
mod settings;

pub use logprobs::{Logprobs, TOP_LOGPROBS_MAX, TokenLogprob};
pub use settings::{RandomStream, SamplerSettings, TOKEN_RULES_MAX};

use crate::math::{exp_f32, ln_f64};
use crate::memory::reserved;
use crate::rng::{self, Purpose};
use adjustment::Adjustment;
use alloc::vec::Vec;
use candidates::Candidate;

/// Most candidates that are ever compared; the bound of `top_k`.
pub const TOP_K_MAX: usize = 1024;

/// Chooses tokens; holds the candidates' buffer and counts fallbacks.
pub struct Sampler {
    settings: SamplerSettings,
    adjustment: Option<Adjustment>,
    candidates: Vec<Candidate>,
    n_fallbacks: u64,
}

impl Sampler {
    /// A sampler with all of its buffers; `None` if memory cannot be had. The settings are within
    /// their ranges and the vocabulary.
    pub fn new(settings: SamplerSettings, vocab_size: usize) -> Option<Self> {
        let room = if settings.temperature == 0.0 {
            0
        } else {
            settings.top_k as usize
        };
        let adjustment = match settings.adjusts() {
            true => Some(Adjustment::new(&settings, vocab_size)?),
            false => None,
        };
        Some(Self {
            settings,
            adjustment,
            candidates: reserved(room.min(TOP_K_MAX))?,
            n_fallbacks: 0,
        })
    }

    /// How many choices fell back to greedy because probabilities had no usable mass.
    pub fn n_fallbacks(&self) -> u64 {
        self.n_fallbacks
    }

    /// Chooses the token of step `index` of the stream: an index into `logits`. Penalties look at
    /// the end of `history`, the tokens before it.
    pub fn sample(&mut self, logits: &[f32], history: &[u32], index: u64) -> u32 {
        let Self {
            settings,
            adjustment,
            candidates,
            n_fallbacks,
        } = self;
        let logits = match adjustment {
            Some(adjustment) => adjustment.apply(settings, logits, history),
            None => logits,
        };
        if settings.temperature > 0.0 {
            candidates::select(candidates, logits, settings.top_k as usize);
            if let Some(token) = draw(candidates, settings, index) {
                return token;
            }
        }
        let (token, is_largest) = largest(logits);
        *n_fallbacks += u64::from(settings.temperature > 0.0 || !is_largest);
        if is_largest {
            return token;
        }
        // Not even one usable logit: still no banned token.
        let banned = &settings.banned_tokens;
        let allowed = (0..logits.len() as u32).find(|id| banned.binary_search(id).is_err());
        allowed.unwrap_or(token)
    }
}

/// One of the candidates, which stand in descending order of logits; `None` without usable mass.
fn draw(candidates: &mut Vec<Candidate>, settings: &SamplerSettings, index: u64) -> Option<u32> {
    let mut mass = weigh(candidates, settings.temperature);
    if !(mass > 0.0 && mass < f32::INFINITY) {
        return None;
    }
    if settings.typical_p < 1.0 {
        mass = keep_typical(candidates, settings, mass);
    }
    mass = keep_part(candidates, settings.top_p * mass);
    if settings.min_p > 0.0 {
        mass = keep_min_p(candidates, settings.min_p);
    }
    let draw = rng::draw(settings.seed, Purpose::Sample, index);
    let target = rng::unit_f32(draw[0]) * mass;
    let mut sum = 0.0;
    for candidate in &*candidates {
        sum += candidate.weight;
        if sum > target {
            return Some(candidate.token);
        }
    }
    // Rounding may leave the target at the very end of the mass.
    candidates.last().map(|candidate| candidate.token)
}

/// `weight = exp((logit - max) / temperature)` for each candidate; returns their sum.
fn weigh(candidates: &mut [Candidate], temperature: f32) -> f32 {
    let max = candidates.first().map_or(0.0, |candidate| candidate.logit);
    let mut mass = 0.0;
    for candidate in candidates {
        candidate.weight = exp_f32((candidate.logit - max) / temperature);
        mass += candidate.weight;
    }
    mass
}

/// Locally typical sampling (Meister et al., 2023): keeps the candidates whose surprise `-ln p` is
/// nearest to the expected one, up to the first at which their mass reaches `typical_p * mass`;
/// returns their mass, in descending order of logits again.
fn keep_typical(candidates: &mut Vec<Candidate>, settings: &SamplerSettings, mass: f32) -> f32 {
    let max = candidates.first().map_or(0.0, |candidate| candidate.logit);
    let log_mass = ln_f64(f64::from(mass));
    let surprise = |c: &Candidate| log_mass - f64::from((c.logit - max) / settings.temperature);
    let mut expected = 0.0;
    for candidate in candidates.iter().filter(|c| c.weight > 0.0) {
        expected += f64::from(candidate.weight / mass) * surprise(candidate);
    }
    for candidate in candidates.iter_mut() {
        candidate.deviation = (surprise(candidate) - expected).abs() as f32;
    }
    candidates::sort(candidates, candidates::is_less_typical);
    keep_part(candidates, settings.typical_p * mass);
    candidates::sort(candidates, candidates::has_less_logit);
    candidates.iter().fold(0.0, |sum, c| sum + c.weight)
}

/// Drops the candidates after the first at which the sum of weights reaches `limit`; returns the
/// weight of those kept.
fn keep_part(candidates: &mut Vec<Candidate>, limit: f32) -> f32 {
    let mut sum = 0.0;
    for i in 0..candidates.len() {
        sum += candidates[i].weight;
        if sum >= limit {
            candidates.truncate(i + 1);
            break;
        }
    }
    sum
}

/// Drops the candidates whose weight is below `min_p` times the first's; returns the weight of
/// those kept.
fn keep_min_p(candidates: &mut Vec<Candidate>, min_p: f32) -> f32 {
    let limit = candidates.first().map_or(0.0, |first| first.weight) * min_p;
    let n_kept = candidates.iter().take_while(|c| c.weight >= limit).count();
    candidates.truncate(n_kept);
    candidates.iter().fold(0.0, |sum, c| sum + c.weight)
}

/// The token with the largest logit; the lowest id among equals. `NaN` is never larger.
pub fn greedy(logits: &[f32]) -> u32 {
    largest(logits).0
}

/// The same, and whether there is a logit above minus infinity at all.
fn largest(logits: &[f32]) -> (u32, bool) {
    let mut best = 0;
    let mut best_logit = f32::NEG_INFINITY;
    for (id, &logit) in logits.iter().enumerate() {
        if logit > best_logit {
            (best, best_logit) = (id as u32, logit);
        }
    }
    (best, best_logit > f32::NEG_INFINITY)
}

#[cfg(test)]
mod tests;
