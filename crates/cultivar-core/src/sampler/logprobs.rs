//! Log-probabilities of the chosen and the likeliest tokens, where a host asks for them.
//!
//! They are the model's own, from the logits as computed: no setting of the sampler enters.

use super::candidates::{self, Candidate};
use crate::math::{exp_f32, ln_f64};
use crate::memory::reserved;
use alloc::vec::Vec;

/// Most alternatives that can be asked for.
pub const TOP_LOGPROBS_MAX: usize = 20;

/// A token and the natural logarithm of its probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenLogprob {
    /// Id.
    pub token: u32,
    /// `ln p`; NaN where the logits have one.
    pub logprob: f32,
}

/// The chosen token of the last step and the likeliest ones.
pub struct Logprobs {
    /// The token that was chosen.
    pub chosen: TokenLogprob,
    /// The likeliest, in descending order, lower ids first among equals.
    pub top: Vec<TokenLogprob>,
    n_top: usize,
    is_fresh: bool,
    candidates: Vec<Candidate>,
}

impl Logprobs {
    /// Room for `n_top` alternatives; `None` if memory cannot be had.
    pub(crate) fn new(n_top: usize) -> Option<Self> {
        Some(Self {
            chosen: TokenLogprob {
                token: 0,
                logprob: f32::NAN,
            },
            top: reserved(n_top)?,
            n_top,
            is_fresh: false,
            candidates: reserved(n_top)?,
        })
    }

    /// Whether they speak of the last token.
    pub(crate) fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    /// Forgets the last token, after a prompt or a rewind.
    pub(crate) fn forget(&mut self) {
        self.is_fresh = false;
    }

    /// `ln p_i = (l_i - max) - ln(sum_j exp(l_j - max))`, the sum in f64 by ascending id.
    pub(crate) fn measure(&mut self, logits: &[f32], chosen: u32) {
        self.is_fresh = true;
        // By comparison: of `f32::max` a compiler may make a relaxed instruction.
        let larger = |max, &l| if l > max { l } else { max };
        let max = logits.iter().fold(f32::NEG_INFINITY, larger);
        let sum = logits.iter().map(|l| f64::from(exp_f32(l - max)));
        let log_sum = ln_f64(sum.sum());
        let of = |token: u32, logit: f32| TokenLogprob {
            token,
            logprob: (f64::from(logit - max) - log_sum) as f32,
        };
        self.chosen = of(
            chosen,
            logits.get(chosen as usize).copied().unwrap_or(f32::NAN),
        );
        self.top.clear();
        if self.n_top > 0 {
            candidates::select(&mut self.candidates, logits, self.n_top);
            let top = self.candidates.iter();
            self.top.extend(top.map(|c| of(c.token, c.logit)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_of_the_softmax() {
        let logits: Vec<f32> = (0..300).map(|i| (i * 37 % 101) as f32 * 0.07).collect();
        let sum: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum();
        let mut logprobs = Logprobs::new(5).unwrap();
        logprobs.measure(&logits, 17);
        let expected = |id: u32| (f64::from(logits[id as usize]).exp() / sum).ln();
        assert_eq!((logprobs.chosen.token, logprobs.top.len()), (17, 5));
        for p in logprobs.top.iter().chain([&logprobs.chosen]) {
            assert!((f64::from(p.logprob) - expected(p.token)).abs() < 1e-5);
        }
        assert!(logprobs.top.is_sorted_by(|a, b| a.logprob >= b.logprob));
        assert_eq!(logprobs.top[0].token, 30);
    }
}
