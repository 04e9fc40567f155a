//! Kernels for wasm's fixed-width SIMD (simd128).
//!
//! All products of codes go through `i32x4.dot_i16x8_s`, by the even and odd planes of `pairs.rs`;
//! codes of 4 to 6 bits make such planes by shifting and masking, without widening.

use super::BLOCK_LEN;
use super::lanes::load_bytes;
use super::pairs::{self, Pairs};
use super::super_tiles::{HalfSums, NibbleSums};
use super::tiles::{BlockSums, Constants, Sums};

pub use super::products::matmul_tiles;
pub use super::vectors::{
    dot, dot_bf16_bytes, dot_f16, dot_f16_bytes, dot_f32_bytes, dot_i8, dot_raised, dot_rows,
    dot_rows_f16, dot_rows_i8, quantize_block,
};

/// This backend's name.
pub const NAME: &str = "simd128";
use core::arch::wasm32::*;

/// The lower halves of the bytes of 16-bit lanes.
pub const NIBBLES: v128 = u64x2(0x000f_000f_000f_000f, 0x000f_000f_000f_000f);
/// Rows that are packed together.
pub const GROUP_ROWS: usize = 4;

/// 32 activations in the order of the kernels below.
#[derive(Clone, Copy)]
pub struct PackedBlock {
    /// The codes.
    pub pairs: Pairs,
    /// The codes again, four columns to an i32.
    pub codes: [i32; 8],
    /// Their scale.
    pub scale: f32,
    /// Scale times sum of codes.
    pub offset: f32,
    /// Sum of the codes, 8 times, negative.
    zero: i32,
}

impl PackedBlock {
    /// All zero.
    pub const EMPTY: Self = Self {
        pairs: Pairs::EMPTY,
        codes: [0; 8],
        scale: 0.0,
        offset: 0.0,
        zero: 0,
    };

    /// Packs a block with its scale, sum of codes and the product of those.
    #[inline(always)]
    pub fn pack(codes: &[i8; BLOCK_LEN], (scale, sum, offset): (f32, i32, f32)) -> Self {
        Self {
            pairs: Pairs::pack(codes),
            codes: pairs::fours(codes),
            scale,
            offset,
            zero: -8 * sum,
        }
    }
}

/// `i32x4.dot_i16x8_s` kernels.
pub struct Sum;

/// Columns `4g` and `4g + 2` of the low and high nibbles, and `4g + 1` and `4g + 3`, of 16 bytes.
#[derive(Clone, Copy)]
enum Plane {
    EvenLow,
    OddLow,
    EvenHigh,
    OddHigh,
}

const PLANES: [Plane; 4] = [
    Plane::EvenLow,
    Plane::OddLow,
    Plane::EvenHigh,
    Plane::OddHigh,
];

impl Plane {
    #[inline(always)]
    fn nibbles(self, bytes: v128, nibble: v128) -> v128 {
        match self {
            Plane::EvenLow => v128_and(bytes, nibble),
            Plane::OddLow => v128_and(u16x8_shr(bytes, 8), nibble),
            Plane::EvenHigh => v128_and(u16x8_shr(bytes, 4), nibble),
            Plane::OddHigh => u16x8_shr(bytes, 12),
        }
    }

    /// The activations that this plane of group `g` meets.
    #[inline(always)]
    fn x(self, pairs: &Pairs, g: usize) -> v128 {
        i32x4_splat(match self {
            Plane::EvenLow => pairs.even[g],
            Plane::OddLow => pairs.odd[g],
            Plane::EvenHigh => pairs.even[4 + g],
            Plane::OddHigh => pairs.odd[4 + g],
        })
    }
}

/// Adds the products of group `g` of nibbles; `widen` may add bits above the fourth.
#[inline(always)]
fn add_plane<const TILES: usize, const ROWS: usize>(
    acc: &mut Sums<TILES, ROWS>,
    (plane, g): (Plane, usize),
    codes: [v128; TILES],
    x: &[PackedBlock; ROWS],
) {
    for t in 0..ROWS {
        let x = plane.x(&x[t].pairs, g);
        for i in 0..TILES {
            acc[i][t] = i32x4_add(acc[i][t], i32x4_dot_i16x8(codes[i], x));
        }
    }
}

impl NibbleSums for Sum {
    #[inline(always)]
    fn nibble_sums<const TILES: usize, const ROWS: usize>(
        codes: [&[u8; 64]; TILES],
        x: &[PackedBlock; ROWS],
        constants: &Constants,
    ) -> Sums<TILES, ROWS> {
        let mut acc = [[i32x4_splat(0); ROWS]; TILES];
        for g in 0..4 {
            let bytes = codes.map(|codes| load_bytes(&codes.as_chunks().0[g]));
            for plane in PLANES {
                let codes = bytes.map(|bytes| plane.nibbles(bytes, constants.nibbles));
                add_plane(&mut acc, (plane, g), codes, x);
            }
        }
        acc
    }
}

impl BlockSums<128> for Sum {
    #[inline(always)]
    fn block_sums<const TILES: usize, const ROWS: usize>(
        codes: [&[u8; 128]; TILES],
        x: &[PackedBlock; ROWS],
        _: &Constants,
    ) -> Sums<TILES, ROWS> {
        pairs::q8_0_sums(codes, x)
    }
}

impl BlockSums<64> for Sum {
    #[inline(always)]
    fn block_sums<const TILES: usize, const ROWS: usize>(
        codes: [&[u8; 64]; TILES],
        x: &[PackedBlock; ROWS],
        constants: &Constants,
    ) -> Sums<TILES, ROWS> {
        let mut acc = Self::nibble_sums(codes, x, constants);
        for t in 0..ROWS {
            let zero = i32x4_splat(x[t].zero);
            for tile in &mut acc {
                tile[t] = i32x4_add(tile[t], zero);
            }
        }
        acc
    }
}

impl BlockSums<80> for Sum {
    #[inline(always)]
    fn block_sums<const TILES: usize, const ROWS: usize>(
        codes: [&[u8; 80]; TILES],
        x: &[PackedBlock; ROWS],
        _: &Constants,
    ) -> Sums<TILES, ROWS> {
        let mut acc = [[i32x4_splat(0); ROWS]; TILES];
        let fifth = codes.map(|codes| load_bytes(&codes.as_chunks().0[4]));
        for g in 0..4 {
            let bytes = codes.map(|codes| load_bytes(&codes.as_chunks().0[g]));
            for plane in PLANES {
                let codes = core::array::from_fn(|i| {
                    // The bit of this group and plane, moved to bit 4 of its 16-bit lane.
                    let moved = match plane {
                        Plane::EvenLow => u16x8_shl(fifth[i], 4 - g as u32),
                        Plane::EvenHigh => u16x8_shr(fifth[i], g as u32),
                        Plane::OddLow => u16x8_shr(fifth[i], 4 + g as u32),
                        Plane::OddHigh => u16x8_shr(fifth[i], 8 + g as u32),
                    };
                    v128_or(
                        plane.nibbles(bytes[i], NIBBLES),
                        v128_and(moved, u16x8_splat(16)),
                    )
                });
                add_plane(&mut acc, (plane, g), codes, x);
            }
        }
        for t in 0..ROWS {
            let zero = i32x4_splat(2 * x[t].zero);
            for tile in &mut acc {
                tile[t] = i32x4_add(tile[t], zero);
            }
        }
        acc
    }
}

impl HalfSums for Sum {
    #[inline(always)]
    fn half_sums<const TILES: usize, const ROWS: usize, const HALF: usize>(
        codes: [&[u8; 96]; TILES],
        x: &[PackedBlock; ROWS],
    ) -> Sums<TILES, ROWS> {
        let mut acc = [[i32x4_splat(0); ROWS]; TILES];
        let upper = codes.map(|codes| load_bytes(&codes.as_chunks().0[4 + HALF]));
        for g in 0..4 {
            let bytes = codes.map(|codes| load_bytes(&codes.as_chunks().0[g]));
            for plane in [PLANES[2 * HALF], PLANES[2 * HALF + 1]] {
                let codes = core::array::from_fn(|i| {
                    // The two bits of this group, moved to bits 4 and 5; then less 32.
                    let is_odd = matches!(plane, Plane::OddLow | Plane::OddHigh);
                    let down = 2 * g as u32 + if is_odd { 8 } else { 0 };
                    let moved = if down < 4 {
                        u16x8_shl(upper[i], 4 - down)
                    } else {
                        u16x8_shr(upper[i], down - 4)
                    };
                    let bits = v128_and(moved, u16x8_splat(48));
                    i16x8_sub(
                        v128_or(plane.nibbles(bytes[i], NIBBLES), bits),
                        i16x8_splat(32),
                    )
                });
                add_plane(&mut acc, (plane, g), codes, x);
            }
        }
        acc
    }
}
