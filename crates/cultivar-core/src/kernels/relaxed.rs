//! Kernels for wasm's relaxed SIMD: the integer dot product only.
//!
//! `i32x4.relaxed_dot_i8x16_i7x16_add_s` gives one and the same integer on every engine while its
//! second operand is within 0..=127 and a pair of products fits i16. 4-bit codes qualify as they
//! are. 8-bit codes do not, and what makes them fit (the sign moved to the other side, or two
//! dots) costs more than it gains where the CPU has no instruction of its own for this dot, so
//! q8_0 takes the plain dot here too (`docs/notes/weight-layout.md`). All else is shared.

use super::lanes::{load_bytes, load_codes, store_i32};
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
pub const NAME: &str = "relaxed";

/// Codes of 32 activations, for both kinds of dot.
#[derive(Clone, Copy)]
pub struct PackedBlock {
    pairs: Pairs,
    /// Four columns to an i32.
    codes: [i32; 8],
}

/// A packed block of zeros.
pub const EMPTY_BLOCK: PackedBlock = PackedBlock {
    pairs: Pairs::EMPTY,
    codes: [0; 8],
};

/// Packs the codes of a block for the kernels below.
pub fn pack_block(codes: &[i8; BLOCK_LEN]) -> PackedBlock {
    let (halves, _) = codes.as_chunks::<16>();
    PackedBlock {
        pairs: Pairs::pack(codes),
        codes: store_i32(load_codes(&halves[0]), load_codes(&halves[1])),
    }
}

/// `i32x4.relaxed_dot_i8x16_i7x16_add_s` kernels.
struct Relaxed;

impl BlockSums<Q8_0_TILE_BLOCK_BYTES> for Relaxed {
    const MANY_ROWS: usize = 4;

    #[inline(always)]
    fn block_sums<const TILES: usize, const ROWS: usize>(
        tiles: [&[u8; Q8_0_TILE_BLOCK_BYTES]; TILES],
        rows: [&PackedBlock; ROWS],
        _sums: [i32; ROWS],
    ) -> [[v128; ROWS]; TILES] {
        pairs::q8_0_sums(tiles, rows.map(|row| &row.pairs))
    }
}

impl BlockSums<Q4_0_TILE_BLOCK_BYTES> for Relaxed {
    const MANY_ROWS: usize = 8;

    #[inline(always)]
    fn block_sums<const TILES: usize, const ROWS: usize>(
        tiles: [&[u8; Q4_0_TILE_BLOCK_BYTES]; TILES],
        rows: [&PackedBlock; ROWS],
        sums: [i32; ROWS],
    ) -> [[v128; ROWS]; TILES] {
        let nibble = u8x16_splat(15);
        let mut acc = [[i32x4_splat(0); ROWS]; TILES];
        for tile in &mut acc {
            for (t, lanes) in tile.iter_mut().enumerate() {
                *lanes = i32x4_splat(-8 * sums[t]);
            }
        }
        for j in 0..4 {
            for i in 0..TILES {
                let (vectors, _) = tiles[i][8..].as_chunks::<16>();
                let bytes = load_bytes(&vectors[j]);
                let low = v128_and(bytes, nibble);
                let high = u8x16_shr(bytes, 4);
                for t in 0..ROWS {
                    let first = i32x4_splat(rows[t].codes[j]);
                    let second = i32x4_splat(rows[t].codes[4 + j]);
                    let sum = i32x4_relaxed_dot_i8x16_i7x16_add(first, low, acc[i][t]);
                    acc[i][t] = i32x4_relaxed_dot_i8x16_i7x16_add(second, high, sum);
                }
            }
        }
        acc
    }
}

/// See [`super::scalar::matmul_q8_0`].
pub fn matmul_q8_0(out: &mut [f32], w: TensorRef<'_>, x: &Activations) {
    tiles::matmul::<Q8_0_TILE_BLOCK_BYTES, Relaxed>(out, w, x);
}

/// See [`super::scalar::matmul_q4_0`].
pub fn matmul_q4_0(out: &mut [f32], w: TensorRef<'_>, x: &Activations) {
    tiles::matmul::<Q4_0_TILE_BLOCK_BYTES, Relaxed>(out, w, x);
}
