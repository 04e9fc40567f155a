//! The super-blocks of 256 with quantized sub-scales: q2_k q3_k q4_k q5_k q6_k.
//!
//! Source: ggml `ggml-quants.c`, `dequantize_row_*_K`; each product and sum in its order.

use super::legacy::half;

/// `d * (scale & 15) * code - dmin * (scale >> 4)`; two scales for each 32 codes of two bits.
pub(super) fn q2_k(block: &[u8], out: &mut [f32]) {
    let Some(block) = block.first_chunk::<84>() else {
        return;
    };
    let (d, dmin) = (half(block, 80), half(block, 82));
    for (sixteen, out) in out.chunks_mut(16).take(16).enumerate() {
        let scale = block[sixteen];
        let (dl, ml) = (d * f32::from(scale & 15), dmin * f32::from(scale >> 4));
        let (first, shift) = two_bit_codes(sixteen);
        for (out, byte) in out.iter_mut().zip(&block[16 + first..]) {
            *out = dl * f32::from(byte >> shift & 3) - ml;
        }
    }
}

/// Where the 16 codes of two bits of a group begin and by how much they are shifted: 128 columns
/// share 32 bytes.
fn two_bit_codes(sixteen: usize) -> (usize, usize) {
    let (of_128, in_128) = (sixteen / 8, sixteen % 8);
    (32 * of_128 + 16 * (in_128 % 2), 2 * (in_128 / 2))
}

/// `d * (scale - 32) * (code - (4 if its high bit is not set))`.
pub(super) fn q3_k(block: &[u8], out: &mut [f32]) {
    let Some(block) = block.first_chunk::<110>() else {
        return;
    };
    let d = half(block, 108);
    let scales = &block[96..108];
    for (sixteen, out) in out.chunks_mut(16).take(16).enumerate() {
        let low = scales[sixteen % 8] >> (4 * (sixteen / 8)) & 15;
        let high = scales[8 + sixteen % 4] >> (2 * (sixteen / 4)) & 3;
        let dl = d * (f32::from(low | high << 4) - 32.0);
        let (first, shift) = two_bit_codes(sixteen);
        let mask = 1_u8 << (sixteen / 2);
        let high_bits = &block[16 * (sixteen % 2)..];
        let codes = high_bits.iter().zip(&block[32 + first..]);
        for (out, (high, byte)) in out.iter_mut().zip(codes) {
            let below = if high & mask == 0 { 4.0 } else { 0.0 };
            *out = dl * (f32::from(byte >> shift & 3) - below);
        }
    }
}

/// Scale and minimum of 32 columns, six bits each, out of twelve bytes.
fn scale_min(scales: &[u8], j: usize) -> (f32, f32) {
    let (scale, min) = if j < 4 {
        (scales[j] & 63, scales[j + 4] & 63)
    } else {
        let shared = scales[j + 4];
        (
            shared & 15 | scales[j - 4] >> 6 << 4,
            shared >> 4 | scales[j] >> 6 << 4,
        )
    };
    (f32::from(scale), f32::from(min))
}

/// `d * scale * code - dmin * min`.
pub(super) fn q4_k(block: &[u8], out: &mut [f32]) {
    let Some(block) = block.first_chunk::<144>() else {
        return;
    };
    let (d, dmin) = (half(block, 0), half(block, 2));
    for (j, out) in out.chunks_mut(32).take(8).enumerate() {
        let (scale, min) = scale_min(&block[4..16], j);
        let (dl, ml) = (d * scale, dmin * min);
        let codes = &block[16 + 32 * (j / 2)..];
        for (out, byte) in out.iter_mut().zip(codes) {
            *out = dl * f32::from(byte >> (4 * (j % 2)) & 15) - ml;
        }
    }
}

/// `d * scale * code - dmin * min`; the fifth bit of a code stands apart.
pub(super) fn q5_k(block: &[u8], out: &mut [f32]) {
    let Some(block) = block.first_chunk::<176>() else {
        return;
    };
    let (d, dmin) = (half(block, 0), half(block, 2));
    for (j, out) in out.chunks_mut(32).take(8).enumerate() {
        let (scale, min) = scale_min(&block[4..16], j);
        let (dl, ml) = (d * scale, dmin * min);
        let codes = block[16..48].iter().zip(&block[48 + 32 * (j / 2)..]);
        for (out, (high, byte)) in out.iter_mut().zip(codes) {
            let code = byte >> (4 * (j % 2)) & 15 | (high >> j & 1) << 4;
            *out = dl * f32::from(code) - ml;
        }
    }
}

/// `d * scale * (code - 32)`; one signed scale for each 16 columns.
pub(super) fn q6_k(block: &[u8], out: &mut [f32]) {
    let Some(block) = block.first_chunk::<210>() else {
        return;
    };
    let d = half(block, 208);
    for (column, out) in out.iter_mut().take(256).enumerate() {
        let (of_128, quarter, l) = (column / 128, column % 128 / 32, column % 32);
        let low = block[64 * of_128 + 32 * (quarter % 2) + l] >> (4 * (quarter / 2)) & 15;
        let high = block[128 + 32 * of_128 + l] >> (2 * quarter) & 3;
        let scale = block[192 + column / 16].cast_signed();
        *out = d * f32::from(scale) * (f32::from(low | high << 4) - 32.0);
    }
}
