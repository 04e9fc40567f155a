//! Kernels for wasm's relaxed SIMD: the integer dot product only.
//!
//! `i16x8.relaxed_dot_i8x16_i7x16_s` gives one and the same sums of two products on every engine
//! while its second operand is within 0..=127 and those sums fit i16. Codes of 4 to 6 bits qualify
//! as they are, and leave room to add several results in 16 bits: eight of 4-bit codes (8 · 2 ·
//! 15 · 127 < 2^15), four of 5 bits, two of 6. That takes two instructions for 16 products also
//! where the CPU has none of its own for a dot in 32 bits. 8-bit codes do not qualify, and what
//! makes them fit costs more than it gains there, so q8_0 takes the plain dot here too
//! (`docs/notes/weight-layout.md`). All else is shared.

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
use core::arch::wasm32::*;

/// This backend's name.
pub const NAME: &str = "relaxed";

/// The lower halves of bytes.
pub const NIBBLES: v128 = u64x2(0x0f0f_0f0f_0f0f_0f0f, 0x0f0f_0f0f_0f0f_0f0f);
/// Rows that are packed together.
pub const GROUP_ROWS: usize = 4;

/// 32 activations, for both kinds of dot.
#[derive(Clone, Copy)]
pub struct PackedBlock {
    /// The codes for the plain dot.
    pub pairs: Pairs,
    /// The codes, four columns to an i32.
    pub codes: [i32; 8],
    /// Their scale.
    pub scale: f32,
    /// Scale times sum of codes.
    pub offset: f32,
    /// Sums of the codes of either half.
    half_sums: [i32; 2],
    /// Eight times their sum.
    zero: i32,
}

impl PackedBlock {
    /// All zero.
    pub const EMPTY: Self = Self {
        pairs: Pairs::EMPTY,
        codes: [0; 8],
        scale: 0.0,
        offset: 0.0,
        half_sums: [0; 2],
        zero: 0,
    };

    /// Packs a block with its scale, sum of codes and the product of those.
    #[inline(always)]
    pub fn pack(codes: &[i8; BLOCK_LEN], (scale, sum, offset): (f32, i32, f32)) -> Self {
        let (halves, _) = codes.as_chunks::<16>();
        let low: i32 = halves[0].iter().map(|&code| i32::from(code)).sum();
        Self {
            pairs: Pairs::pack(codes),
            codes: pairs::fours(codes),
            scale,
            offset,
            half_sums: [low, sum - low],
            zero: 8 * sum,
        }
    }
}

/// `i16x8.relaxed_dot_i8x16_i7x16_s` kernels.
pub struct Sum;

/// Adds the products of group `g` of four columns to sums in 16 bits.
#[inline(always)]
fn add_group<const TILES: usize, const ROWS: usize>(
    acc: &mut Sums<TILES, ROWS>,
    g: usize,
    codes: [v128; TILES],
    x: &[PackedBlock; ROWS],
) {
    for t in 0..ROWS {
        let x = i32x4_splat(x[t].codes[g]);
        for i in 0..TILES {
            let pairs = i16x8_relaxed_dot_i8x16_i7x16(x, codes[i]);
            acc[i][t] = i16x8_add(acc[i][t], pairs);
        }
    }
}

/// The low and the high half of each byte.
#[inline(always)]
fn nibbles(bytes: v128, is_high: bool, nibble: v128) -> v128 {
    let moved = if is_high { u16x8_shr(bytes, 4) } else { bytes };
    v128_and(moved, nibble)
}

/// Bits of every byte moved from place `from` to place 4.
#[inline(always)]
fn to_bit_4(bytes: v128, from: u32, mask: u8) -> v128 {
    let moved = if from < 4 {
        u16x8_shl(bytes, 4 - from)
    } else {
        u16x8_shr(bytes, from - 4)
    };
    v128_and(moved, u8x16_splat(mask))
}

impl NibbleSums for Sum {
    #[inline(always)]
    fn nibble_sums<const TILES: usize, const ROWS: usize>(
        codes: [&[u8; 64]; TILES],
        x: &[PackedBlock; ROWS],
        constants: &Constants,
    ) -> Sums<TILES, ROWS> {
        let mut acc = [[i16x8_splat(0); ROWS]; TILES];
        for g in 0..4 {
            let bytes = codes.map(|codes| load_bytes(&codes.as_chunks().0[g]));
            add_group(
                &mut acc,
                g,
                bytes.map(|bytes| nibbles(bytes, false, constants.nibbles)),
                x,
            );
            add_group(
                &mut acc,
                4 + g,
                bytes.map(|bytes| nibbles(bytes, true, constants.nibbles)),
                x,
            );
        }
        acc.map(|tile| tile.map(|pairs| i32x4_extadd_pairwise_i16x8(pairs)))
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
                tile[t] = i32x4_sub(tile[t], zero);
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
        let mut total = [[i32x4_splat(0); ROWS]; TILES];
        for half in 0..2 {
            let mut acc = [[i16x8_splat(0); ROWS]; TILES];
            for g in 0..4 {
                let codes = codes.map(|codes| {
                    let (vectors, _) = codes.as_chunks();
                    let low = nibbles(load_bytes(&vectors[g]), half == 1, NIBBLES);
                    let bit = to_bit_4(load_bytes(&vectors[4]), (4 * half + g) as u32, 16);
                    v128_or(low, bit)
                });
                add_group(&mut acc, 4 * half + g, codes, x);
            }
            for t in 0..ROWS {
                let zero = i32x4_splat(16 * x[t].half_sums[half]);
                for i in 0..TILES {
                    let sum = i32x4_sub(i32x4_extadd_pairwise_i16x8(acc[i][t]), zero);
                    total[i][t] = i32x4_add(total[i][t], sum);
                }
            }
        }
        total
    }
}

impl HalfSums for Sum {
    #[inline(always)]
    fn half_sums<const TILES: usize, const ROWS: usize, const HALF: usize>(
        codes: [&[u8; 96]; TILES],
        x: &[PackedBlock; ROWS],
    ) -> Sums<TILES, ROWS> {
        let mut sums: Sums<TILES, ROWS> = core::array::from_fn(|_| {
            core::array::from_fn(|t| i32x4_splat(-32 * x[t].half_sums[HALF]))
        });
        for pair in 0..2 {
            let mut acc = [[i16x8_splat(0); ROWS]; TILES];
            for g in [2 * pair, 2 * pair + 1] {
                let codes = codes.map(|codes| {
                    let (vectors, _) = codes.as_chunks();
                    let low = nibbles(load_bytes(&vectors[g]), HALF == 1, NIBBLES);
                    let bits = to_bit_4(load_bytes(&vectors[4 + HALF]), 2 * g as u32, 48);
                    v128_or(low, bits)
                });
                add_group(&mut acc, 4 * HALF + g, codes, x);
            }
            for i in 0..TILES {
                for t in 0..ROWS {
                    let wide = i32x4_extadd_pairwise_i16x8(acc[i][t]);
                    sums[i][t] = i32x4_add(sums[i][t], wide);
                }
            }
        }
        sums
    }
}
