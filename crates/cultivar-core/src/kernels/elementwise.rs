//! Operations whose elements do not meet: activation functions, rotation, weighted sums.
//!
//! Each output element is a fixed chain of f32 operations, so a compiler may vectorize these loops
//! but cannot change a bit; one plain form therefore serves every backend.

use super::PARTIAL_SUMS;
use super::scalar::sum_tree;
use crate::math::exp_f32;

/// `x[i] += y[i]`.
pub fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// SwiGLU (Shazeer, 2020): `gate[i] = silu(gate[i]) * up[i]`, `silu(x) = x / (1 + exp(-x))`.
pub fn swiglu(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + exp_f32(-*gate)) * up;
    }
}

/// Rotates the halves of one head (RoPE, Su et al., 2021, in half-split order).
///
/// `x: [rotary_dim]`, `cos, sin: [rotary_dim / 2]`: pairs `(i, i + rotary_dim / 2)` turn by the
/// angle whose cosine and sine are given.
pub fn rotate_half(x: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (low, high) = x.split_at_mut(x.len() / 2);
    for ((a, b), (c, s)) in low.iter_mut().zip(high).zip(cos.iter().zip(sin)) {
        (*a, *b) = (*a * c - *b * s, *b * c + *a * s);
    }
}

/// The largest of `scores`; `NaN` if any is.
pub fn max(scores: &[f32]) -> f32 {
    let mut max = f32::NEG_INFINITY;
    for &score in scores {
        if score > max || score.is_nan() {
            max = score;
        }
        if max.is_nan() {
            break;
        }
    }
    max
}

/// Replaces scores by `exp(score - max)` and returns their sum.
///
/// `scores[p]` belongs to position `p`; sums are kept per position mod 16 and added by the fixed
/// tree, so the result does not depend on how positions were stored.
pub fn exp_sum(scores: &mut [f32], max: f32) -> f32 {
    for score in scores.iter_mut() {
        *score = exp_f32(*score - max);
    }
    let mut sums = [0.0; PARTIAL_SUMS];
    for group in scores.chunks(PARTIAL_SUMS) {
        for (sum, e) in sums.iter_mut().zip(group) {
            *sum += e;
        }
    }
    sum_tree(sums)
}

/// `out[d] += sum_p weights[p] * rows[p][d]`, positions ascending for each `d`.
///
/// `out: [width]`, `rows: [weights.len(), width]` as stored; `widen` makes f32 of an element.
#[inline(always)]
pub fn add_weighted_rows<T: Copy>(
    out: &mut [f32],
    weights: &[f32],
    rows: &[T],
    widen: impl Fn(T) -> f32,
) {
    let width = out.len();
    let (blocks, tail) = out.as_chunks_mut::<PARTIAL_SUMS>();
    // Sixteen columns at a time stay in registers while the positions stream past.
    for (i, block) in blocks.iter_mut().enumerate() {
        let mut acc = *block;
        for (weight, row) in weights.iter().zip(rows.chunks_exact(width)) {
            let (columns, _) = row.as_chunks::<PARTIAL_SUMS>();
            for (acc, &v) in acc.iter_mut().zip(&columns[i]) {
                *acc += weight * widen(v);
            }
        }
        *block = acc;
    }
    let start = width - tail.len();
    for (weight, row) in weights.iter().zip(rows.chunks_exact(width)) {
        for (acc, &v) in tail.iter_mut().zip(&row[start..]) {
            *acc += weight * widen(v);
        }
    }
}
