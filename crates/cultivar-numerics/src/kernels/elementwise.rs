//! Operations whose elements do not meet: activation functions, rotation, weighted sums.
//!
//! Each output element is a fixed chain of f32 operations, so a compiler may vectorize these loops
//! but cannot change a bit; one plain form therefore serves every backend.

use super::PARTIAL_SUMS;
use super::scalar::sum_tree;
use crate::math::{erf_f32, exp_f32, tanh_f32};

/// `x[i] += y[i]`.
pub fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// `out[i] = x[i]` where bit `i mod 64` of `bits[i / 64]` is set, else minus infinity.
///
/// `out, x: [n]`, `bits: [ceil(n / 64)]`. Words of one kind are copied or filled whole.
pub fn keep_bits(out: &mut [f32], x: &[f32], bits: &[u64]) {
    for ((out, x), &bits) in out.chunks_mut(64).zip(x.chunks(64)).zip(bits) {
        match bits {
            u64::MAX => out.copy_from_slice(x),
            0 => out.fill(f32::NEG_INFINITY),
            _ => {
                for (i, (out, x)) in out.iter_mut().zip(x).enumerate() {
                    let is_kept = bits >> i & 1 == 1;
                    *out = if is_kept { *x } else { f32::NEG_INFINITY };
                }
            }
        }
    }
}

/// Activation functions of a feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonlinearity {
    /// [`silu`].
    Silu,
    /// [`gelu`].
    Gelu,
    /// [`gelu_tanh`].
    GeluTanh,
    /// [`relu`].
    Relu,
}

/// `gate[i] = f(gate[i]) * up[i]`: the gate of a feed-forward layer (Shazeer, 2020).
pub fn gated(f: Nonlinearity, gate: &mut [f32], up: &[f32]) {
    match f {
        Nonlinearity::Silu => gate_with(gate, up, silu),
        Nonlinearity::Gelu => gate_with(gate, up, gelu),
        Nonlinearity::GeluTanh => gate_with(gate, up, gelu_tanh),
        Nonlinearity::Relu => gate_with(gate, up, relu),
    }
}

#[inline(always)]
fn gate_with(gate: &mut [f32], up: &[f32], f: impl Fn(f32) -> f32) {
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = f(*gate) * up;
    }
}

/// `x[i] = f(x[i])`.
pub fn activate(f: Nonlinearity, x: &mut [f32]) {
    match f {
        Nonlinearity::Silu => map(x, silu),
        Nonlinearity::Gelu => map(x, gelu),
        Nonlinearity::GeluTanh => map(x, gelu_tanh),
        Nonlinearity::Relu => map(x, relu),
    }
}

#[inline(always)]
fn map(x: &mut [f32], f: impl Fn(f32) -> f32) {
    for x in x {
        *x = f(*x);
    }
}

/// SwiGLU (Shazeer, 2020): `gate[i] = silu(gate[i]) * up[i]`.
pub fn swiglu(gate: &mut [f32], up: &[f32]) {
    gated(Nonlinearity::Silu, gate, up);
}

/// `silu(x) = x / (1 + exp(-x))`.
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + exp_f32(-x))
}

/// GELU through the normal distribution's cumulative function (Hendrycks and Gimpel, 2016):
/// `(x * 0.5) * (1 + erf(x * sqrt(1/2)))`.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    (x * 0.5) * (1.0 + erf_f32(x * core::f32::consts::FRAC_1_SQRT_2))
}

/// The square root of 2 / pi.
const SQRT_2_OVER_PI: f32 = 0.797_884_6;

/// GELU's approximation: `(x * 0.5) * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * (x * x * x))))`.
#[inline(always)]
pub fn gelu_tanh(x: f32) -> f32 {
    let cubic = 0.044_715 * (x * x * x);
    (x * 0.5) * (1.0 + tanh_f32(SQRT_2_OVER_PI * (x + cubic)))
}

/// `x`, or 0 where it is below 0; `NaN` stays.
#[inline(always)]
pub fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

/// Takes the mean away from `x`: `x[i] = x[i] - sum(x) / d`. The sum has 16 partial sums (index
/// mod 16) and the fixed tree. Nothing happens to an empty `x`.
pub fn center(x: &mut [f32]) {
    let mut sums = [0.0; PARTIAL_SUMS];
    for group in x.chunks(PARTIAL_SUMS) {
        for (sum, v) in sums.iter_mut().zip(group) {
            *sum += v;
        }
    }
    let mean = sum_tree(sums) / x.len() as f32;
    for x in x {
        *x -= mean;
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
/// `scores[i]` belongs to position `first + i`; sums are kept per position mod 16 and added by the
/// fixed tree, so the result does not depend on how positions were stored.
pub fn exp_sum(scores: &mut [f32], max: f32, first: usize) -> f32 {
    for score in scores.iter_mut() {
        *score = exp_f32(*score - max);
    }
    let mut sums = [0.0; PARTIAL_SUMS];
    // Up to a whole group of positions, then group by group.
    let lane = first % PARTIAL_SUMS;
    let n_lead = if lane == 0 { 0 } else { PARTIAL_SUMS - lane };
    let (lead, rest) = scores.split_at(n_lead.min(scores.len()));
    for (sum, e) in sums[lane..].iter_mut().zip(lead) {
        *sum += e;
    }
    for group in rest.chunks(PARTIAL_SUMS) {
        for (sum, e) in sums.iter_mut().zip(group) {
            *sum += e;
        }
    }
    sum_tree(sums)
}

/// Caps values smoothly: `x[i] = cap * tanh(x[i] / cap)`.
pub fn soft_cap(x: &mut [f32], cap: f32) {
    for x in x {
        *x = cap * tanh_f32(*x / cap);
    }
}

/// `x[i] = x[i] * factor`.
pub fn scale(x: &mut [f32], factor: f32) {
    for x in x {
        *x *= factor;
    }
}

/// `out[d] += sum_p weights[p] * rows[p][d]`, positions ascending for each `d`.
///
/// `out: [width]`, `rows: [weights.len(), width]` as stored; `widen` makes f32 of an element.
#[inline(always)]
pub(super) fn add_weighted_rows<T: Copy>(
    out: &mut [f32],
    weights: &[f32],
    rows: &[T],
    widen: impl Fn(T) -> f32,
) {
    // As many columns at a time as stay in registers while the positions stream past.
    let mut start = add_columns::<T, 32>(out, weights, rows, 0, &widen);
    start = add_columns::<T, 16>(out, weights, rows, start, &widen);
    let width = out.len();
    for (weight, row) in weights.iter().zip(rows.chunks_exact(width)) {
        for (acc, &v) in out[start..].iter_mut().zip(&row[start..]) {
            *acc += weight * widen(v);
        }
    }
}

/// The columns from `start` on in whole groups of `N`; answers where it stopped.
#[inline(always)]
fn add_columns<T: Copy, const N: usize>(
    out: &mut [f32],
    weights: &[f32],
    rows: &[T],
    mut start: usize,
    widen: &impl Fn(T) -> f32,
) -> usize {
    let width = out.len();
    while let Some(block) = out[start..].first_chunk_mut::<N>() {
        let mut acc = *block;
        for (weight, row) in weights.iter().zip(rows.chunks_exact(width)) {
            let Some(columns) = row[start..].first_chunk::<N>() else {
                break;
            };
            for (acc, &v) in acc.iter_mut().zip(columns) {
                *acc += weight * widen(v);
            }
        }
        *block = acc;
        start += N;
    }
    start
}
