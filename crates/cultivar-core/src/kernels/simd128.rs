//! Kernels for wasm's fixed-width SIMD (simd128).
//!
//! Products of 8-bit codes go through `i32x4.dot_i16x8_s`: the bytes of a tile are read as 16-bit
//! lanes whose even and odd bytes become two planes, so that each 32-bit lane of a dot is one row
//! of the tile and no horizontal sum is needed. Activations are packed once to match.

use super::lanes::{load_bytes, load_codes, store_i32};
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

/// Codes of 32 activations as pairs of i16, the form that a dot takes four columns of.
#[derive(Clone, Copy)]
pub struct PackedBlock {
    /// Element `g`: columns `4g` and `4g + 2`.
    even: [i32; 8],
    /// Element `g`: columns `4g + 1` and `4g + 3`.
    odd: [i32; 8],
}

/// A packed block of zeros.
pub const EMPTY_BLOCK: PackedBlock = PackedBlock {
    even: [0; 8],
    odd: [0; 8],
};

/// Packs the codes of a block for the kernels below.
pub fn pack_block(codes: &[i8; BLOCK_LEN]) -> PackedBlock {
    let (halves, _) = codes.as_chunks::<16>();
    let (low, high) = (load_codes(&halves[0]), load_codes(&halves[1]));
    PackedBlock {
        even: store_i32(even_bytes(low), even_bytes(high)),
        odd: store_i32(odd_bytes(low), odd_bytes(high)),
    }
}

/// The even bytes of 16-bit lanes, sign-extended.
#[inline(always)]
fn even_bytes(bytes: v128) -> v128 {
    i16x8_shr(i16x8_shl(bytes, 8), 8)
}

/// The odd bytes of 16-bit lanes, sign-extended.
#[inline(always)]
fn odd_bytes(bytes: v128) -> v128 {
    i16x8_shr(bytes, 8)
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
                let even = even_bytes(bytes);
                let odd = odd_bytes(bytes);
                for t in 0..ROWS {
                    let a = i32x4_dot_i16x8(even, i32x4_splat(rows[t].even[g]));
                    let b = i32x4_dot_i16x8(odd, i32x4_splat(rows[t].odd[g]));
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

/// See [`scalar::matmul_q8_0`].
pub fn matmul_q8_0(out: &mut [f32], w: TensorRef<'_>, x: &Activations) {
    tiles::matmul::<Q8_0_TILE_BLOCK_BYTES, Plain>(out, w, x);
}

/// See [`scalar::matmul_q4_0`].
pub fn matmul_q4_0(out: &mut [f32], w: TensorRef<'_>, x: &Activations) {
    tiles::matmul::<Q4_0_TILE_BLOCK_BYTES, Plain>(out, w, x);
}
