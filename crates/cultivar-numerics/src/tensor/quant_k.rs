//! Quantization of super-blocks (q4_k, q6_k) with the searches of ggml's reference code
//! (`quantize_row_q4_K_ref`, `quantize_row_q6_K_ref`), in its order of f32 operations and without
//! fused ones; super-blocks here may be shorter than 256.
//!
//! A value that is not finite, or a search that overflows, makes the stored scale not finite, which
//! every later check refuses.

use super::half::{f16_to_f32, f32_to_f16};
use super::quant::{BLOCK_LEN, largest};
use super::unpacked::{SUPER_BLOCKS, Unpacked};
use crate::math::sqrt_f32;

/// Below this magnitude values count as zero.
const TINY: f32 = 1e-15;
/// f16 bits of a NaN.
const HALF_NAN: u16 = 0x7e00;

/// The nearest whole number, ties to even, limited to `low..=high`; `NaN` gives `low`.
///
/// By comparisons: of `f32::min` and `max` a compiler may make relaxed instructions.
fn nearest(v: f32, low: f32, high: f32) -> f32 {
    if v > high {
        high
    } else if v > low {
        // Exact below 2^22 in magnitude, and limits here are within 128.
        (v + 12_582_912.0) - 12_582_912.0
    } else {
        low
    }
}

fn all_finite(blocks: &[[f32; BLOCK_LEN]]) -> bool {
    blocks.as_flattened().iter().all(|v| v.is_finite())
}

/// q4_k: per block the scale and minimum of [`scale_and_min`], quantized to 6 bits against the
/// largest of the super-block; then codes for those. Up to eight blocks.
pub fn quantize_q4_k(blocks: &[[f32; BLOCK_LEN]]) -> Unpacked {
    let mut out = Unpacked::zero(blocks.len());
    let (mut scales, mut mins) = ([0.0f32; SUPER_BLOCKS], [0.0f32; SUPER_BLOCKS]);
    let (mut max_scale, mut max_min) = (0.0f32, 0.0f32);
    for (j, x) in blocks.iter().enumerate() {
        let sum = x.iter().fold(0.0f32, |sum, v| sum + v * v);
        let average = sqrt_f32(sum / BLOCK_LEN as f32);
        let weights = x.map(|v| average + v.abs());
        (scales[j], mins[j], out.codes[j]) = scale_and_min(x, &weights);
        max_scale = if scales[j] > max_scale {
            scales[j]
        } else {
            max_scale
        };
        max_min = if mins[j] > max_min { mins[j] } else { max_min };
    }
    let is_finite = scales.iter().chain(&mins).all(|v| v.is_finite());
    if !all_finite(blocks) || !is_finite {
        out.scale = HALF_NAN;
        return out;
    }
    let inverse = |max: f32| if max > 0.0 { 63.0 / max } else { 0.0 };
    let (inverse_scale, inverse_min) = (inverse(max_scale), inverse(max_min));
    out.scale = f32_to_f16(max_scale / 63.0);
    out.min = f32_to_f16(max_min / 63.0);
    for (j, x) in blocks.iter().enumerate() {
        let sub_scale = nearest(inverse_scale * scales[j], 0.0, 63.0);
        let sub_min = nearest(inverse_min * mins[j], 0.0, 63.0);
        (out.sub_scales[j], out.sub_mins[j]) = (sub_scale as u8, sub_min as u8);
        let d = f16_to_f32(out.scale) * sub_scale;
        let min = f16_to_f32(out.min) * sub_min;
        // Without a scale every code stands for the minimum alone; ggml leaves the search's.
        if d != 0.0 {
            out.codes[j] = x.map(|v| nearest((v + min) / d, 0.0, 15.0) as u8);
        }
    }
    out
}

/// ggml's `make_qkx2_quants` for 15 steps from -1 by 0.1, 20 times: the scale and the minimum
/// (its sign turned) that lose least of the weighted squares, and the codes for those.
fn scale_and_min(x: &[f32; BLOCK_LEN], weights: &[f32; BLOCK_LEN]) -> (f32, f32, [u8; BLOCK_LEN]) {
    const MAX: f32 = 15.0;
    let (mut min, mut max) = (x[0], x[0]);
    let (mut sum_w, mut sum_x) = (weights[0], weights[0] * x[0]);
    for (v, w) in x.iter().zip(weights).skip(1) {
        min = if *v < min { *v } else { min };
        max = if *v > max { *v } else { max };
        sum_w += w;
        sum_x += w * v;
    }
    if min > 0.0 {
        min = 0.0;
    }
    if max == min {
        return (0.0, -min, [0; BLOCK_LEN]);
    }
    let start = MAX / (max - min);
    let mut scale = 1.0 / start;
    let codes = x.map(|v| nearest(start * (v - min), 0.0, MAX));
    let mut best = loss(x, weights, &codes, scale, min);
    let mut best_codes = codes;
    for step in 0..=20 {
        // As in ggml, later steps start from the best minimum so far.
        let inverse = (-1.0 + 0.1 * step as f32 + MAX) / (max - min);
        let codes = x.map(|v| nearest(inverse * (v - min), 0.0, MAX));
        let (mut sum_l, mut sum_l2, mut sum_xl) = (0.0f32, 0.0f32, 0.0f32);
        for ((v, w), l) in x.iter().zip(weights).zip(&codes) {
            sum_l += w * l;
            sum_l2 += w * l * l;
            sum_xl += w * l * v;
        }
        let determinant = sum_w * sum_l2 - sum_l * sum_l;
        if determinant > 0.0 {
            let mut try_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
            let mut try_min = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
            if try_min > 0.0 {
                (try_scale, try_min) = (sum_xl / sum_l2, 0.0);
            }
            let lost = loss(x, weights, &codes, try_scale, try_min);
            if lost < best {
                (best, scale, min) = (lost, try_scale, try_min);
                best_codes = codes;
            }
        }
    }
    (scale, -min, best_codes.map(|l| l as u8))
}

/// The weighted squares of what codes miss.
fn loss(
    x: &[f32; BLOCK_LEN],
    weights: &[f32; BLOCK_LEN],
    codes: &[f32; BLOCK_LEN],
    scale: f32,
    min: f32,
) -> f32 {
    let mut sum = 0.0f32;
    for ((v, w), l) in x.iter().zip(weights).zip(codes) {
        let miss = scale * l + min - v;
        sum += w * (miss * miss);
    }
    sum
}

/// q6_k: per 16 columns the scale of [`scale_only`], quantized to 8 bits against the largest of
/// the super-block; then codes for those. Up to eight blocks.
pub fn quantize_q6_k(blocks: &[[f32; BLOCK_LEN]]) -> Unpacked {
    let mut out = Unpacked::zero(blocks.len());
    let (halves, _) = blocks.as_flattened().as_chunks::<16>();
    let mut scales = [0.0f32; 2 * SUPER_BLOCKS];
    let (codes, _) = out.codes.as_flattened_mut().as_chunks_mut::<16>();
    for ((scale, codes), x) in scales.iter_mut().zip(codes).zip(halves) {
        (*scale, *codes) = scale_only(x);
    }
    if !all_finite(blocks) || !scales.iter().all(|v| v.is_finite()) {
        out.scale = HALF_NAN;
        return out;
    }
    let max = largest(&scales);
    if max.abs() < TINY {
        return Unpacked::zero(blocks.len());
    }
    let inverse = -128.0 / max;
    out.scale = f32_to_f16(1.0 / inverse);
    for (i, x) in halves.iter().enumerate() {
        let sub_scale = nearest(inverse * scales[i], -128.0, 127.0);
        out.sub_scales[i] = (sub_scale as i8).cast_unsigned();
        let d = f16_to_f32(out.scale) * sub_scale;
        // Without a scale every code stands for zero; ggml leaves the search's.
        if d != 0.0 {
            let codes = x.map(|v| (nearest(v / d, -32.0, 31.0) + 32.0) as u8);
            out.codes[i / 2][i % 2 * 16..][..16].copy_from_slice(&codes);
        }
    }
    out
}

/// ggml's `make_qx_quants` for 32 steps either side, weighted by squares: the scale that keeps
/// most of what codes can keep, and the codes for it.
fn scale_only(x: &[f32; 16]) -> (f32, [u8; 16]) {
    const MAX: f32 = 32.0;
    let max = largest(x);
    if max.abs() < TINY {
        return (0.0, [0; 16]);
    }
    let codes = |inverse: f32| x.map(|v| (nearest(inverse * v, -MAX, MAX - 1.0) + MAX) as u8);
    let sums = |inverse: f32| {
        let (mut sum_lx, mut sum_l2) = (0.0f32, 0.0f32);
        for &v in x {
            let l = nearest(inverse * v, -MAX, MAX - 1.0);
            let w = v * v;
            sum_lx += w * v * l;
            sum_l2 += w * l * l;
        }
        (sum_lx, sum_l2)
    };
    let (sum_lx, sum_l2) = sums(-MAX / max);
    let mut scale = if sum_l2 == 0.0 { 0.0 } else { sum_lx / sum_l2 };
    let mut best = scale * sum_lx;
    let mut best_codes = codes(-MAX / max);
    for step in -9i8..=9 {
        if step == 0 {
            continue;
        }
        let inverse = -(MAX + 0.1 * f32::from(step)) / max;
        let (sum_lx, sum_l2) = sums(inverse);
        if sum_l2 > 0.0 && sum_lx * sum_lx > best * sum_l2 {
            scale = sum_lx / sum_l2;
            best = scale * sum_lx;
            best_codes = codes(inverse);
        }
    }
    (scale, best_codes)
}
