//! The check of a tensor's bytes: every float and every scale finite, padding zero.
//!
//! Resumable, so that a page stays alive while large tensors are read. It never changes a byte
//! and never allocates.

use super::error::{TensorError, TensorErrorKind};
use super::{Dtype, Format, Layout, TensorRef};

/// Checks about `budget_bytes` of `w` from byte `from` on and returns where to go on; the whole
/// tensor is checked when that is its length. Start at 0, go on only at a place it returned.
pub fn check(w: TensorRef<'_>, from: usize, budget_bytes: usize) -> Result<usize, TensorError> {
    check_stored(w.format, w.bytes, w.d_out, w.d_in, from, budget_bytes)
}

/// Checks all of `w`.
pub fn check_whole(w: TensorRef<'_>) -> Result<(), TensorError> {
    check(w, 0, usize::MAX).map(|_| ())
}

/// [`check`] on the parts of a tensor.
pub(super) fn check_stored(
    format: &Format,
    bytes: &[u8],
    d_out: usize,
    d_in: usize,
    from: usize,
    budget_bytes: usize,
) -> Result<usize, TensorError> {
    if format.stored_bytes(d_out as u64, d_in as u64) != Some(bytes.len() as u64) {
        return Err(TensorError {
            kind: TensorErrorKind::Length,
            offset: bytes.len() as u64,
        });
    }
    let unit = match format.layout {
        Layout::Rows => format.block_bytes,
        Layout::Tile4 => format.block_bytes * format.tile_rows,
    };
    let n_bytes = (budget_bytes / unit).max(1) * unit;
    let from = from.min(bytes.len());
    let end = bytes.len().min(from.saturating_add(n_bytes));
    let part = &bytes[from..end];
    let bad = match format.dtype {
        Dtype::U32 => None,
        Dtype::F32 => position::<4>(part, |b| u32::from_le_bytes(*b) << 1 >= 0xff00_0000),
        Dtype::F16 => position::<2>(part, |b| u16::from_le_bytes(*b) << 1 >= 0xf800),
        Dtype::Bf16 => position::<2>(part, |b| u16::from_le_bytes(*b) << 1 >= 0xff00),
        Dtype::Q8_0 | Dtype::Q4_0 => {
            let tile = Tile {
                tile_rows: format.tile_rows,
                tile_block_bytes: unit,
            };
            // The first byte of the last, short tile; behind the end if there is none.
            let padded = d_out / format.tile_rows * (d_in / format.block_len) * unit;
            return tile
                .check(part, from, padded, d_out % format.tile_rows)
                .map(|()| end);
        }
    };
    match bad {
        Some(at) => refuse(TensorErrorKind::NotFinite, from + at),
        None => Ok(end),
    }
}

/// The arrangement of one tile-block: scales of two bytes, then groups of four bytes of each row.
struct Tile {
    tile_rows: usize,
    tile_block_bytes: usize,
}

impl Tile {
    /// Checks whole tile-blocks that begin at byte `from`; those from byte `padded` on have only
    /// `n_last` rows.
    fn check(
        &self,
        part: &[u8],
        from: usize,
        padded: usize,
        n_last: usize,
    ) -> Result<(), TensorError> {
        for (i, block) in part.chunks_exact(self.tile_block_bytes).enumerate() {
            let at = from + i * self.tile_block_bytes;
            let (scales, codes) = block.split_at(2 * self.tile_rows);
            if let Some(i) = position::<2>(scales, |b| u16::from_le_bytes(*b) << 1 >= 0xf800) {
                return refuse(TensorErrorKind::NotFinite, at + i);
            }
            if at < padded {
                continue;
            }
            let is_padding = |i: usize, row: usize| row >= n_last && block[i] != 0;
            let scale = (0..scales.len()).find(|&i| is_padding(i, i / 2));
            let code = (scales.len()..scales.len() + codes.len())
                .find(|&i| is_padding(i, (i - scales.len()) / 4 % self.tile_rows));
            if let Some(i) = scale.or(code) {
                return refuse(TensorErrorKind::Padding, at + i);
            }
        }
        Ok(())
    }
}

fn refuse<T>(kind: TensorErrorKind, offset: usize) -> Result<T, TensorError> {
    Err(TensorError {
        kind,
        offset: offset as u64,
    })
}

fn position<const N: usize>(bytes: &[u8], is_bad: impl Fn(&[u8; N]) -> bool) -> Option<usize> {
    let (elements, _) = bytes.as_chunks::<N>();
    elements.iter().position(is_bad).map(|i| i * N)
}
