//! The best candidates of a row of logits, in order, without sorting the vocabulary.

use alloc::vec::Vec;

/// A token that may be chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    /// Id.
    pub token: u32,
    /// As computed.
    pub logit: f32,
    /// Unnormalized probability.
    pub weight: f32,
    /// How far its surprise is from the expected one; used by typical-p alone.
    pub deviation: f32,
}

/// Whether the first of two is to be dropped before the second.
type Worse = fn(&Candidate, &Candidate) -> bool;

/// Fills `candidates` with the `k` largest logits, largest first, lower ids first among equals;
/// `NaN` and minus infinity are left out. A heap whose root is the worst kept candidate decides
/// most tokens with one comparison. Does not allocate if the buffer has room for `k`.
pub(super) fn select(candidates: &mut Vec<Candidate>, logits: &[f32], k: usize) {
    candidates.clear();
    for (id, &logit) in logits.iter().enumerate() {
        if logit.is_nan() || logit == f32::NEG_INFINITY {
            continue;
        }
        let candidate = Candidate {
            token: id as u32,
            logit,
            weight: 0.0,
            deviation: 0.0,
        };
        if candidates.len() < k {
            candidates.push(candidate);
            sift_up(candidates, has_less_logit);
        } else if let Some(root) = candidates.first_mut()
            && logit > root.logit
        {
            *root = candidate;
            sift_down(candidates, has_less_logit);
        }
    }
    unwind(candidates, has_less_logit);
}

/// Puts all candidates in order, best first, in place.
pub(super) fn sort(candidates: &mut [Candidate], worse: Worse) {
    for end in 1..=candidates.len() {
        sift_up(&mut candidates[..end], worse);
    }
    unwind(candidates, worse);
}

/// A heap's root is its worst: taking it out from the back on leaves the best in front.
fn unwind(heap: &mut [Candidate], worse: Worse) {
    for end in (1..heap.len()).rev() {
        heap.swap(0, end);
        sift_down(&mut heap[..end], worse);
    }
}

/// Smaller logit, then higher id.
pub(super) fn has_less_logit(a: &Candidate, b: &Candidate) -> bool {
    a.logit < b.logit || (a.logit == b.logit && a.token > b.token)
}

/// Larger deviation, then higher id.
pub(super) fn is_less_typical(a: &Candidate, b: &Candidate) -> bool {
    a.deviation > b.deviation || (a.deviation == b.deviation && a.token > b.token)
}

fn sift_up(heap: &mut [Candidate], worse: Worse) {
    let mut child = heap.len() - 1;
    while child > 0 {
        let parent = (child - 1) / 2;
        if !worse(&heap[child], &heap[parent]) {
            break;
        }
        heap.swap(child, parent);
        child = parent;
    }
}

fn sift_down(heap: &mut [Candidate], worse: Worse) {
    let mut parent = 0;
    loop {
        let mut child = 2 * parent + 1;
        if child >= heap.len() {
            return;
        }
        if child + 1 < heap.len() && worse(&heap[child + 1], &heap[child]) {
            child += 1;
        }
        if !worse(&heap[child], &heap[parent]) {
            return;
        }
        heap.swap(child, parent);
        parent = child;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selection_equals_a_full_sort() {
        for seed in 0..20u32 {
            let logits: Vec<f32> = (0..500u32)
                .map(|i| ((i.wrapping_mul(2_654_435_761).wrapping_add(seed * 977)) >> 24) as f32)
                .collect();
            let mut order: Vec<u32> = (0..500).collect();
            order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]));
            for k in [1, 2, 3, 40, 499, 500, 1024] {
                let mut candidates = Vec::new();
                select(&mut candidates, &logits, k);
                let got: Vec<u32> = candidates.iter().map(|c| c.token).collect();
                assert_eq!(got, order[..k.min(500)], "k {k}");
            }
        }
    }
}
