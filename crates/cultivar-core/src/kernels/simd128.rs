//! Kernels for wasm's fixed-width SIMD (simd128).
//!
//! Products of 8-bit codes go through `i32x4.dot_i16x8_s`: the bytes of a tile are read as 16-bit
//! lanes whose even and odd bytes become two planes, so that each 32-bit lane of a dot is one row
//! of the tile and no horizontal sum is needed. Activations are packed once to match.

use super::lanes::load_bytes;
use super::scalar::{Q4_0_TILE_BLOCK_BYTES, Q8_0_TILE_BLOCK_BYTES};
use super::tiles::{self, BlockSums};
use super::{Activations, BLOCK_LEN};
use crate::tensor::TensorRef;
use core::arch::wasm32::*;

pub use super::vectors::{
    dot, dot_bf16_bytes, dot_f16, dot_f16_bytes, dot_f32_bytes, dot_i8, quantize_block,
};

/// This backend's name.
pub const NAME: &str = "simd128";

/// Codes of 32 activations as pairs of i16: element `2g` holds columns `4g, 4g+2`, element
/// `2g + 1` columns `4g+1, 4g+3`.
pub type PackedBlock = [i32; 16];
/// A packed block of zeros.
pub const EMPTY_BLOCK: PackedBlock = [0; 16];

/// Packs the codes of a block for the kernels below.
pub fn pack_block(codes: &[i8; BLOCK_LEN]) -> PackedBlock {
    let pair = |low: i8, high: i8| i32::from(low) & 0xffff | i32::from(high) << 16;
    core::array::from_fn(|i| {
        let column = i / 2 * 4 + i % 2;
        pair(codes[column], codes[column + 2])
    })
}

/// `i32x4.dot_i16x8_s` kernels.
struct Plain;

impl BlockSums<Q8_0_TILE_BLOCK_BYTES> for Plain {
    const MANY_ROWS: usize = 4;

    #[inline(always)]
    fn block_sums<const TILES: usize, const ROWS: usize>(
        tiles: [&[u8; Q8_0_TILE_BLOCK_BYTES]; TILES],
        rows: [&PackedBlock; ROWS],
        _sums: [i32; ROWS],
    ) -> [[v128; ROWS]; TILES] {
        let mut acc = [[i32x4_splat(0); ROWS]; TILES];
        for g in 0..8 {
            for i in 0..TILES {
                let (vectors, _) = tiles[i][8..].as_chunks::<16>();
                let bytes = load_bytes(&vectors[g]);
                let even = i16x8_shr(i16x8_shl(bytes, 8), 8);
                let odd = i16x8_shr(bytes, 8);
                for t in 0..ROWS {
                    let a = i32x4_dot_i16x8(even, i32x4_splat(rows[t][2 * g]));
                    let b = i32x4_dot_i16x8(odd, i32x4_splat(rows[t][2 * g + 1]));
                    acc[i][t] = i32x4_add(acc[i][t], i32x4_add(a, b));
                }
            }
        }
        acc
    }
}

impl BlockSums<Q4_0_TILE_BLOCK_BYTES> for Plain {
    const MANY_ROWS: usize = 4;

    #[inline(always)]
    fn block_sums<const TILES: usize, const ROWS: usize>(
        tiles: [&[u8; Q4_0_TILE_BLOCK_BYTES]; TILES],
        rows: [&PackedBlock; ROWS],
        sums: [i32; ROWS],
    ) -> [[v128; ROWS]; TILES] {
        let nibble = u16x8_splat(15);
        let mut acc = [[i32x4_splat(0); ROWS]; TILES];
        for i in 0..TILES {
            let (vectors, _) = tiles[i][8..].as_chunks::<16>();
            for t in 0..ROWS {
                acc[i][t] = i32x4_splat(-8 * sums[t]);
            }
            for j in 0..4 {
                let bytes = load_bytes(&vectors[j]);
                let even_low = v128_and(bytes, nibble);
                let even_high = v128_and(u16x8_shr(bytes, 4), nibble);
                let odd_low = v128_and(u16x8_shr(bytes, 8), nibble);
                let odd_high = u16x8_shr(bytes, 12);
                for t in 0..ROWS {
                    let a = i32x4_dot_i16x8(even_low, i32x4_splat(rows[t][2 * j]));
                    let b = i32x4_dot_i16x8(odd_low, i32x4_splat(rows[t][2 * j + 1]));
                    let c = i32x4_dot_i16x8(even_high, i32x4_splat(rows[t][8 + 2 * j]));
                    let d = i32x4_dot_i16x8(odd_high, i32x4_splat(rows[t][9 + 2 * j]));
                    let sum = i32x4_add(i32x4_add(a, b), i32x4_add(c, d));
                    acc[i][t] = i32x4_add(acc[i][t], sum);
                }
            }
        }
        acc
    }
}

/// See [`scalar::matmul_q8_0`].
pub fn matmul_q8_0(out: &mut [f32], w: TensorRef<'_>, x: &Activations) {
    tiles::matmul::<Q8_0_TILE_BLOCK_BYTES, Plain>(out, w, x);
}

/// See [`scalar::matmul_q4_0`].
pub fn matmul_q4_0(out: &mut [f32], w: TensorRef<'_>, x: &Activations) {
    tiles::matmul::<Q4_0_TILE_BLOCK_BYTES, Plain>(out, w, x);
}
