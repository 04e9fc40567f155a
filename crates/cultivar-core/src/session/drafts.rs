//! Prompt lookup: drafts of the next tokens, copied from where the last few stood before, to be
//! verified in one batch (Saxena, "Prompt lookup decoding", 2023).
//!
//! A draft changes no bit: a token counts only if the sampler chooses it from its own logits.

/// Most tokens of a draft.
pub const DRAFT_TOKENS_MAX: usize = 16;

/// The longest and the shortest run of tokens that is looked for.
const RUN_LENS: [usize; 2] = [3, 2];

/// Tokens that a draft continues with: those after the latest earlier place of the longest run at
/// the end of `tokens`, up to `n_most`; empty if no run stood before.
pub(super) fn find(tokens: &[u32], n_most: usize) -> &[u32] {
    for run_len in RUN_LENS {
        let Some(end) = tokens.len().checked_sub(run_len) else {
            continue;
        };
        let (before, run) = tokens.split_at(end);
        // A place may overlap the run itself: a loop of tokens drafts its own repetition.
        let at = (0..before.len())
            .rev()
            .find(|at| tokens[*at..].starts_with(run));
        if let Some(at) = at {
            let next = &tokens[at + run_len..];
            return &next[..next.len().min(n_most)];
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn the_latest_place_of_the_longest_run_is_continued() {
        assert_eq!(find(&[], 4), []);
        assert_eq!(find(&[1, 2, 3], 4), []);
        assert_eq!(find(&[1, 2, 3, 9, 1, 2], 4), [3, 9, 1, 2]);
        assert_eq!(find(&[1, 2, 3, 9, 1, 2], 1), [3]);
        assert_eq!(find(&[5, 1, 2, 7, 6, 1, 2, 8, 5, 1, 2], 2), [7, 6]);
        assert_eq!(find(&[1, 2, 7, 1, 2, 8, 1, 2], 2), [8, 1]);
        assert_eq!(find(&[4, 4, 4], 4), [4]);
        assert_eq!(find(&[4, 4, 4, 4], 4), [4]);
    }
}
