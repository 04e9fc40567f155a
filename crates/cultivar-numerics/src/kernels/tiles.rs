//! The walk over Tile4 weights that both SIMD backends share: one tile row per lane. Groups of
//! activation rows take several tiles at once, to share loads; a row by itself takes tile after
//! tile, because one long stream of weights is what reaches the CPU fastest.
//!
//! A backend supplies exact integer sums of one block; scaling and the f32 order of summation are
//! here and in `super_tiles.rs` once, so the backends cannot differ in them.

use super::Activations;
use super::backend::fast::{GROUP_ROWS, NIBBLES, PackedBlock};
use super::lanes::{load_half, store_f32};
use super::scalar::TILE_ROWS;
use crate::tensor::TensorRef;
use core::arch::wasm32::*;

/// Tiles that stay in the fastest cache while all activation rows pass over them.
const GROUP_TILES: usize = 4;
/// Tiles in flight for a group of activation rows.
const MANY_TILES: usize = 2;

/// Lane `r` of element `[i][t]` belongs to row `r` of tile `i` and to activation row `t`.
pub type Sums<const TILES: usize, const ROWS: usize> = [[v128; ROWS]; TILES];

/// The product of some tiles, given by their bytes, with some activation rows: one format's.
pub trait Product {
    /// `x` are the packed blocks of the rows, block by block.
    fn run<const TILES: usize, const ROWS: usize>(
        tiles: [&[u8]; TILES],
        x: &[[PackedBlock; ROWS]],
    ) -> Sums<TILES, ROWS>;
}

/// `out[t][r]` for all tiles and rows, group of tiles by group.
pub fn matmul<P: Product>(out: &mut [f32], w: TensorRef<'_>, x: &Activations) {
    let n_tiles = w.d_out.div_ceil(TILE_ROWS);
    let tile_bytes = w.bytes.len() / n_tiles;
    for first in (0..n_tiles).step_by(GROUP_TILES) {
        // Behind the last tile it stands in for those that lack; their results are dropped.
        let tiles: [&[u8]; GROUP_TILES] = core::array::from_fn(|i| {
            let tile = (first + i).min(n_tiles - 1);
            &w.bytes[tile * tile_bytes..][..tile_bytes]
        });
        let mut put = |tile: usize, t: usize, lanes: v128| {
            let row_idx = (first + tile) * TILE_ROWS;
            if row_idx >= w.d_out {
                return;
            }
            // Four at once wherever four are left: a copy of unknown length is a call.
            let rest = &mut out[t * w.d_out..][..w.d_out][row_idx..];
            let lanes = store_f32(lanes);
            match rest.first_chunk_mut::<TILE_ROWS>() {
                Some(four) => *four = lanes,
                None => rest
                    .iter_mut()
                    .zip(lanes)
                    .for_each(|(out, lane)| *out = lane),
            }
        };
        let n_grouped = x.n_rows() / GROUP_ROWS * GROUP_ROWS;
        for t in (0..n_grouped).step_by(GROUP_ROWS) {
            for (pair, tiles) in tiles.as_chunks::<MANY_TILES>().0.iter().enumerate() {
                let sums = P::run::<MANY_TILES, GROUP_ROWS>(*tiles, x.packed_group(t));
                for (i, rows) in sums.iter().enumerate() {
                    for (r, lanes) in rows.iter().enumerate() {
                        put(MANY_TILES * pair + i, t + r, *lanes);
                    }
                }
            }
        }
        for t in n_grouped..x.n_rows() {
            let (row, _) = x.packed_row(t).as_chunks::<1>();
            for (i, tile) in tiles.iter().enumerate() {
                let [[lanes]] = P::run::<1, 1>([tile], row);
                put(i, t, lanes);
            }
        }
    }
}

/// Exact sums of one block of a format whose blocks each have a scale, on one backend.
pub trait BlockSums<const CODES: usize> {
    /// The sums over 32 columns of codes times activation codes.
    fn block_sums<const TILES: usize, const ROWS: usize>(
        codes: [&[u8; CODES]; TILES],
        x: &[PackedBlock; ROWS],
        constants: &Constants,
    ) -> Sums<TILES, ROWS>;
}

/// Bytes of the scales of a block.
const SCALES: usize = 2 * TILE_ROWS;

/// `acc = acc + isum * (w_scale * x_scale)` over the blocks, in order.
#[inline(always)]
pub fn run_flat<const TILES: usize, const ROWS: usize, const CODES: usize, K: BlockSums<CODES>>(
    tiles: [&[u8]; TILES],
    x: &[[PackedBlock; ROWS]],
) -> Sums<TILES, ROWS> {
    let mut acc = [[f32x4_splat(0.0); ROWS]; TILES];
    let constants = Constants::hidden();
    let mut at = 0;
    for x in x {
        let blocks = tiles.map(|tile| &tile[at..at + SCALES + CODES]);
        at += SCALES + CODES;
        let codes = blocks.map(|block| first_chunk::<CODES>(&block[SCALES..]));
        let isums = K::block_sums(codes, x, &constants);
        for i in 0..TILES {
            let w_scale = widen_scales(load_half(first_chunk(blocks[i])), &constants);
            for r in 0..ROWS {
                let scale = f32x4_mul(w_scale, f32x4_splat(x[r].scale));
                let product = f32x4_mul(f32x4_convert_i32x4(isums[i][r]), scale);
                acc[i][r] = f32x4_add(acc[i][r], product);
            }
        }
    }
    acc
}

/// The first `N` bytes; a length known in advance spares later checks.
#[inline(always)]
pub fn first_chunk<const N: usize>(bytes: &[u8]) -> &[u8; N] {
    &bytes.as_chunks::<N>().0[0]
}

/// Vectors that stay the same over all blocks of a product. V8 makes each constant anew in every
/// turn of a loop, in three instructions; what it cannot know to be constant stays in a register.
#[derive(Clone, Copy)]
pub struct Constants {
    /// `112 << 23`: what makes an f32 of the shifted bits of an f16.
    normal: v128,
    /// `113 << 23`, the same for subnormal ones, and that number.
    tiny: v128,
    /// The sign bits.
    sign: v128,
    /// What takes nibbles out of bytes on this backend.
    pub nibbles: v128,
}

impl Constants {
    /// As the compiler may know them.
    pub const KNOWN: Self = Self {
        normal: i32x4(112 << 23, 112 << 23, 112 << 23, 112 << 23),
        tiny: i32x4(113 << 23, 113 << 23, 113 << 23, 113 << 23),
        sign: i32x4(i32::MIN, i32::MIN, i32::MIN, i32::MIN),
        nibbles: NIBBLES,
    };

    /// As it may not; once per product.
    #[inline(always)]
    pub fn hidden() -> Self {
        core::hint::black_box(Self::KNOWN)
    }
}

/// Four f16 in the low half, known finite, as f32; no subnormal arithmetic, which is slow on many
/// CPUs. Of the two ways to widen a magnitude, the right one gives the smaller number; bits of such
/// compare as the numbers do. (`f32x4.pmin` would become a relaxed instruction.)
#[inline(always)]
pub fn widen_scales(halves: v128, constants: &Constants) -> v128 {
    let wide = i32x4_extend_low_i16x8(halves);
    let magnitude = u32x4_shr(i32x4_shl(wide, 17), 4);
    let normal = i32x4_add(magnitude, constants.normal);
    let tiny = f32x4_sub(i32x4_add(magnitude, constants.tiny), constants.tiny);
    let sign = v128_and(wide, constants.sign);
    v128_or(i32x4_min(normal, tiny), sign)
}
