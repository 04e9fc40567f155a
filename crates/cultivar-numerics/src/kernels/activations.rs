//! Activations of one matmul: rows of f32 and, per block of 32, their integer codes and scale.
//!
//! One row is quantized once and read by every matrix that takes it (q, k and v share one; gate
//! and up share one). Buffers are sized when the workspace is made; loading never allocates.

use super::backend::fast::{self, GROUP_ROWS, PackedBlock};
#[cfg(not(target_feature = "simd128"))]
use super::scalar;
use super::{BLOCK_LEN, Backend, by_backend};
use crate::memory::filled;
use alloc::vec::Vec;

/// Rows of activations in the forms that the kernels read.
pub struct Activations {
    n_rows: usize,
    d_in: usize,
    values: Vec<f32>,
    /// `[n_rows, d_in]`, each within -127..=127.
    codes: Vec<i8>,
    /// `[n_rows, d_in / 32]`.
    scales: Vec<f32>,
    /// `[n_rows, d_in / 32]`: sums of a block's codes.
    sums: Vec<i32>,
    /// `[n_rows, d_in / 32]`: scale times sum, what a weight's minimum is multiplied by.
    offsets: Vec<f32>,
    /// Codes in the order in which the fast kernels read them: four rows block by block, as many
    /// times as there are four; then each row that is left.
    packed: Vec<PackedBlock>,
}

impl Activations {
    /// Room for `max_rows` rows of up to `max_d_in` columns; `None` if memory cannot be had.
    pub fn new(max_rows: usize, max_d_in: usize) -> Option<Self> {
        let n_blocks = max_rows.checked_mul(max_d_in / BLOCK_LEN)?;
        Some(Self {
            n_rows: 0,
            d_in: 0,
            values: filled(0.0, max_rows.checked_mul(max_d_in)?)?,
            codes: filled(0, n_blocks.checked_mul(BLOCK_LEN)?)?,
            scales: filled(0.0, n_blocks)?,
            sums: filled(0, n_blocks)?,
            offsets: filled(0.0, n_blocks)?,
            packed: filled(PackedBlock::EMPTY, n_blocks)?,
        })
    }

    /// Bytes of the buffers for `max_rows` rows of `max_d_in` columns; for memory estimates.
    pub fn bytes_needed(max_rows: u64, max_d_in: u64) -> u64 {
        let block_bytes = (BLOCK_LEN + 12 + size_of::<PackedBlock>()) as u64;
        max_rows * (max_d_in * 4 + max_d_in / BLOCK_LEN as u64 * block_bytes)
    }

    /// Takes `x: [n_rows, d_in]` and, where `quantize` says that a quantized matrix will read it
    /// and `d_in` is a multiple of 32, quantizes it.
    ///
    /// # Panics
    /// When `x` is larger than the room that was made.
    pub fn load(&mut self, backend: Backend, x: &[f32], d_in: usize, quantize: bool) {
        assert!(
            d_in > 0 && x.len().is_multiple_of(d_in),
            "activations: whole rows"
        );
        assert!(
            x.len() <= self.values.len(),
            "activations: more rows than there is room for"
        );
        self.d_in = d_in;
        self.n_rows = x.len() / d_in;
        self.values[..x.len()].copy_from_slice(x);
        if quantize && d_in.is_multiple_of(BLOCK_LEN) {
            self.quantize(backend, x);
        }
    }

    fn quantize(&mut self, backend: Backend, x: &[f32]) {
        let (blocks, _) = x.as_chunks::<BLOCK_LEN>();
        let (codes, _) = self.codes.as_chunks_mut::<BLOCK_LEN>();
        let sums = self.sums.iter_mut().zip(&mut self.offsets);
        let outputs = codes.iter_mut().zip(&mut self.scales).zip(sums);
        let n_blocks = self.d_in / BLOCK_LEN;
        for (i, (block, ((codes, scale), (sum, offset)))) in blocks.iter().zip(outputs).enumerate()
        {
            *scale = by_backend!(backend, quantize_block(codes, block));
            *sum = codes.iter().map(|&code| i32::from(code)).sum();
            *offset = *scale * *sum as f32;
            if backend == Backend::Fast {
                let at = place(GROUP_ROWS, self.n_rows, n_blocks, i);
                self.packed[at] = PackedBlock::pack(codes, (*scale, *sum, *offset));
            }
        }
    }

    /// Rows now loaded.
    #[inline]
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Columns of the rows now loaded.
    #[inline]
    pub fn d_in(&self) -> usize {
        self.d_in
    }

    /// Row `t` as f32: `[d_in]`.
    #[inline]
    pub fn values(&self, t: usize) -> &[f32] {
        &self.values[t * self.d_in..(t + 1) * self.d_in]
    }

    /// Row `t` as codes: `[d_in / 32][32]`.
    #[inline]
    pub fn codes(&self, t: usize) -> &[[i8; BLOCK_LEN]] {
        let (blocks, _) = self.codes.as_chunks::<BLOCK_LEN>();
        &blocks[self.block_range(t)]
    }

    /// Scales of row `t`: `[d_in / 32]`.
    #[inline]
    pub fn scales(&self, t: usize) -> &[f32] {
        &self.scales[self.block_range(t)]
    }

    /// Sums of the codes of row `t`: `[d_in / 32]`.
    #[inline]
    pub fn sums(&self, t: usize) -> &[i32] {
        &self.sums[self.block_range(t)]
    }

    /// Scales times sums of the codes of row `t`: `[d_in / 32]`.
    #[inline]
    pub fn offsets(&self, t: usize) -> &[f32] {
        &self.offsets[self.block_range(t)]
    }

    /// The packed blocks of rows `t..t + 4`, block by block; `t` begins a group.
    #[cfg(target_feature = "simd128")]
    #[inline]
    pub(super) fn packed_group(&self, t: usize) -> &[[PackedBlock; GROUP_ROWS]] {
        let n_blocks = self.d_in / BLOCK_LEN;
        let (groups, _) = self.packed.as_chunks::<GROUP_ROWS>();
        &groups[t / GROUP_ROWS * n_blocks..][..n_blocks]
    }

    /// The packed blocks of row `t`, which is in no group of more than one.
    #[inline]
    pub(super) fn packed_row(&self, t: usize) -> &[PackedBlock] {
        &self.packed[self.block_range(t)]
    }

    #[inline]
    fn block_range(&self, t: usize) -> core::ops::Range<usize> {
        let n_blocks = self.d_in / BLOCK_LEN;
        t * n_blocks..(t + 1) * n_blocks
    }
}

/// Where the packed form of block `i` of all rows' blocks stands, rows in groups of `group`.
fn place(group: usize, n_rows: usize, n_blocks: usize, i: usize) -> usize {
    let (t, b) = (i / n_blocks, i % n_blocks);
    if t < n_rows / group * group {
        (t / group * n_blocks + b) * group + t % group
    } else {
        i
    }
}
