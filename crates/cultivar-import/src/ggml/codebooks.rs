//! Types whose codes look values up or pack ternary digits: iq4_nl iq4_xs tq1_0 tq2_0.
//!
//! Source: ggml `ggml-quants.c`, `dequantize_row_iq4_*`, `dequantize_row_tq*`.

use super::legacy::half;

/// The sixteen values of iq4 codes.
const IQ4_VALUES: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

fn iq4_value(code: u8) -> f32 {
    f32::from(IQ4_VALUES[usize::from(code & 15)])
}

/// `d * value[code]`.
pub(super) fn iq4_nl(block: &[u8], out: &mut [f32]) {
    let Some(block) = block.first_chunk::<18>() else {
        return;
    };
    let d = half(block, 0);
    for (column, out) in out.iter_mut().take(32).enumerate() {
        *out = d * iq4_value(block[2 + column % 16] >> (4 * (column / 16)));
    }
}

/// `d * (scale - 32) * value[code]`; a scale of six bits for each 32 columns.
pub(super) fn iq4_xs(block: &[u8], out: &mut [f32]) {
    let Some(block) = block.first_chunk::<136>() else {
        return;
    };
    let d = half(block, 0);
    let scales_high = u16::from_le_bytes([block[2], block[3]]);
    for (j, out) in out.chunks_mut(32).take(8).enumerate() {
        let low = block[4 + j / 2] >> (4 * (j % 2)) & 15;
        let high = (scales_high >> (2 * j) & 3) as u8;
        let dl = d * (f32::from(low | high << 4) - 32.0);
        for (column, out) in out.iter_mut().enumerate() {
            let byte = block[8 + 16 * j + column % 16];
            *out = dl * iq4_value(byte >> (4 * (column / 16)));
        }
    }
}

const POWERS_OF_3: [u8; 5] = [1, 3, 9, 27, 81];

/// `d * (digit - 1)`, five ternary digits to a byte, the first one in its highest part.
pub(super) fn tq1_0(block: &[u8], out: &mut [f32]) {
    let Some(block) = block.first_chunk::<54>() else {
        return;
    };
    let d = half(block, 52);
    let mut out = out.iter_mut();
    // 32 bytes of five digits, 16 of five, 4 of four; digit by digit.
    for (bytes, n_digits) in [(0..32, 5), (32..48, 5), (48..52, 4)] {
        for power in &POWERS_OF_3[..n_digits] {
            for (byte, out) in block[bytes.clone()].iter().zip(&mut out) {
                let digit = (u16::from(byte.wrapping_mul(*power)) * 3) >> 8;
                *out = (f32::from(digit) - 1.0) * d;
            }
        }
    }
}

/// `d * (code - 1)`, codes of two bits.
pub(super) fn tq2_0(block: &[u8], out: &mut [f32]) {
    let Some(block) = block.first_chunk::<66>() else {
        return;
    };
    let d = half(block, 64);
    for (column, out) in out.iter_mut().take(256).enumerate() {
        let byte = block[32 * (column / 128) + column % 32];
        let code = byte >> (2 * (column % 128 / 32)) & 3;
        *out = (f32::from(code) - 1.0) * d;
    }
}
