//! Kernels for targets without wasm SIMD, written in loops that the compiler vectorizes itself.
//!
//! The same orders of summation as `scalar.rs`, with the work arranged for registers: a tile-block
//! is unpacked to 16-bit rows once and used by all activation rows; f32 dots keep their 16
//! partial sums as an array. On wasm without simd128 this is what the measurements call scalar.

use super::scalar::{self, TILE_ROWS};
use super::{Activations, BLOCK_LEN, PARTIAL_SUMS};
use crate::tensor::half::{bf16_to_f32, f16_to_f32};
use crate::tensor::{Dtype, TensorRef};

pub use super::scalar::quantize_block;

/// This backend's name.
pub const NAME: &str = "portable";

/// Codes of 32 activations widened to 16 bits, the form that pairs into 32-bit products.
#[derive(Clone, Copy)]
pub struct PackedBlock {
    codes: [i16; BLOCK_LEN],
    scale: f32,
}

impl PackedBlock {
    /// All zero.
    pub const EMPTY: Self = Self {
        codes: [0; BLOCK_LEN],
        scale: 0.0,
    };

    /// Packs a block with its scale; sums are not used here.
    pub fn pack(codes: &[i8; BLOCK_LEN], (scale, _, _): (f32, i32, f32)) -> Self {
        Self {
            codes: codes.map(i16::from),
            scale,
        }
    }
}

/// Codes of four rows, 32 columns each.
type UnpackedTile = [[i16; BLOCK_LEN]; TILE_ROWS];

/// See [`scalar::matmul_tiles`].
pub fn matmul_tiles(out: &mut [f32], w: TensorRef<'_>, x: &Activations) {
    match w.format.dtype {
        Dtype::Q8_0 => matmul_q8_0(out, w, x),
        Dtype::Q4_0 => matmul_q4_0(out, w, x),
        _ => scalar::matmul_tiles(out, w, x),
    }
}

/// 128 bytes of codes.
fn matmul_q8_0(out: &mut [f32], w: TensorRef<'_>, x: &Activations) {
    matmul_flat::<136>(out, w, x, |rows, block| {
        let (groups, _) = block[8..].as_chunks::<16>();
        for (g, group) in groups.iter().enumerate() {
            for r in 0..TILE_ROWS {
                for c in 0..4 {
                    rows[r][4 * g + c] = i16::from(group[4 * r + c] as i8);
                }
            }
        }
    });
}

/// 64 bytes of codes.
fn matmul_q4_0(out: &mut [f32], w: TensorRef<'_>, x: &Activations) {
    matmul_flat::<72>(out, w, x, |rows, block| {
        let (groups, _) = block[8..].as_chunks::<16>();
        for (j, group) in groups.iter().enumerate() {
            for r in 0..TILE_ROWS {
                for c in 0..4 {
                    let byte = group[4 * r + c];
                    rows[r][4 * j + c] = i16::from(byte & 15) - 8;
                    rows[r][16 + 4 * j + c] = i16::from(byte >> 4) - 8;
                }
            }
        }
    });
}

/// Exact integer sum of 32 products.
#[inline(always)]
fn block_sum(a: &[i16; BLOCK_LEN], b: &[i16; BLOCK_LEN]) -> i32 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| i32::from(a) * i32::from(b))
        .sum()
}

/// Blocks in order for each tile; accumulators live in `out` while a tile is walked.
#[inline(always)]
fn matmul_flat<const TILE_BLOCK_BYTES: usize>(
    out: &mut [f32],
    w: TensorRef<'_>,
    x: &Activations,
    unpack: impl Fn(&mut UnpackedTile, &[u8; TILE_BLOCK_BYTES]),
) {
    let n_blocks = w.d_in / BLOCK_LEN;
    let (blocks, _) = w.bytes.as_chunks::<TILE_BLOCK_BYTES>();
    out.fill(0.0);
    let mut rows: UnpackedTile = [[0; BLOCK_LEN]; TILE_ROWS];
    for (tile_idx, tile) in blocks.chunks_exact(n_blocks).enumerate() {
        let first = tile_idx * TILE_ROWS;
        let n = TILE_ROWS.min(w.d_out - first);
        for (b, block) in tile.iter().enumerate() {
            unpack(&mut rows, block);
            let w_scales: [f32; TILE_ROWS] = core::array::from_fn(|r| {
                f16_to_f32(u16::from_le_bytes([block[2 * r], block[2 * r + 1]]))
            });
            for t in 0..x.n_rows() {
                let PackedBlock { codes, scale } = x.packed_block(t, b);
                let acc = &mut out[t * w.d_out + first..][..n];
                for (r, acc) in acc.iter_mut().enumerate() {
                    *acc += block_sum(&rows[r], codes) as f32 * (w_scales[r] * scale);
                }
            }
        }
    }
}

/// 16 partial sums over whole groups of 16, then the tail, then the tree.
#[inline(always)]
fn dot_with<A, B>(
    (a, a_tail): (&[[A; PARTIAL_SUMS]], &[A]),
    (b, b_tail): (&[[B; PARTIAL_SUMS]], &[B]),
    product: impl Fn(&A, &B) -> f32,
) -> f32 {
    let mut s = [0.0; PARTIAL_SUMS];
    for (a, b) in a.iter().zip(b) {
        for i in 0..PARTIAL_SUMS {
            s[i] += product(&a[i], &b[i]);
        }
    }
    for (s, (a, b)) in s.iter_mut().zip(a_tail.iter().zip(b_tail)) {
        *s += product(a, b);
    }
    scalar::sum_tree(s)
}

/// See [`scalar::dot`].
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    dot_with(a.as_chunks(), b.as_chunks(), |a, b| a * b)
}

/// See [`scalar::dot_f16`].
pub fn dot_f16(a: &[f32], b: &[u16]) -> f32 {
    dot_with(a.as_chunks(), b.as_chunks(), |a, b| a * f16_to_f32(*b))
}

/// See [`scalar::dot_i8`].
pub fn dot_i8(a: &[f32], b: &[i8]) -> f32 {
    dot_with(a.as_chunks(), b.as_chunks(), |a, b| a * f32::from(*b))
}

/// See [`scalar::dot_f32_bytes`].
pub fn dot_f32_bytes(row: &[u8], x: &[f32]) -> f32 {
    let (elements, _) = row.as_chunks::<4>();
    dot_with(elements.as_chunks(), x.as_chunks(), |w, x| {
        f32::from_le_bytes(*w) * x
    })
}

/// See [`scalar::dot_f16_bytes`].
pub fn dot_f16_bytes(row: &[u8], x: &[f32]) -> f32 {
    let (elements, _) = row.as_chunks::<2>();
    dot_with(elements.as_chunks(), x.as_chunks(), |w, x| {
        f16_to_f32(u16::from_le_bytes(*w)) * x
    })
}

/// See [`scalar::dot_bf16_bytes`].
pub fn dot_bf16_bytes(row: &[u8], x: &[f32]) -> f32 {
    let (elements, _) = row.as_chunks::<2>();
    dot_with(elements.as_chunks(), x.as_chunks(), |w, x| {
        bf16_to_f32(u16::from_le_bytes(*w)) * x
    })
}
