//! ggml's own order of storage: one block, or super-block, of one row, to and from [`Unpacked`].
//! It moves bits only; both directions are exact.

use super::unpacked::{SUPER_BLOCKS, Unpacked};
use super::{Dtype, Format};

/// Reads `block`, `format.block_bytes` of a tiled format in ggml's order.
pub fn unpack(block: &[u8], format: &Format) -> Unpacked {
    let mut out = Unpacked::zero(format.super_blocks);
    let half = |at: usize| u16::from_le_bytes([block[at], block[at + 1]]);
    out.scale = half(if format.dtype == Dtype::Q6K { 208 } else { 0 });
    match format.dtype {
        Dtype::Q4K => {
            out.min = half(2);
            let scales = &block[4..16];
            for j in 0..SUPER_BLOCKS {
                let (scale, min) = q4_k_scale(scales, j);
                (out.sub_scales[j], out.sub_mins[j]) = (scale, min);
            }
        }
        Dtype::Q6K => out.sub_scales.copy_from_slice(&block[192..208]),
        _ => {}
    }
    for (j, codes) in out.codes[..format.super_blocks].iter_mut().enumerate() {
        for (column, code) in codes.iter_mut().enumerate() {
            let bits = |(at, shift, mask): (usize, usize, u8)| block[at] >> shift & mask;
            let (low, high) = places(format.dtype, j, column);
            *code = bits(low) | high.map_or(0, |high| bits(high) << 4);
        }
    }
    out
}

/// Writes `block`: the inverse of [`unpack`].
pub fn pack(block: &mut [u8], format: &Format, from: &Unpacked) {
    block.fill(0);
    let at = if format.dtype == Dtype::Q6K { 208 } else { 0 };
    block[at..at + 2].copy_from_slice(&from.scale.to_le_bytes());
    match format.dtype {
        Dtype::Q4K => {
            block[2..4].copy_from_slice(&from.min.to_le_bytes());
            for j in 0..4 {
                let (low, high) = (j, j + 4);
                block[4 + j] = from.sub_scales[low] | from.sub_scales[high] >> 4 << 6;
                block[8 + j] = from.sub_mins[low] | from.sub_mins[high] >> 4 << 6;
                block[12 + j] = from.sub_scales[high] & 15 | from.sub_mins[high] << 4;
            }
        }
        Dtype::Q6K => block[192..208].copy_from_slice(&from.sub_scales),
        _ => {}
    }
    for (j, codes) in from.codes[..format.super_blocks].iter().enumerate() {
        for (column, &code) in codes.iter().enumerate() {
            let ((at, shift, mask), high) = places(format.dtype, j, column);
            block[at] |= (code & mask) << shift;
            if let Some((at, shift, mask)) = high {
                block[at] |= (code >> 4 & mask) << shift;
            }
        }
    }
}

/// A byte of a block, a shift and a mask.
type Place = (usize, usize, u8);

/// Where the code of block `j`, column `column` stands: its low bits and, apart, its high ones.
fn places(dtype: Dtype, j: usize, column: usize) -> (Place, Option<Place>) {
    let (low, half) = (column % 16, column / 16);
    match dtype {
        Dtype::Q4_0 => ((2 + low, 4 * half, 15), None),
        // `qh` is a little-endian word whose bit `i` belongs to column `i`.
        Dtype::Q5_0 => (
            (6 + low, 4 * half, 15),
            Some((2 + column / 8, column % 8, 1)),
        ),
        // Two blocks share 32 bytes.
        Dtype::Q4K => ((16 + 32 * (j / 2) + column, 4 * (j % 2), 15), None),
        // Four blocks share 64 bytes of low and 32 bytes of high bits.
        Dtype::Q6K => {
            let (of_four, j) = (j / 4, j % 4);
            let low = 64 * of_four + 32 * (j % 2) + column;
            let high = 128 + 32 * of_four + column;
            ((low, 4 * (j / 2), 15), Some((high, 2 * j, 3)))
        }
        _ => ((2 + column, 0, 255), None),
    }
}

/// Scale and minimum of block `j` out of q4_k's twelve bytes.
fn q4_k_scale(scales: &[u8], j: usize) -> (u8, u8) {
    if j < 4 {
        return (scales[j] & 63, scales[j + 4] & 63);
    }
    let shared = scales[j + 4];
    (
        shared & 15 | scales[j - 4] >> 6 << 4,
        shared >> 4 | scales[j] >> 6 << 4,
    )
}
