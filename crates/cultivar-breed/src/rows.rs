//! Rows of a base's tensor, read a group at a time, front to back, and its digest with them.

use crate::error::{BreedError, BreedRule};
use cultivar_core::digest::Sha256;
use cultivar_core::package::Entry;
use cultivar_core::tensor::{Format, TensorRef};

/// Bytes of decoded rows at once, about; a group of four rows at least. Storing so many in the
/// slowest format takes some 20 ms in the packer, so that a stop is noticed in time.
const CHUNK_BYTES: u64 = 1 << 18;

/// A tensor under way.
#[derive(Default)]
pub struct RowReader {
    /// Rows read.
    row: usize,
    digest: Sha256,
}

impl RowReader {
    /// Bytes of the file that come next: offset and length.
    pub fn range(&self, entry: &Entry) -> (u64, u64) {
        let start = bytes_of_rows(entry.format, entry, self.row);
        let end = bytes_of_rows(
            entry.format,
            entry,
            self.row + rows_at_once(entry, self.row),
        );
        (entry.offset + start, end - start)
    }

    /// The rows that these bytes are, and the number of the first. With the last ones the digest
    /// of the whole tensor is compared.
    pub fn take<'a>(
        &mut self,
        entry: &Entry,
        bytes: &'a [u8],
    ) -> Result<(usize, TensorRef<'a>), BreedError> {
        let (first, n_rows) = (self.row, rows_at_once(entry, self.row));
        if bytes.len() as u64 != self.range(entry).1 {
            return Err(BreedError::new(BreedRule::OutOfOrder, ""));
        }
        self.digest.update(bytes);
        self.row += n_rows;
        let is_whole = self.is_done(entry);
        if is_whole && core::mem::take(&mut self.digest).finish() != entry.digest {
            return Err(BreedError::new(BreedRule::Digest, &entry.name));
        }
        let rows = TensorRef {
            format: entry.format,
            d_out: n_rows,
            d_in: entry.d_in(),
            bytes,
        };
        Ok((first, rows))
    }

    /// Whether all rows are read.
    pub fn is_done(&self, entry: &Entry) -> bool {
        self.row >= entry.d_out()
    }
}

/// Rows to do at once from `row` on: whole tiles, about [`CHUNK_BYTES`].
fn rows_at_once(entry: &Entry, row: usize) -> usize {
    let left = entry.d_out() - row;
    let row_bytes = (entry.bytes / entry.d_out().max(1) as u64).max(entry.d_in() as u64 * 4);
    let n_rows = (CHUNK_BYTES / row_bytes.max(1)) as usize / 4 * 4;
    left.min(n_rows.max(4))
}

/// Bytes of the first `n_rows` rows of a tensor in this format, whole tiles except at the end.
pub fn bytes_of_rows(format: &Format, entry: &Entry, n_rows: usize) -> u64 {
    let bytes = format.stored_bytes(n_rows.min(entry.d_out()) as u64, entry.d_in() as u64);
    bytes.unwrap_or(0)
}
