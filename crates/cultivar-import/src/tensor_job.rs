//! One tensor on its way from a source to its stored format, chunk by chunk.
//!
//! A chunk is whole tiles of four rows and, where rows change places, whole heads; so encoding a
//! tensor in chunks gives the bytes of encoding it at once. Blocks of a format that is kept only
//! change places. Every weight and scale must be finite, and what encoding loses is measured.

use crate::error::{ImportError, ImportErrorKind};
use crate::plan::{RowOrder, TensorSource};
use alloc::vec::Vec;
use cultivar_core::digest::{Digest, Sha256};
use cultivar_core::math::sqrt_f64;
use cultivar_core::tensor::{Dtype, Format, Layout, TensorRef, codec, payload, tile};

/// A tensor being converted.
pub(crate) struct TensorJob {
    pub(crate) source: TensorSource,
    format: &'static Format,
    next_row: usize,
    /// Rows of the chunk that was asked for.
    chunk_rows: usize,
    hash: Sha256,
    loss: Loss,
    has_minus_128: bool,
    /// The chunk's rows in our order, then one decoded row.
    rows: Vec<f32>,
    decoded: Vec<f32>,
    /// The chunk's blocks in our order of rows, where they are kept as they are.
    blocks: Vec<u8>,
}

/// What encoding lost: differences between source and stored values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Loss {
    /// Largest absolute difference.
    pub max_abs: f32,
    sum_of_squares: f64,
    source_sum_of_squares: f64,
    n_elements: u64,
}

impl Loss {
    /// Root of the mean squared difference.
    pub(crate) fn rms(&self) -> f64 {
        if self.n_elements == 0 {
            return 0.0;
        }
        sqrt_f64(self.sum_of_squares / self.n_elements as f64)
    }

    /// The same as a part of the root of the source's mean square; 0 for a source of zeros.
    pub(crate) fn relative_rms(&self) -> f64 {
        if self.source_sum_of_squares == 0.0 {
            return 0.0;
        }
        sqrt_f64(self.sum_of_squares / self.source_sum_of_squares)
    }

    fn add(&mut self, source: &[f32], stored: &[f32]) {
        for (source, stored) in source.iter().zip(stored) {
            let difference = (source - stored).abs();
            if difference > self.max_abs {
                self.max_abs = difference;
            }
            self.sum_of_squares += f64::from(difference) * f64::from(difference);
            self.source_sum_of_squares += f64::from(*source) * f64::from(*source);
        }
        self.n_elements += source.len() as u64;
    }
}

/// A tensor that was converted.
pub(crate) struct ConvertedTensor {
    pub(crate) name: alloc::string::String,
    pub(crate) source_format: &'static str,
    pub(crate) row_order: RowOrder,
    pub(crate) format: &'static Format,
    pub(crate) loss: Loss,
    /// Whether a q8_0 tensor holds the code -128, which no quantizer of ours writes.
    pub(crate) has_minus_128: bool,
    pub(crate) digest: Digest,
}

impl TensorJob {
    /// The first chunk has not been read.
    pub(crate) fn new(source: TensorSource, format: &'static Format) -> TensorJob {
        TensorJob {
            source,
            format,
            next_row: 0,
            chunk_rows: 0,
            hash: Sha256::new(),
            loss: Loss::default(),
            has_minus_128: false,
            rows: Vec::new(),
            decoded: Vec::new(),
            blocks: Vec::new(),
        }
    }

    /// Whether every row was converted.
    pub(crate) fn is_done(&self) -> bool {
        self.next_row >= self.source.d_out()
    }

    /// How many rows the next chunk has: about `budget_bytes` of f32, at least one group of rows,
    /// at most the rest.
    fn next_rows(&self, budget_bytes: u64) -> usize {
        let row_bytes = self.source.d_in() as u64 * 4;
        let group = self.source.row_order.group_rows(self.source.d_out());
        let group = least_common_multiple(group, self.format.tile_rows);
        let n_groups = (budget_bytes / (row_bytes * group as u64)).max(1);
        let n_rest = (self.source.d_out() - self.next_row) as u64;
        (n_groups * group as u64).min(n_rest) as usize
    }

    /// Where the next chunk lies in the source and how many bytes it has.
    pub(crate) fn next_chunk(&mut self, budget_bytes: u64) -> (u64, u64) {
        let n_rows = self.next_rows(budget_bytes);
        self.chunk_rows = n_rows;
        let (row_bytes, n_source_rows) = self.source.source_rows(n_rows);
        let n_before = (self.next_row * self.source.row_order.n_parts()) as u64;
        (
            self.source.offset + n_before * row_bytes,
            n_source_rows * row_bytes,
        )
    }

    /// Converts the chunk that [`TensorJob::next_chunk`] asked for into `out` and returns where
    /// it belongs within the stored tensor.
    pub(crate) fn convert(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<u64, ImportError> {
        let (d_in, n_rows) = (self.source.d_in(), self.chunk_rows);
        let stored = |n_rows: usize| {
            let bytes = self.format.stored_bytes(n_rows as u64, d_in as u64);
            bytes.ok_or_else(|| self.refuse(ImportErrorKind::DoesNotFit, self.next_row as u64))
        };
        let place = stored(self.next_row)?;
        let out_bytes = stored(n_rows)? as usize;
        out.clear();
        reserve(out, out_bytes)?;
        out.resize(out_bytes, 0);
        if self.keeps_blocks() {
            self.keep_blocks(chunk, out, n_rows)?;
        } else {
            self.load_rows(chunk, n_rows)?;
            codec::encode_rows(out, self.format, &self.rows, n_rows, d_in)
                .map_err(|_| self.refuse(ImportErrorKind::DoesNotFit, self.next_row as u64))?;
            if self.format.name != self.source.ggml_type.name || self.source.adds_one {
                self.measure(out, n_rows)?;
            }
        }
        self.hash.update(out);
        self.next_row += n_rows;
        Ok(place)
    }

    /// The digest and the loss, once done.
    pub(crate) fn finish(self) -> ConvertedTensor {
        ConvertedTensor {
            name: self.source.name,
            source_format: self.source.ggml_type.name,
            row_order: self.source.row_order,
            format: self.format,
            loss: self.loss,
            has_minus_128: self.has_minus_128,
            digest: self.hash.finish(),
        }
    }

    /// Whether blocks go into the package as they are, only rows changing places.
    fn keeps_blocks(&self) -> bool {
        let is_same = self.format.name == self.source.ggml_type.name;
        is_same && self.format.layout == Layout::Tile4 && !self.source.adds_one
    }

    /// Arranges the chunk's blocks as we store them; a scale that is not finite is an error.
    fn keep_blocks(
        &mut self,
        chunk: &[u8],
        out: &mut [u8],
        n_rows: usize,
    ) -> Result<(), ImportError> {
        let d_in = self.source.d_in();
        let (row_bytes, _) = self.source.source_rows(n_rows);
        let row_bytes = row_bytes as usize;
        self.blocks.clear();
        reserve(&mut self.blocks, n_rows * row_bytes)?;
        for row_idx in 0..n_rows {
            let start = self.source.row_order.source_row(row_idx) * row_bytes;
            let row = chunk.get(start..start + row_bytes).unwrap_or(&[]);
            self.blocks.extend_from_slice(row);
        }
        if self.format.dtype == Dtype::Q8_0 {
            let mut blocks = self.blocks.chunks_exact(self.format.block_bytes);
            self.has_minus_128 |= blocks.any(|block| block.iter().skip(2).any(|code| *code == 128));
        }
        tile::rows_to_tiles(out, self.format, &self.blocks, n_rows, d_in)
            .map_err(|_| self.refuse(ImportErrorKind::DoesNotFit, self.next_row as u64))?;
        let view = TensorRef {
            format: self.format,
            d_out: n_rows,
            d_in,
            bytes: out,
        };
        payload::check_whole(view).map_err(|_| {
            let row = self.broken_row(row_bytes).unwrap_or_default();
            self.refuse(ImportErrorKind::ScaleNotFinite, row as u64)
        })
    }

    /// The source's row that has the first block of the chunk whose weights are not finite.
    fn broken_row(&self, row_bytes: usize) -> Option<usize> {
        let mut weights = alloc::vec![0.0; self.source.d_in()];
        let row_idx = self.blocks.chunks_exact(row_bytes).position(|blocks| {
            self.source.ggml_type.decode(blocks, &mut weights);
            weights.iter().any(|weight| !weight.is_finite())
        })?;
        Some(self.next_row + self.source.row_order.source_row(row_idx))
    }

    /// Decodes the chunk's rows in our order; the first weight that is not finite is an error.
    fn load_rows(&mut self, chunk: &[u8], n_rows: usize) -> Result<(), ImportError> {
        let d_in = self.source.d_in();
        self.rows.clear();
        reserve(&mut self.rows, n_rows * d_in)?;
        self.rows.resize(n_rows * d_in, 0.0);
        let kind = self.source.ggml_type;
        if let RowOrder::Transposed { first, n_columns } = self.source.row_order {
            let element_bytes = kind.block_bytes as usize;
            for (idx, weight) in self.rows.iter_mut().enumerate() {
                let element = idx % d_in * n_columns + first + idx / d_in;
                let start = element * element_bytes;
                let bytes = chunk.get(start..start + element_bytes).unwrap_or(&[]);
                kind.decode(bytes, core::slice::from_mut(weight));
            }
        } else {
            let (row_bytes, _) = self.source.source_rows(n_rows);
            let row_bytes = row_bytes as usize;
            for (row_idx, row) in self.rows.chunks_exact_mut(d_in).enumerate() {
                let start = self.source.row_order.source_row(row_idx) * row_bytes;
                kind.decode(chunk.get(start..start + row_bytes).unwrap_or(&[]), row);
            }
        }
        let broken = self.rows.iter().position(|weight| !weight.is_finite());
        if let Some(idx) = broken {
            let (row_idx, column) = (idx / d_in, idx % d_in);
            let source_row = self.next_row + self.source.row_order.source_row(row_idx);
            let index = source_row as u64 * d_in as u64 + column as u64;
            return Err(self.refuse(ImportErrorKind::NotFinite, index));
        }
        if self.source.adds_one {
            self.rows.iter_mut().for_each(|weight| *weight += 1.0);
        }
        Ok(())
    }

    /// Decodes what was encoded and adds up the differences.
    fn measure(&mut self, stored: &[u8], n_rows: usize) -> Result<(), ImportError> {
        let d_in = self.source.d_in();
        let view = TensorRef {
            format: self.format,
            d_out: n_rows,
            d_in,
            bytes: stored,
        };
        self.decoded.clear();
        reserve(&mut self.decoded, d_in)?;
        self.decoded.resize(d_in, 0.0);
        for (row_idx, row) in self.rows.chunks_exact(d_in).enumerate() {
            codec::decode_row(&mut self.decoded, view, row_idx);
            if !self.decoded.iter().all(|weight| weight.is_finite()) {
                let row_idx = (self.next_row + row_idx) as u64;
                return Err(self.refuse(ImportErrorKind::DoesNotFit, row_idx));
            }
            self.loss.add(row, &self.decoded);
        }
        Ok(())
    }

    fn refuse(&self, kind: ImportErrorKind, number: u64) -> ImportError {
        ImportError::new(kind)
            .field(&self.source.name)
            .numbers(number, 0)
    }
}

/// Makes room for exactly `n` more elements, or says that there is no memory.
fn reserve<T>(list: &mut Vec<T>, n: usize) -> Result<(), ImportError> {
    list.try_reserve_exact(n).map_err(|_| {
        let bytes = n as u64 * size_of::<T>() as u64;
        ImportError::new(ImportErrorKind::OutOfMemory).numbers(bytes, 0)
    })
}

fn least_common_multiple(a: usize, b: usize) -> usize {
    let (mut large, mut small) = (a.max(1), b.max(1));
    while small != 0 {
        (large, small) = (small, large % small);
    }
    a.max(1) / large * b.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_whole_tiles_and_heads() {
        for (a, b, multiple) in [(1, 1, 1), (8, 4, 8), (6, 4, 12), (2, 4, 4), (64, 1, 64)] {
            assert_eq!(least_common_multiple(a, b), multiple);
        }
    }
}
