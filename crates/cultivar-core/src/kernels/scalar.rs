//! The specification: every product and sum of the engine in its plainest form.
//!
//! Written to be read and compared against, not to be fast; `docs/numerics.md` says the same in
//! formulas. A backend that differs from these functions by one bit is wrong.

use super::low_rank::{Factors, PANEL_ROWS};
use super::{Activations, BLOCK_LEN, PARTIAL_SUMS};
use crate::tensor::TensorRef;
use crate::tensor::half::{bf16_to_f32, f16_to_f32};

/// Rows that one tile interleaves.
pub const TILE_ROWS: usize = 4;
/// Bytes of one q8_0 tile-block: 4 scales of f16, then 32 columns of 4 rows.
pub const Q8_0_TILE_BLOCK_BYTES: usize = 136;
/// Bytes of one q4_0 tile-block: 4 scales of f16, then 16 byte columns of 4 rows.
pub const Q4_0_TILE_BLOCK_BYTES: usize = 72;
/// Added to a float of magnitude below 2^22, leaves its nearest integer (ties to even) in the low
/// mantissa bits: 1.5 * 2^23.
pub const ROUNDING_MAGIC: f32 = 12_582_912.0;
/// Below this largest magnitude a block of activations counts as zero: 2^-100. It keeps
/// `127 / amax` finite, and is far below anything that could reach a logit.
pub const ACTIVATION_FLOOR: f32 = f32::from_bits(0x0d80_0000);

/// Quantizes values that share a scale: scale = amax / 127, code = ties-to-even of
/// `x * (127 / amax)`. `codes, x: [n]`: 32 activations, or a key or value of the q8 cache.
///
/// Returns the scale. Values of which one is not finite get the scale `NaN` and codes 0, so that
/// the fault reaches the logits; those whose largest magnitude is below 2^-100 are zero.
pub fn quantize(codes: &mut [i8], x: &[f32]) -> f32 {
    // Magnitudes compare as their bits do, and NaN compares above infinity.
    let amax_bits = x
        .iter()
        .fold(0, |max, v| (v.to_bits() & 0x7fff_ffff).max(max));
    let amax = f32::from_bits(amax_bits);
    if amax_bits >= 0x7f80_0000 || amax < ACTIVATION_FLOOR {
        codes.fill(0);
        return if amax_bits >= 0x7f80_0000 {
            f32::NAN
        } else {
            0.0
        };
    }
    let inverse = 127.0 / amax;
    for (code, v) in codes.iter_mut().zip(x) {
        *code = ((v * inverse + ROUNDING_MAGIC) - ROUNDING_MAGIC) as i8;
    }
    amax / 127.0
}

/// [`quantize`] of one block of activations.
pub fn quantize_block(codes: &mut [i8; BLOCK_LEN], x: &[f32; BLOCK_LEN]) -> f32 {
    quantize(codes, x)
}

/// Sums 16 partial sums: halves are added until one is left.
pub fn sum_tree(mut s: [f32; PARTIAL_SUMS]) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            s[i] += s[i + half];
        }
    }
    s[0]
}

/// `sum_i a(i) * b(i)` for `i` in `0..len`, with 16 partial sums and the tree.
fn dot_with(len: usize, a: impl Fn(usize) -> f32, b: impl Fn(usize) -> f32) -> f32 {
    let mut s = [0.0; PARTIAL_SUMS];
    for i in 0..len {
        s[i % PARTIAL_SUMS] += a(i) * b(i);
    }
    sum_tree(s)
}

/// Dot product of f32 rows.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    dot_with(a.len(), |i| a[i], |i| b[i])
}

/// Dot product with a row of f16 bits.
pub fn dot_f16(a: &[f32], b: &[u16]) -> f32 {
    dot_with(a.len(), |i| f16_to_f32(b[i]), |i| a[i])
}

/// Dot product with a row of 8-bit codes.
pub fn dot_i8(a: &[f32], b: &[i8]) -> f32 {
    dot_with(a.len(), |i| f32::from(b[i]), |i| a[i])
}

/// One panel of `lora_b: [16, rank]` times `t: [rank]`, added to sixteen sums in the order of `t`.
pub fn add_panel(acc: &mut [f32; PANEL_ROWS], b: Factors<'_>, t: &[f32]) {
    for (r, acc) in acc.iter_mut().enumerate() {
        for (j, t) in t.iter().enumerate() {
            *acc += b.get(j * PANEL_ROWS + r) * t;
        }
    }
}

/// Dot product of a stored f32 row, little-endian.
pub fn dot_f32_bytes(row: &[u8], x: &[f32]) -> f32 {
    let (elements, _) = row.as_chunks::<4>();
    dot_with(x.len(), |i| f32::from_le_bytes(elements[i]), |i| x[i])
}

/// Dot product of a stored f16 row, little-endian.
pub fn dot_f16_bytes(row: &[u8], x: &[f32]) -> f32 {
    let (elements, _) = row.as_chunks::<2>();
    dot_with(
        x.len(),
        |i| f16_to_f32(u16::from_le_bytes(elements[i])),
        |i| x[i],
    )
}

/// Dot product of a stored bf16 row, little-endian.
pub fn dot_bf16_bytes(row: &[u8], x: &[f32]) -> f32 {
    let (elements, _) = row.as_chunks::<2>();
    dot_with(
        x.len(),
        |i| bf16_to_f32(u16::from_le_bytes(elements[i])),
        |i| x[i],
    )
}

/// `[d_out, d_in]` of q8_0 tiles times rows of activations.
pub fn matmul_q8_0(out: &mut [f32], w: TensorRef<'_>, x: &Activations) {
    matmul_tiles::<Q8_0_TILE_BLOCK_BYTES>(out, w, x, |block, row, column| {
        i32::from(block[8 + (column / 4) * 16 + row * 4 + column % 4] as i8)
    });
}

/// `[d_out, d_in]` of q4_0 tiles times rows of activations; a code is its nibble less 8.
pub fn matmul_q4_0(out: &mut [f32], w: TensorRef<'_>, x: &Activations) {
    matmul_tiles::<Q4_0_TILE_BLOCK_BYTES>(out, w, x, |block, row, column| {
        let byte = block[8 + (column % 16 / 4) * 16 + row * 4 + column % 4];
        i32::from(if column < 16 { byte & 15 } else { byte >> 4 }) - 8
    });
}

/// `acc = acc + isum * (w_scale * x_scale)` over the blocks of a row, in order.
fn matmul_tiles<const TILE_BLOCK_BYTES: usize>(
    out: &mut [f32],
    w: TensorRef<'_>,
    x: &Activations,
    code: impl Fn(&[u8; TILE_BLOCK_BYTES], usize, usize) -> i32,
) {
    let n_blocks = w.d_in / BLOCK_LEN;
    let (blocks, _) = w.bytes.as_chunks::<TILE_BLOCK_BYTES>();
    for t in 0..x.n_rows() {
        for row_idx in 0..w.d_out {
            let tile = &blocks[row_idx / TILE_ROWS * n_blocks..][..n_blocks];
            let row = row_idx % TILE_ROWS;
            let mut acc = 0.0f32;
            for ((block, codes), x_scale) in tile.iter().zip(x.codes(t)).zip(x.scales(t)) {
                let w_scale = f16_to_f32(u16::from_le_bytes([block[2 * row], block[2 * row + 1]]));
                let mut isum = 0;
                for (column, &x_code) in codes.iter().enumerate() {
                    isum += code(block, row, column) * i32::from(x_code);
                }
                acc += isum as f32 * (w_scale * x_scale);
            }
            out[t * w.d_out + row_idx] = acc;
        }
    }
}
