//! Plain floats and the blocks of 32 with one scale: f32 f16 bf16 q4_0 q4_1 q5_0 q5_1 q8_0.
//!
//! Source: ggml `ggml-quants.c`, `dequantize_row_*`. Blocks of another length decode nothing.

use cultivar_core::tensor::half::{bf16_to_f32, f16_to_f32};

/// The f16 at byte `at` of a block, which must be there.
pub(super) fn half<const N: usize>(block: &[u8; N], at: usize) -> f32 {
    f16_to_f32(u16::from_le_bytes([block[at], block[at + 1]]))
}

pub(super) fn f32_element(block: &[u8], out: &mut [f32]) {
    if let ([a, b, c, d], [out]) = (block, out) {
        *out = f32::from_le_bytes([*a, *b, *c, *d]);
    }
}

pub(super) fn f16_element(block: &[u8], out: &mut [f32]) {
    if let ([a, b], [out]) = (block, out) {
        *out = f16_to_f32(u16::from_le_bytes([*a, *b]));
    }
}

pub(super) fn bf16_element(block: &[u8], out: &mut [f32]) {
    if let ([a, b], [out]) = (block, out) {
        *out = bf16_to_f32(u16::from_le_bytes([*a, *b]));
    }
}

/// Codes of four bits at byte 2 or later: column `i` in the low half of byte `i`, column `i + 16`
/// in its high half.
fn nibble<const N: usize>(block: &[u8; N], first: usize, column: usize) -> u8 {
    block[first + column % 16] >> (4 * (column / 16)) & 15
}

/// The fifth bit of a code: bit `column` of the little-endian word at byte `first`.
fn fifth_bit<const N: usize>(block: &[u8; N], first: usize, column: usize) -> u8 {
    (block[first + column / 8] >> (column % 8) & 1) << 4
}

/// `d * (code - 8)`.
pub(super) fn q4_0(block: &[u8], out: &mut [f32]) {
    let Some(block) = block.first_chunk::<18>() else {
        return;
    };
    let d = half(block, 0);
    for (column, out) in out.iter_mut().take(32).enumerate() {
        *out = (f32::from(nibble(block, 2, column)) - 8.0) * d;
    }
}

/// `d * code + m`.
pub(super) fn q4_1(block: &[u8], out: &mut [f32]) {
    let Some(block) = block.first_chunk::<20>() else {
        return;
    };
    let (d, m) = (half(block, 0), half(block, 2));
    for (column, out) in out.iter_mut().take(32).enumerate() {
        *out = f32::from(nibble(block, 4, column)) * d + m;
    }
}

/// `d * (code - 16)`.
pub(super) fn q5_0(block: &[u8], out: &mut [f32]) {
    let Some(block) = block.first_chunk::<22>() else {
        return;
    };
    let d = half(block, 0);
    for (column, out) in out.iter_mut().take(32).enumerate() {
        let code = nibble(block, 6, column) | fifth_bit(block, 2, column);
        *out = (f32::from(code) - 16.0) * d;
    }
}

/// `d * code + m`.
pub(super) fn q5_1(block: &[u8], out: &mut [f32]) {
    let Some(block) = block.first_chunk::<24>() else {
        return;
    };
    let (d, m) = (half(block, 0), half(block, 2));
    for (column, out) in out.iter_mut().take(32).enumerate() {
        let code = nibble(block, 8, column) | fifth_bit(block, 4, column);
        *out = f32::from(code) * d + m;
    }
}

/// `d * code`.
pub(super) fn q8_0(block: &[u8], out: &mut [f32]) {
    let Some(block) = block.first_chunk::<34>() else {
        return;
    };
    let d = half(block, 0);
    for (out, code) in out.iter_mut().zip(&block[2..]) {
        *out = f32::from(code.cast_signed()) * d;
    }
}
