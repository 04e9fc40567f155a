//! Kernels for wasm's fixed-width SIMD (simd128).
//!
//! All products of codes go through `i32x4.dot_i16x8_s`, by the even and odd planes of `pairs.rs`;
//! 4-bit codes make four such planes by shifting and masking, without widening.

use super::lanes::load_bytes;
use super::pairs::{self, Pairs};
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

/// Codes of 32 activations in the order of the kernels below.
pub type PackedBlock = Pairs;
/// A packed block of zeros.
pub const EMPTY_BLOCK: PackedBlock = Pairs::EMPTY;

/// Packs the codes of a block for the kernels below.
pub fn pack_block(codes: &[i8; BLOCK_LEN]) -> PackedBlock {
    Pairs::pack(codes)
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
        pairs::q8_0_sums(tiles, rows)
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
                    let a = i32x4_dot_i16x8(even_low, i32x4_splat(rows[t].even[j]));
                    let b = i32x4_dot_i16x8(odd_low, i32x4_splat(rows[t].odd[j]));
                    let c = i32x4_dot_i16x8(even_high, i32x4_splat(rows[t].even[4 + j]));
                    let d = i32x4_dot_i16x8(odd_high, i32x4_splat(rows[t].odd[4 + j]));
                    let sum = i32x4_add(i32x4_add(a, b), i32x4_add(c, d));
                    acc[i][t] = i32x4_add(acc[i][t], sum);
                }
            }
        }
        acc
    }
}

/// See [`super::scalar::matmul_q8_0`].
pub fn matmul_q8_0(out: &mut [f32], w: TensorRef<'_>, x: &Activations) {
    tiles::matmul::<Q8_0_TILE_BLOCK_BYTES, Plain>(out, w, x);
}

/// See [`super::scalar::matmul_q4_0`].
pub fn matmul_q4_0(out: &mut [f32], w: TensorRef<'_>, x: &Activations) {
    tiles::matmul::<Q4_0_TILE_BLOCK_BYTES, Plain>(out, w, x);
}
