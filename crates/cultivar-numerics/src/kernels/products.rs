//! The tiled formats on vector backends: which walk and which block sums make up each.
//!
//! Each row here is two functions in a module, one for single rows and one for groups.

use super::Activations;
use super::backend::fast::Sum;
use super::super_tiles::{run_q4_k, run_q6_k};
use super::tiles::{self, Product, Sums, run_flat};
use crate::tensor::{Dtype, TensorRef};

use super::backend::fast::PackedBlock;

/// `[d_out, d_in]` of tiles times rows of activations; see [`super::scalar::matmul_tiles`].
pub fn matmul_tiles(out: &mut [f32], w: TensorRef<'_>, x: &Activations) {
    match w.format.dtype {
        Dtype::Q4_0 => tiles::matmul::<Flat<64>>(out, w, x),
        Dtype::Q5_0 => tiles::matmul::<Flat<80>>(out, w, x),
        Dtype::Q4K => tiles::matmul::<Q4K>(out, w, x),
        Dtype::Q6K => tiles::matmul::<Q6K>(out, w, x),
        _ => tiles::matmul::<Flat<128>>(out, w, x),
    }
}

/// A scale for each block and `CODES` bytes of codes.
struct Flat<const CODES: usize>;

impl Product for Flat<128> {
    #[inline(never)]
    fn run<const TILES: usize, const ROWS: usize>(
        tiles: [&[u8]; TILES],
        x: &[[PackedBlock; ROWS]],
    ) -> Sums<TILES, ROWS> {
        run_flat::<TILES, ROWS, 128, Sum>(tiles, x)
    }
}

impl Product for Flat<64> {
    #[inline(never)]
    fn run<const TILES: usize, const ROWS: usize>(
        tiles: [&[u8]; TILES],
        x: &[[PackedBlock; ROWS]],
    ) -> Sums<TILES, ROWS> {
        run_flat::<TILES, ROWS, 64, Sum>(tiles, x)
    }
}

impl Product for Flat<80> {
    #[inline(never)]
    fn run<const TILES: usize, const ROWS: usize>(
        tiles: [&[u8]; TILES],
        x: &[[PackedBlock; ROWS]],
    ) -> Sums<TILES, ROWS> {
        run_flat::<TILES, ROWS, 80, Sum>(tiles, x)
    }
}

struct Q4K;

impl Product for Q4K {
    #[inline(never)]
    fn run<const TILES: usize, const ROWS: usize>(
        tiles: [&[u8]; TILES],
        x: &[[PackedBlock; ROWS]],
    ) -> Sums<TILES, ROWS> {
        run_q4_k::<TILES, ROWS, Sum>(tiles, x)
    }
}

struct Q6K;

impl Product for Q6K {
    #[inline(never)]
    fn run<const TILES: usize, const ROWS: usize>(
        tiles: [&[u8]; TILES],
        x: &[[PackedBlock; ROWS]],
    ) -> Sums<TILES, ROWS> {
        run_q6_k::<TILES, ROWS, Sum>(tiles, x)
    }
}
