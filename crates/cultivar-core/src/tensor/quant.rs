//! Quantization of blocks of 32, with the rounding of ggml's reference code, so that codes equal
//! those that llama-quantize writes.

use super::half::{f16_to_f32, f32_to_f16};

/// Columns of a block.
pub const BLOCK_LEN: usize = 32;

/// q8_0: scale = amax / 127 as f16, codes = `x * (127 / amax)` rounded, halves away from zero.
pub fn quantize_block_q8_0(x: &[f32; BLOCK_LEN]) -> (u16, [i8; BLOCK_LEN]) {
    let amax = x.iter().fold(0.0f32, |max, v| if v.abs() > max { v.abs() } else { max });
    let scale = amax / 127.0;
    let inverse = if scale != 0.0 { 1.0 / scale } else { 0.0 };
    (f32_to_f16(scale), x.map(|v| round_half_away(v * inverse)))
}

/// q4_0: scale = m / -8 as f16 for the value m of largest magnitude, so that m gets code 0 (its
/// value -8); codes = `x / scale + 8.5` cut to 0..=15.
pub fn quantize_block_q4_0(x: &[f32; BLOCK_LEN]) -> (u16, [u8; BLOCK_LEN]) {
    let (mut amax, mut max) = (0.0f32, 0.0f32);
    for &v in x {
        if v.abs() > amax {
            (amax, max) = (v.abs(), v);
        }
    }
    let scale = max / -8.0;
    let inverse = if scale != 0.0 { 1.0 / scale } else { 0.0 };
    (f32_to_f16(scale), x.map(|v| ((v * inverse + 8.5) as i8).min(15).cast_unsigned()))
}

/// `scale * code`.
pub fn dequantize(scale: u16, code: i8) -> f32 {
    f16_to_f32(scale) * f32::from(code)
}

/// Nearest integer, halves away from zero, for magnitudes within i8.
fn round_half_away(v: f32) -> i8 {
    let whole = v as i32 as f32;
    let rest = v - whole;
    (whole as i32 + i32::from(rest >= 0.5) - i32::from(rest <= -0.5)) as i8
}
