//! Counts and durations of a session. The clock belongs to the host: it notes what it measured.

use crate::kv_cache::PageCounts;

/// Decode durations kept for percentiles; older ones are overwritten.
const N_KEPT: usize = 1024;

/// How long loading took, as the host measured it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoadTimes {
    /// From the first byte asked for to the model being ready.
    pub load_ms: f64,
}

/// What a session did, and how long it took.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    /// Tokens of all prompts.
    pub n_prompt_tokens: u64,
    /// Tokens produced, stop tokens included.
    pub n_output_tokens: u64,
    /// Rows computed for prompts.
    pub n_prefill_rows: u64,
    /// Time spent on them.
    pub prefill_ms: f64,
    /// From the last prompt's first step to its first token.
    pub first_token_ms: Option<f64>,
    /// Time spent on the tokens after each first one.
    pub decode_ms: f64,
    /// How many those were.
    pub n_decoded: u64,
    /// Pages that prompts found in the cache, and whole ones that they did not.
    pub pages: PageCounts,
    /// Rows that were computed: prompts, outputs and drafts.
    pub n_rows: u64,
    /// Times that a full context dropped its middle.
    pub n_context_shifts: u64,
    /// Tokens of drafts that were computed, and how many of them were right.
    pub n_drafted: u64,
    /// See [`Diagnostics::n_drafted`].
    pub n_drafts_accepted: u64,
    since_prompt_ms: f64,
    recent_ms: [f32; N_KEPT],
}

impl Default for Diagnostics {
    fn default() -> Self {
        Self {
            n_prompt_tokens: 0,
            n_output_tokens: 0,
            n_prefill_rows: 0,
            prefill_ms: 0.0,
            first_token_ms: None,
            decode_ms: 0.0,
            n_decoded: 0,
            pages: PageCounts::default(),
            n_rows: 0,
            n_context_shifts: 0,
            n_drafted: 0,
            n_drafts_accepted: 0,
            since_prompt_ms: 0.0,
            recent_ms: [0.0; N_KEPT],
        }
    }
}

impl Diagnostics {
    /// A step read `n_rows` of a prompt; with the last of them came the first token.
    pub(super) fn note_prefill(&mut self, n_rows: usize, ms: f64, first_token: bool) {
        self.n_prefill_rows += n_rows as u64;
        self.prefill_ms += ms;
        self.since_prompt_ms += ms;
        if first_token {
            self.first_token_ms = Some(core::mem::take(&mut self.since_prompt_ms));
        }
    }

    /// A prompt was queued: what earlier ones took counts no more until its first token.
    pub(super) fn note_prompt(&mut self, n_tokens: usize) {
        self.n_prompt_tokens += n_tokens as u64;
        self.since_prompt_ms = 0.0;
        self.first_token_ms = None;
    }

    pub(super) fn note_pages(&mut self, counts: PageCounts, is_first_look: bool) {
        self.pages.n_hits += counts.n_hits;
        if is_first_look {
            self.pages.n_misses += counts.n_misses;
        }
    }

    /// A step produced one further token.
    pub(super) fn note_decode(&mut self, ms: f64) {
        self.recent_ms[self.n_decoded as usize % N_KEPT] = ms as f32;
        self.n_decoded += 1;
        self.decode_ms += ms;
    }

    /// Prompt rows per second.
    pub fn prefill_rows_per_s(&self) -> Option<f64> {
        rate(self.n_prefill_rows, self.prefill_ms)
    }

    /// Tokens per second after the first ones.
    pub fn decode_tokens_per_s(&self) -> Option<f64> {
        rate(self.n_decoded, self.decode_ms)
    }

    /// The duration that `percent` of the last 1024 decode steps did not exceed (nearest rank).
    pub fn decode_ms_percentile(&self, percent: usize) -> Option<f64> {
        let n = (self.n_decoded as usize).min(N_KEPT);
        let mut sorted = self.recent_ms;
        let sorted = &mut sorted[..n];
        crate::sorting::sort_by(sorted, f32::total_cmp);
        let rank = (n * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).map(|&ms| f64::from(ms))
    }
}

fn rate(n: u64, ms: f64) -> Option<f64> {
    (n > 0 && ms > 0.0).then(|| n as f64 / ms * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let mut diagnostics = Diagnostics::default();
        assert_eq!(diagnostics.decode_ms_percentile(50), None);
        for ms in (1..=100).rev() {
            diagnostics.note_decode(f64::from(ms));
        }
        assert_eq!(diagnostics.decode_ms_percentile(50), Some(50.0));
        assert_eq!(diagnostics.decode_ms_percentile(95), Some(95.0));
        assert_eq!(diagnostics.decode_ms_percentile(100), Some(100.0));
        assert_eq!(
            diagnostics.decode_tokens_per_s(),
            Some(100.0 / 5050.0 * 1000.0)
        );
        for _ in 0..N_KEPT {
            diagnostics.note_decode(7.0);
        }
        assert_eq!(diagnostics.decode_ms_percentile(95), Some(7.0));
    }

    #[test]
    fn the_first_token_takes_all_steps_of_its_prompt() {
        let mut diagnostics = Diagnostics::default();
        diagnostics.note_prefill(16, 5.0, false);
        diagnostics.note_prefill(4, 2.0, true);
        assert_eq!(diagnostics.first_token_ms, Some(7.0));
        assert_eq!(diagnostics.n_prefill_rows, 20);
        diagnostics.note_prefill(1, 1.5, true);
        assert_eq!(diagnostics.first_token_ms, Some(1.5));
        assert_eq!(diagnostics.prefill_ms, 8.5);
    }
}
