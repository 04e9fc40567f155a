//! Tiles of super-blocks (q4_k, q6_k) for both SIMD backends: integer sums of a block are scaled by
//! its sub-scales, the blocks of a super-block added, and their sum scaled once.
//!
//! As `tiles.rs` it holds every f32 step; backends supply exact integer sums only.

use super::backend::fast::PackedBlock;
use super::lanes::{load_bytes, load_half};
use super::tiles::{Constants, Sums, first_chunk, widen_scales};
use crate::tensor::unpacked::SUPER_BLOCKS;
use core::arch::wasm32::*;

/// Bytes of q4_k's head, of one block's sub-scales, and of its codes.
const Q4_K_HEAD: usize = 16;
const Q4_K_SCALES: usize = 6;
const Q4_K_CODES: usize = 64;
/// The same of q6_k.
const Q6_K_HEAD: usize = 8;
const Q6_K_SCALES: usize = 8;
const Q6_K_CODES: usize = 96;

/// Exact sums of one block of q4_k: unsigned nibbles times activation codes.
pub trait NibbleSums {
    /// The sums over 32 columns.
    fn nibble_sums<const TILES: usize, const ROWS: usize>(
        codes: [&[u8; Q4_K_CODES]; TILES],
        x: &[PackedBlock; ROWS],
        constants: &Constants,
    ) -> Sums<TILES, ROWS>;
}

/// Exact sums of half a block of q6_k: codes less 32 times activation codes.
pub trait HalfSums {
    /// The sums over columns 0 to 15 (`HALF` 0) or 16 to 31 (`HALF` 1).
    fn half_sums<const TILES: usize, const ROWS: usize, const HALF: usize>(
        codes: [&[u8; Q6_K_CODES]; TILES],
        x: &[PackedBlock; ROWS],
    ) -> Sums<TILES, ROWS>;
}

/// The 6-bit scales and minimums of a super-block of q4_k, a byte for each row of each block.
struct SubScales {
    scales: [[u8; 16]; 2],
    mins: [[u8; 16]; 2],
}

impl SubScales {
    /// Takes apart what stands behind the head of a super-block of `n` blocks. It reads as if there
    /// were eight: behind fewer stand codes, which are more bytes than those that lack.
    #[inline(always)]
    fn unpack(block: &[u8], n: usize) -> Self {
        let low = [16, 32].map(|at| load_bytes(first_chunk(&block[at..])));
        let high = load_bytes(first_chunk(&block[Q4_K_HEAD + 4 * n..]));
        let nibble = u8x16_splat(15);
        let (first, second) = (v128_and(high, nibble), v128_and(u16x8_shr(high, 4), nibble));
        let upper = [
            i8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>(first, second),
            i8x16_shuffle::<8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31>(
                first, second,
            ),
        ];
        Self {
            scales: low.map(|low| to_bytes(v128_and(low, u8x16_splat(63)))),
            mins: core::array::from_fn(|i| {
                let lower = v128_and(u16x8_shr(low[i], 6), u8x16_splat(3));
                to_bytes(v128_or(lower, u16x8_shl(upper[i], 2)))
            }),
        }
    }
}

/// Four of those bytes as f32, those of block `j`.
#[inline(always)]
fn four(bytes: &[[u8; 16]; 2], j: usize) -> v128 {
    let (fours, _) = bytes.as_flattened().as_chunks::<4>();
    let bytes = u16x8_extend_low_u8x16(u32x4_splat(u32::from_le_bytes(fours[j % 8])));
    f32x4_convert_i32x4(u32x4_extend_low_u16x8(bytes))
}

/// A vector's bytes.
#[inline(always)]
fn to_bytes(v: v128) -> [u8; 16] {
    let mut bytes = [0; 16];
    let (halves, _) = bytes.as_chunks_mut::<8>();
    halves[0] = u64x2_extract_lane::<0>(v).to_le_bytes();
    halves[1] = u64x2_extract_lane::<1>(v).to_le_bytes();
    bytes
}

/// `acc = acc + (d * S - dm * M)` over the super-blocks of q4_k, in order.
#[inline(always)]
pub fn run_q4_k<const TILES: usize, const ROWS: usize, K: NibbleSums>(
    tiles: [&[u8]; TILES],
    x: &[[PackedBlock; ROWS]],
) -> Sums<TILES, ROWS> {
    let mut acc = [[f32x4_splat(0.0); ROWS]; TILES];
    // Once per super-block, constants cost less than keeping them does.
    let constants = Constants::KNOWN;
    let mut at = 0;
    for x in x.chunks(SUPER_BLOCKS) {
        let n = x.len();
        let bytes = Q4_K_HEAD + n * (Q4_K_SCALES + Q4_K_CODES);
        let blocks = tiles.map(|tile| &tile[at..at + bytes]);
        at += bytes;
        let subs = blocks.map(|block| SubScales::unpack(block, n));
        let codes = blocks.map(|block| {
            let codes = &block[Q4_K_HEAD + n * Q4_K_SCALES..];
            &codes.as_chunks::<Q4_K_CODES>().0[..n]
        });
        let mut scaled = [[f32x4_splat(0.0); ROWS]; TILES];
        let mut least = [[f32x4_splat(0.0); ROWS]; TILES];
        for (j, x) in x.iter().enumerate() {
            let isums = K::nibble_sums(codes.map(|codes| &codes[j]), x, &constants);
            for i in 0..TILES {
                let sub_scale = four(&subs[i].scales, j);
                let sub_min = four(&subs[i].mins, j);
                for r in 0..ROWS {
                    // Both factors and their product are whole numbers below 2^24.
                    let isum = f32x4_mul(f32x4_convert_i32x4(isums[i][r]), sub_scale);
                    let product = f32x4_mul(isum, f32x4_splat(x[r].scale));
                    scaled[i][r] = f32x4_add(scaled[i][r], product);
                    let product = f32x4_mul(sub_min, f32x4_splat(x[r].offset));
                    least[i][r] = f32x4_add(least[i][r], product);
                }
            }
        }
        for i in 0..TILES {
            let scale = widen_scales(load_half(first_chunk(blocks[i])), &constants);
            let min = widen_scales(load_half(first_chunk(&blocks[i][8..])), &constants);
            for r in 0..ROWS {
                let (scaled, least) = (scaled[i][r], least[i][r]);
                let term = f32x4_sub(f32x4_mul(scale, scaled), f32x4_mul(min, least));
                acc[i][r] = f32x4_add(acc[i][r], term);
            }
        }
    }
    acc
}

/// `acc = acc + d * S` over the super-blocks of q6_k, in order.
#[inline(always)]
pub fn run_q6_k<const TILES: usize, const ROWS: usize, K: HalfSums>(
    tiles: [&[u8]; TILES],
    x: &[[PackedBlock; ROWS]],
) -> Sums<TILES, ROWS> {
    let mut acc = [[f32x4_splat(0.0); ROWS]; TILES];
    let mut at = 0;
    for x in x.chunks(SUPER_BLOCKS) {
        let n = x.len();
        let bytes = Q6_K_HEAD + n * (Q6_K_SCALES + Q6_K_CODES);
        let blocks = tiles.map(|tile| &tile[at..at + bytes]);
        at += bytes;
        let scales = blocks.map(|block| &block[Q6_K_HEAD..].as_chunks::<Q6_K_SCALES>().0[..n]);
        let codes = blocks.map(|block| {
            let codes = &block[Q6_K_HEAD + n * Q6_K_SCALES..];
            &codes.as_chunks::<Q6_K_CODES>().0[..n]
        });
        let mut scaled = [[f32x4_splat(0.0); ROWS]; TILES];
        for (j, x) in x.iter().enumerate() {
            let codes = codes.map(|codes| &codes[j]);
            let low = K::half_sums::<TILES, ROWS, 0>(codes, x);
            let high = K::half_sums::<TILES, ROWS, 1>(codes, x);
            for i in 0..TILES {
                let wide = i16x8_extend_low_i8x16(load_half(&scales[i][j]));
                let low_scale = f32x4_convert_i32x4(i32x4_extend_low_i16x8(wide));
                let high_scale = f32x4_convert_i32x4(i32x4_extend_high_i16x8(wide));
                for r in 0..ROWS {
                    // Whole numbers below 2^24, and so their sums.
                    let isum = f32x4_add(
                        f32x4_mul(f32x4_convert_i32x4(low[i][r]), low_scale),
                        f32x4_mul(f32x4_convert_i32x4(high[i][r]), high_scale),
                    );
                    let product = f32x4_mul(isum, f32x4_splat(x[r].scale));
                    scaled[i][r] = f32x4_add(scaled[i][r], product);
                }
            }
        }
        for i in 0..TILES {
            let scale = widen_scales(load_half(first_chunk(blocks[i])), &Constants::KNOWN);
            for r in 0..ROWS {
                acc[i][r] = f32x4_add(acc[i][r], f32x4_mul(scale, scaled[i][r]));
            }
        }
    }
    acc
}
