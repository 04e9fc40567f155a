//! Changes to logits before candidates are taken: bias, bans, penalties for tokens already seen.
//!
//! They go to a copy, so that the model's own logits stay what the digest and the log-probabilities
//! speak of. The copy and the counts are had when a session opens; nothing allocates per token.

use super::settings::SamplerSettings;
use crate::memory::filled;
use alloc::vec::Vec;

/// The adjusted logits, and how often each token was seen.
pub(super) struct Adjustment {
    /// `[vocab_size]`.
    logits: Vec<f32>,
    /// `[vocab_size]`, all 0 between two tokens; empty without penalties.
    counts: Vec<u32>,
}

impl Adjustment {
    /// Room for a vocabulary; `None` if memory cannot be had.
    pub fn new(settings: &SamplerSettings, vocab_size: usize) -> Option<Self> {
        let n_counts = match settings.has_penalties() {
            true => vocab_size,
            false => 0,
        };
        Some(Self {
            logits: filled(0.0, vocab_size)?,
            counts: filled(0, n_counts)?,
        })
    }

    /// `logits` plus bias, then without banned tokens, then less the penalties of the tokens at
    /// the end of `history`. Ids are below `logits.len()`, as checked when the session opened.
    pub fn apply(&mut self, settings: &SamplerSettings, logits: &[f32], history: &[u32]) -> &[f32] {
        self.logits.clear();
        self.logits.extend_from_slice(logits);
        for (id, bias) in &settings.logit_bias {
            if let Some(logit) = self.logits.get_mut(*id as usize) {
                *logit += bias;
            }
        }
        for id in &settings.banned_tokens {
            if let Some(logit) = self.logits.get_mut(*id as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
        if settings.has_penalties() {
            self.penalize(settings, history);
        }
        &self.logits
    }

    fn penalize(&mut self, settings: &SamplerSettings, history: &[u32]) {
        let window = match settings.penalty_window as usize {
            0 => history.len(),
            n => n.min(history.len()),
        };
        let seen = &history[history.len() - window..];
        for id in seen {
            if let Some(count) = self.counts.get_mut(*id as usize) {
                *count += 1;
            }
        }
        for id in seen {
            let at = *id as usize;
            let (Some(count), Some(logit)) = (self.counts.get_mut(at), self.logits.get_mut(at))
            else {
                continue;
            };
            let count = core::mem::take(count);
            if count > 0 {
                let by = settings.repetition_penalty;
                let repeated = if *logit > 0.0 {
                    *logit / by
                } else {
                    *logit * by
                };
                let less = count as f32 * settings.frequency_penalty + settings.presence_penalty;
                *logit = repeated - less;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn adjusted(settings: &SamplerSettings, logits: &[f32], history: &[u32]) -> Vec<f32> {
        let mut adjustment = Adjustment::new(settings, logits.len()).unwrap();
        // Twice, because counts must be clean after each token.
        adjustment.apply(settings, logits, history);
        adjustment.apply(settings, logits, history).to_vec()
    }

    #[test]
    fn penalties_count_what_the_window_holds() {
        let logits = [2.0, -1.0, 0.5, 0.0];
        let settings = SamplerSettings {
            repetition_penalty: 2.0,
            frequency_penalty: 0.25,
            presence_penalty: 0.5,
            penalty_window: 3,
            ..Default::default()
        };
        let history = [2, 2, 0, 1, 0];
        let got = adjusted(&settings, &logits, &history);
        assert_eq!(got, [0.0, -2.75, 0.5, 0.0]);
        let whole = SamplerSettings {
            penalty_window: 0,
            ..settings
        };
        let got = adjusted(&whole, &logits, &history);
        assert_eq!(got, [0.0, -2.75, 0.25 - 1.0, 0.0]);
    }

    #[test]
    fn bias_comes_first_and_bans_stay() {
        let settings = SamplerSettings {
            logit_bias: vec![(0, 1.5), (1, 3.0)],
            banned_tokens: vec![1],
            presence_penalty: -2.0,
            ..Default::default()
        };
        let got = adjusted(&settings, &[1.0, 1.0, 1.0], &[1]);
        assert_eq!(got, [2.5, f32::NEG_INFINITY, 1.0]);
    }
}
