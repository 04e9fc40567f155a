//! How a token is chosen: every option with its range and the value that turns it off.
//!
//! Options at their defaults leave no trace in a run digest, so new ones never change old runs.

use super::TOP_K_MAX;
use alloc::vec::Vec;

/// Most entries of `logit_bias` and of `banned_tokens`.
pub const TOKEN_RULES_MAX: usize = 1024;

/// Which index names the random number of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RandomStream {
    /// The token's place in the session, prompts included.
    #[default]
    Session,
    /// The token's place since the last prompt: equal prompts meet equal numbers.
    Prompt,
}

impl RandomStream {
    /// The name used in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Prompt => "prompt",
        }
    }
}

/// Options of the sampler, in the order in which they act; `docs/numerics.md` has the formulas.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplerSettings {
    /// Added to the logits of tokens, ids ascending: finite, -1000 to 1000.
    pub logit_bias: Vec<(u32, f32)>,
    /// Tokens that are never chosen, ids ascending.
    pub banned_tokens: Vec<u32>,
    /// Tokens back that penalties look; 0 is all of the session.
    pub penalty_window: u32,
    /// Divides positive, multiplies negative logits of seen tokens: above 0, up to 100; 1 is off.
    pub repetition_penalty: f32,
    /// Subtracted once per time that a token was seen: -100 to 100; 0 is off.
    pub frequency_penalty: f32,
    /// Subtracted if a token was seen: -100 to 100; 0 is off.
    pub presence_penalty: f32,
    /// 0 is greedy; otherwise logits are divided by it: up to 100.
    pub temperature: f32,
    /// Candidates kept, by logit: 1 to 1024.
    pub top_k: u32,
    /// Candidates kept, by how near their surprise is to the expected one: above 0; 1 is off.
    pub typical_p: f32,
    /// Candidates kept, by cumulative probability: above 0; 1 is off.
    pub top_p: f32,
    /// Candidates kept, by probability relative to the likeliest: 0 (off) to 1.
    pub min_p: f32,
    /// Names the random numbers.
    pub seed: u64,
    /// What they are counted by.
    pub random_stream: RandomStream,
}

impl Default for SamplerSettings {
    fn default() -> Self {
        Self {
            logit_bias: Vec::new(),
            banned_tokens: Vec::new(),
            penalty_window: 64,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            temperature: 0.0,
            top_k: 40,
            typical_p: 1.0,
            top_p: 0.95,
            min_p: 0.0,
            seed: 0,
            random_stream: RandomStream::Session,
        }
    }
}

impl SamplerSettings {
    /// The first field outside its range, and the rule that it breaks.
    pub fn broken_rule(&self) -> Option<(&'static str, &'static str)> {
        let part = |p: f32| p > 0.0 && p <= 1.0;
        let penalty = |p: f32| (-100.0..=100.0).contains(&p);
        let rules = [
            (
                (0.0..=100.0).contains(&self.temperature),
                ("temperature", "must be 0 to 100"),
            ),
            (
                (1..=TOP_K_MAX as u32).contains(&self.top_k),
                ("top_k", "must be 1 to 1024"),
            ),
            (part(self.top_p), ("top_p", "must be above 0, up to 1")),
            (
                part(self.typical_p),
                ("typical_p", "must be above 0, up to 1"),
            ),
            (
                (0.0..=1.0).contains(&self.min_p),
                ("min_p", "must be 0 to 1"),
            ),
            (
                self.repetition_penalty > 0.0 && self.repetition_penalty <= 100.0,
                ("repetition_penalty", "must be above 0, up to 100"),
            ),
            (
                penalty(self.frequency_penalty),
                ("frequency_penalty", "must be -100 to 100"),
            ),
            (
                penalty(self.presence_penalty),
                ("presence_penalty", "must be -100 to 100"),
            ),
            (
                self.logit_bias.len() <= TOKEN_RULES_MAX
                    && self.logit_bias.is_sorted_by(|a, b| a.0 < b.0)
                    && self.logit_bias.iter().all(|(_, bias)| bias.abs() <= 1000.0),
                (
                    "logit_bias",
                    "must be up to 1024 tokens, each once, with a bias of -1000 to 1000",
                ),
            ),
            (
                self.banned_tokens.len() <= TOKEN_RULES_MAX
                    && self.banned_tokens.is_sorted_by(|a, b| a < b),
                ("banned_tokens", "must be up to 1024 tokens, each once"),
            ),
        ];
        rules.iter().find(|rule| !rule.0).map(|rule| rule.1)
    }

    /// The first field that names a token which a vocabulary of this size lacks, or that leaves
    /// no token to choose.
    pub fn broken_for(&self, vocab_size: usize) -> Option<(&'static str, &'static str)> {
        let outside = |id: Option<u32>| id.is_some_and(|id| id as usize >= vocab_size);
        if outside(self.logit_bias.last().map(|(id, _)| *id)) {
            return Some(("logit_bias", "names a token outside the vocabulary"));
        }
        if outside(self.banned_tokens.last().copied()) {
            return Some(("banned_tokens", "names a token outside the vocabulary"));
        }
        (self.banned_tokens.len() >= vocab_size)
            .then_some(("banned_tokens", "must leave a token to choose"))
    }

    /// Whether tokens that were seen count against themselves.
    pub fn has_penalties(&self) -> bool {
        self.repetition_penalty != 1.0
            || self.frequency_penalty != 0.0
            || self.presence_penalty != 0.0
    }

    /// Whether logits are changed before candidates are taken.
    pub fn adjusts(&self) -> bool {
        !self.logit_bias.is_empty() || !self.banned_tokens.is_empty() || self.has_penalties()
    }

    /// Calls `f` with the id and the words of every option that is not at its default, ids
    /// ascending: what a run digest is extended by. Ids never change.
    pub fn for_each_option(&self, mut f: impl FnMut(u32, &mut dyn Iterator<Item = u32>)) {
        let default = Self::default();
        let numbers = [
            (1, self.min_p, default.min_p),
            (2, self.typical_p, default.typical_p),
            (3, self.repetition_penalty, default.repetition_penalty),
            (4, self.frequency_penalty, default.frequency_penalty),
            (5, self.presence_penalty, default.presence_penalty),
        ];
        for (id, value, default) in numbers {
            if value != default {
                f(id, &mut core::iter::once(value.to_bits()));
            }
        }
        if self.has_penalties() {
            f(6, &mut core::iter::once(self.penalty_window));
        }
        if !self.logit_bias.is_empty() {
            let pairs = self.logit_bias.iter();
            f(7, &mut pairs.flat_map(|(id, bias)| [*id, bias.to_bits()]));
        }
        if !self.banned_tokens.is_empty() {
            f(8, &mut self.banned_tokens.iter().copied());
        }
        if self.random_stream == RandomStream::Prompt {
            f(9, &mut core::iter::once(1));
        }
    }
}
