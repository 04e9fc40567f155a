//! One tensor on its way from f32 in a source to its stored format, chunk by chunk.
//!
//! A chunk is whole tiles of four rows and, where rows change places, whole heads; so encoding a
//! tensor in chunks gives the bytes of encoding it at once. Every weight must be finite before and
//! after, and what encoding loses is measured.

use crate::error::{ImportError, ImportErrorKind};
use crate::plan::TensorSource;
use alloc::vec::Vec;
use cultivar_core::digest::{Digest, Sha256};
use cultivar_core::math::sqrt_f64;
use cultivar_core::tensor::{Dtype, Format, TensorRef, codec};

/// A tensor being converted.
pub(crate) struct TensorJob {
    pub(crate) source: TensorSource,
    format: &'static Format,
    next_row: usize,
    hash: Sha256,
    loss: Loss,
    /// The chunk's rows in our order, then one decoded row.
    rows: Vec<f32>,
    decoded: Vec<f32>,
}

/// What encoding lost: differences between source and stored values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Loss {
    /// Largest absolute difference.
    pub max_abs: f32,
    sum_of_squares: f64,
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

    fn add(&mut self, source: &[f32], stored: &[f32]) {
        for (source, stored) in source.iter().zip(stored) {
            let difference = (source - stored).abs();
            self.max_abs = self.max_abs.max(difference);
            self.sum_of_squares += f64::from(difference) * f64::from(difference);
        }
        self.n_elements += source.len() as u64;
    }
}

/// A tensor that was converted.
pub(crate) struct ConvertedTensor {
    pub(crate) name: alloc::string::String,
    pub(crate) format: &'static Format,
    pub(crate) loss: Loss,
    pub(crate) digest: Digest,
}

impl TensorJob {
    /// The first chunk has not been read.
    pub(crate) fn new(source: TensorSource, format: &'static Format) -> TensorJob {
        TensorJob {
            source,
            format,
            next_row: 0,
            hash: Sha256::new(),
            loss: Loss::default(),
            rows: Vec::new(),
            decoded: Vec::new(),
        }
    }

    /// Whether every row was converted.
    pub(crate) fn is_done(&self) -> bool {
        self.next_row >= self.source.d_out()
    }

    /// Where the next chunk lies in the source and how many bytes it has: about `budget_bytes`,
    /// at least one group of rows, at most the rest.
    pub(crate) fn next_chunk(&self, budget_bytes: u64) -> (u64, u64) {
        let row_bytes = self.source.d_in() as u64 * 4;
        let group =
            least_common_multiple(self.source.row_order.group_rows(), self.format.tile_rows);
        let n_groups = (budget_bytes / (row_bytes * group as u64)).max(1);
        let n_rest = (self.source.d_out() - self.next_row) as u64;
        let n_rows = (n_groups * group as u64).min(n_rest);
        (
            self.source.offset + self.next_row as u64 * row_bytes,
            n_rows * row_bytes,
        )
    }

    /// Converts the chunk that [`TensorJob::next_chunk`] asked for into `out` and returns where
    /// it belongs within the stored tensor.
    pub(crate) fn convert(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<u64, ImportError> {
        let d_in = self.source.d_in();
        let n_rows = chunk.len() / 4 / d_in;
        self.load_rows(chunk, n_rows)?;
        let stored = |n_rows: usize| {
            let bytes = self.format.stored_bytes(n_rows as u64, d_in as u64);
            bytes.ok_or_else(|| self.refuse(ImportErrorKind::DoesNotFit, self.next_row as u64))
        };
        let place = stored(self.next_row)?;
        let out_bytes = stored(n_rows)? as usize;
        out.clear();
        reserve(out, out_bytes)?;
        out.resize(out_bytes, 0);
        codec::encode_rows(out, self.format, &self.rows, n_rows, d_in)
            .map_err(|_| self.refuse(ImportErrorKind::DoesNotFit, self.next_row as u64))?;
        if self.format.dtype != Dtype::F32 {
            self.measure(out, n_rows)?;
        }
        self.hash.update(out);
        self.next_row += n_rows;
        Ok(place)
    }

    /// The digest and the loss, once done.
    pub(crate) fn finish(self) -> ConvertedTensor {
        ConvertedTensor {
            name: self.source.name,
            format: self.format,
            loss: self.loss,
            digest: self.hash.finish(),
        }
    }

    /// Puts the chunk's rows into our order; the first weight that is not finite is an error.
    fn load_rows(&mut self, chunk: &[u8], n_rows: usize) -> Result<(), ImportError> {
        let d_in = self.source.d_in();
        self.rows.clear();
        reserve(&mut self.rows, n_rows * d_in)?;
        for row_idx in 0..n_rows {
            let source_row = self.source.row_order.source_row(row_idx);
            let start = source_row * d_in * 4;
            let row = chunk.get(start..start + d_in * 4).unwrap_or(&[]);
            let weights = row
                .as_chunks::<4>()
                .0
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes));
            self.rows.extend(weights);
        }
        let broken = self.rows.iter().position(|weight| !weight.is_finite());
        match broken {
            None => Ok(()),
            Some(idx) => {
                let (row_idx, column) = (idx / d_in, idx % d_in);
                let source_row = self.next_row + self.source.row_order.source_row(row_idx);
                let index = source_row as u64 * d_in as u64 + column as u64;
                Err(self.refuse(ImportErrorKind::NotFinite, index))
            }
        }
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
