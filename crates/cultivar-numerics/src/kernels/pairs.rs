//! Exact products through `i32x4.dot_i16x8_s`, for both SIMD backends.
//!
//! The bytes of a tile are read as 16-bit lanes whose even and odd bytes become two planes, so
//! that each 32-bit lane of a dot is one row of the tile and no horizontal sum is needed.
//! Activations are packed once to match. Any weight code is exact, -128 included.

use super::BLOCK_LEN;
use super::backend::fast::PackedBlock;
use super::lanes::{load_bytes, load_codes, load_half, store_i32};
use super::tiles::Sums;
use core::arch::wasm32::*;

/// Codes of 32 activations as pairs of i16, the form that a dot takes four columns of.
#[derive(Clone, Copy)]
pub struct Pairs {
    /// Element `g`: columns `4g` and `4g + 2`.
    pub even: [i32; 8],
    /// Element `g`: columns `4g + 1` and `4g + 3`.
    pub odd: [i32; 8],
}

impl Pairs {
    /// All zero.
    pub const EMPTY: Self = Self {
        even: [0; 8],
        odd: [0; 8],
    };

    /// Packs the codes of a block.
    #[inline(always)]
    pub fn pack(codes: &[i8; BLOCK_LEN]) -> Self {
        let (halves, _) = codes.as_chunks::<16>();
        let (low, high) = (load_codes(&halves[0]), load_codes(&halves[1]));
        Self {
            even: store_i32(even_bytes(low), even_bytes(high)),
            odd: store_i32(odd_bytes(low), odd_bytes(high)),
        }
    }
}

/// The codes of a block, four columns to an i32.
#[inline(always)]
pub fn fours(codes: &[i8; BLOCK_LEN]) -> [i32; 8] {
    let (halves, _) = codes.as_chunks::<16>();
    store_i32(load_codes(&halves[0]), load_codes(&halves[1]))
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

/// Block sums of q8_0; see [`super::tiles::BlockSums`].
#[inline(always)]
pub fn q8_0_sums<const TILES: usize, const ROWS: usize>(
    codes: [&[u8; 128]; TILES],
    x: &[PackedBlock; ROWS],
) -> Sums<TILES, ROWS> {
    if ROWS == 1 {
        return codes.map(|codes| [q8_0_row_sums(codes, &x[0].codes); ROWS]);
    }
    let mut acc = [[i32x4_splat(0); ROWS]; TILES];
    for g in 0..8 {
        let bytes = codes.map(|codes| load_bytes(&codes.as_chunks().0[g]));
        let even = bytes.map(even_bytes);
        for t in 0..ROWS {
            let x = i32x4_splat(x[t].pairs.even[g]);
            for i in 0..TILES {
                acc[i][t] = i32x4_add(acc[i][t], i32x4_dot_i16x8(even[i], x));
            }
        }
        let odd = bytes.map(odd_bytes);
        for t in 0..ROWS {
            let x = i32x4_splat(x[t].pairs.odd[g]);
            for i in 0..TILES {
                acc[i][t] = i32x4_add(acc[i][t], i32x4_dot_i16x8(odd[i], x));
            }
        }
    }
    acc
}

/// The same for one tile and one row: two rows of the tile at a time, widened as they are loaded,
/// which is fewer steps where no other row shares the planes.
#[inline(always)]
fn q8_0_row_sums(codes: &[u8; 128], x: &[i32; 8]) -> v128 {
    let mut acc = [i32x4_splat(0); 2];
    for (fours, x) in codes.as_chunks::<16>().0.iter().zip(x) {
        let x = i16x8_extend_low_i8x16(i32x4_splat(*x));
        for (acc, two) in acc.iter_mut().zip(fours.as_chunks::<8>().0) {
            let wide = i16x8_extend_low_i8x16(load_half(two));
            *acc = i32x4_add(*acc, i32x4_dot_i16x8(wide, x));
        }
    }
    let [low, high] = acc;
    i32x4_add(
        i32x4_shuffle::<0, 2, 4, 6>(low, high),
        i32x4_shuffle::<1, 3, 5, 7>(low, high),
    )
}
