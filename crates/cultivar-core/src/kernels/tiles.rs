//! The walk over Tile4 weights that both SIMD backends share: blocks in order, one tile row per
//! lane, several tiles or several activation rows in flight to hide latency.
//!
//! A backend supplies the exact integer sums of one block; the scaling and the f32 order of
//! summation are here once, so the backends cannot differ in them.

use super::backend::fast::PackedBlock;
use super::lanes::{load_half, store_f32};
use super::scalar::TILE_ROWS;
use super::{Activations, BLOCK_LEN};
use crate::tensor::TensorRef;
use core::arch::wasm32::*;

/// Integer block sums of one weight format on one backend.
pub trait BlockSums<const TILE_BLOCK_BYTES: usize> {
    /// Activation rows handled together when there are many.
    const MANY_ROWS: usize;

    /// Lane `r` of `result[i][t]`: the sum over 32 columns of the codes of row `r` of tile `i`
    /// times those of activation row `t`; `sums[t]` is the sum of the activation codes.
    fn block_sums<const TILES: usize, const ROWS: usize>(
        tiles: [&[u8; TILE_BLOCK_BYTES]; TILES],
        rows: [&PackedBlock; ROWS],
        sums: [i32; ROWS],
    ) -> [[v128; ROWS]; TILES];
}

/// Four f16 scales, known finite, as f32; no subnormal arithmetic, which is slow on many CPUs.
#[inline(always)]
fn load_scales(b: &[u8; 8]) -> v128 {
    let half = u32x4_extend_low_u16x8(load_half(b));
    let sign = u32x4_shl(v128_and(half, u32x4_splat(0x8000)), 16);
    let magnitude = u32x4_shl(v128_and(half, u32x4_splat(0x7fff)), 13);
    let normal = i32x4_add(magnitude, u32x4_splat(112 << 23));
    let tiny = f32x4_sub(
        i32x4_add(magnitude, u32x4_splat(113 << 23)),
        f32x4_splat(f32::from_bits(113 << 23)),
    );
    let is_tiny = u32x4_lt(magnitude, u32x4_splat(1 << 23));
    v128_or(v128_bitselect(tiny, normal, is_tiny), sign)
}

/// `out[t][r] = sum over blocks of isum * (w_scale * x_scale)` for all tiles and rows.
#[inline(always)]
pub fn matmul<const BYTES: usize, K: BlockSums<BYTES>>(
    out: &mut [f32],
    w: TensorRef<'_>,
    x: &Activations,
) {
    let n_blocks = w.d_in / BLOCK_LEN;
    let (blocks, _) = w.bytes.as_chunks::<BYTES>();
    let n_rows = x.n_rows();
    if n_rows == 1 {
        let mut row_idx = 0;
        for group in blocks.chunks(4 * n_blocks) {
            let mut tiles = group.chunks_exact(n_blocks);
            if group.len() == 4 * n_blocks {
                let four = core::array::from_fn(|_| tiles.next().unwrap_or(&[]));
                run::<BYTES, 4, 1, K>(out, w.d_out, row_idx, four, x, 0);
            } else {
                for (i, tile) in tiles.enumerate() {
                    run::<BYTES, 1, 1, K>(out, w.d_out, row_idx + i * TILE_ROWS, [tile], x, 0);
                }
            }
            row_idx += 4 * TILE_ROWS;
        }
        return;
    }
    for (tile_idx, tile) in blocks.chunks_exact(n_blocks).enumerate() {
        let row_idx = tile_idx * TILE_ROWS;
        let mut t = 0;
        while K::MANY_ROWS == 8 && t + 8 <= n_rows {
            run::<BYTES, 1, 8, K>(out, w.d_out, row_idx, [tile], x, t);
            t += 8;
        }
        while t + 4 <= n_rows {
            run::<BYTES, 1, 4, K>(out, w.d_out, row_idx, [tile], x, t);
            t += 4;
        }
        if t + 2 <= n_rows {
            run::<BYTES, 1, 2, K>(out, w.d_out, row_idx, [tile], x, t);
            t += 2;
        }
        if t < n_rows {
            run::<BYTES, 1, 1, K>(out, w.d_out, row_idx, [tile], x, t);
        }
    }
}

/// One group of tiles times one group of activation rows.
#[inline(always)]
fn run<const BYTES: usize, const TILES: usize, const ROWS: usize, K: BlockSums<BYTES>>(
    out: &mut [f32],
    d_out: usize,
    row_idx: usize,
    tiles: [&[[u8; BYTES]]; TILES],
    x: &Activations,
    t: usize,
) {
    let n_blocks = tiles[0].len();
    // Equal lengths, said once, spare the loop its bounds checks.
    let tiles = tiles.map(|tile| &tile[..n_blocks]);
    let packed: [_; ROWS] = core::array::from_fn(|i| &x.packed(t + i)[..n_blocks]);
    let scales: [_; ROWS] = core::array::from_fn(|i| &x.scales(t + i)[..n_blocks]);
    let sums: [_; ROWS] = core::array::from_fn(|i| &x.sums(t + i)[..n_blocks]);
    let mut acc = [[f32x4_splat(0.0); ROWS]; TILES];
    for b in 0..n_blocks {
        let isums = K::block_sums(
            tiles.map(|tile| &tile[b]),
            packed.map(|row| &row[b]),
            sums.map(|row| row[b]),
        );
        for i in 0..TILES {
            let (scale_bytes, _) = tiles[i][b].as_chunks::<8>();
            let w_scale = load_scales(&scale_bytes[0]);
            for r in 0..ROWS {
                let scale = f32x4_mul(w_scale, f32x4_splat(scales[r][b]));
                let product = f32x4_mul(f32x4_convert_i32x4(isums[i][r]), scale);
                acc[i][r] = f32x4_add(acc[i][r], product);
            }
        }
    }
    for (i, rows) in acc.iter().enumerate() {
        let first = row_idx + i * TILE_ROWS;
        let n = TILE_ROWS.min(d_out - first);
        for (r, lanes) in rows.iter().enumerate() {
            let start = (t + r) * d_out + first;
            out[start..start + n].copy_from_slice(&store_f32(*lanes)[..n]);
        }
    }
}
