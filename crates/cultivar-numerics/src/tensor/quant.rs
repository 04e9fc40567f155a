//! Quantization of blocks of 32, with the rounding of ggml's reference code
//! (`quantize_row_q8_0_ref`, `quantize_row_q4_0_ref`, `quantize_row_q5_0_ref`), so that codes and
//! scales equal those that llama-quantize writes, byte for byte.
//!
//! Where ggml's C leaves the result open (values that are not finite, blocks so small that the
//! inverse of their scale overflows), the rule is ours and total: see each function.

use super::half::f32_to_f16;

/// Columns of a block.
pub const BLOCK_LEN: usize = 32;

/// q8_0: scale = amax / 127, codes = `x * (1 / scale)` rounded, halves away from zero; the scale is
/// stored as f16, rounded to nearest even.
///
/// A value that is not finite makes the stored scale not finite, which every later check refuses.
/// A scale below 2^-128, whose inverse overflows, gives codes 0; its f16 is 0 anyway.
pub fn quantize_block_q8_0(x: &[f32; BLOCK_LEN]) -> (u16, [i8; BLOCK_LEN]) {
    let scale = largest(x).abs() / 127.0;
    let inverse = inverse_of(scale);
    (f32_to_f16(scale), x.map(|v| round_half_away(v * inverse)))
}

/// q4_0: scale = m / -8 for the first value m of largest magnitude, so that m gets code 0 (which
/// stands for -8); codes = `x * (1 / scale) + 8.5` cut to a whole number in 0..=15.
///
/// A value that is not finite makes the stored scale not finite. A scale below 2^-128 in magnitude
/// gives codes 8 (which stand for 0), as a block of zeros does.
pub fn quantize_block_q4_0(x: &[f32; BLOCK_LEN]) -> (u16, [u8; BLOCK_LEN]) {
    let scale = largest(x) / -8.0;
    let inverse = inverse_of(scale);
    (
        f32_to_f16(scale),
        x.map(|v| ((v * inverse + 8.5) as u8).min(15)),
    )
}

/// q5_0: as q4_0 with five bits: scale = m / -16, codes = `x * (1 / scale) + 16.5` cut to a whole
/// number in 0..=31. The same rules for what is not finite or too small.
pub fn quantize_block_q5_0(x: &[f32; BLOCK_LEN]) -> (u16, [u8; BLOCK_LEN]) {
    let scale = largest(x) / -16.0;
    let inverse = inverse_of(scale);
    (
        f32_to_f16(scale),
        x.map(|v| ((v * inverse + 16.5) as u8).min(31)),
    )
}

/// The first value of largest magnitude, its sign kept; a `NaN` counts above infinity.
pub(super) fn largest(x: &[f32]) -> f32 {
    let magnitude = |v: f32| v.to_bits() & 0x7fff_ffff;
    x.iter().fold(0.0, |max, &v| {
        if magnitude(v) > magnitude(max) {
            v
        } else {
            max
        }
    })
}

/// `1 / scale`, or 0 where that does not exist as a finite f32.
fn inverse_of(scale: f32) -> f32 {
    let inverse = 1.0 / scale;
    if inverse.is_finite() { inverse } else { 0.0 }
}

/// Nearest integer, halves away from zero, for magnitudes within i8; 0 for `NaN`.
fn round_half_away(v: f32) -> i8 {
    let whole = v as i8;
    let rest = v - f32::from(whole);
    whole
        .saturating_add(i8::from(rest >= 0.5))
        .saturating_sub(i8::from(rest <= -0.5))
}
