//! The check of a tensor's bytes: every float and every scale finite, padding zero.
//!
//! Resumable, so that a page stays alive while large tensors are read. It never changes a byte
//! and never allocates.

use super::error::{TensorError, TensorErrorKind};
use super::{Dtype, Format, Layout, TensorRef, tile};

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
        // A whole tile: the super-blocks in it differ in length.
        Layout::Tile4 => bytes.len() / d_out.div_ceil(format.tile_rows).max(1),
    }
    .max(1);
    let n_bytes = (budget_bytes / unit).max(1) * unit;
    let from = from.min(bytes.len());
    let end = bytes.len().min(from.saturating_add(n_bytes));
    let part = &bytes[from..end];
    let bad = match format.dtype {
        Dtype::U32 => None,
        Dtype::F32 => position::<4>(part, |b| u32::from_le_bytes(*b) << 1 >= 0xff00_0000),
        Dtype::F16 => position::<2>(part, |b| u16::from_le_bytes(*b) << 1 >= 0xf800),
        Dtype::Bf16 => position::<2>(part, |b| u16::from_le_bytes(*b) << 1 >= 0xff00),
        Dtype::Q8_0 | Dtype::Q4_0 | Dtype::Q5_0 | Dtype::Q4K | Dtype::Q6K => {
            // The first byte of the last, short tile; behind the end if there is none.
            let padded = d_out / format.tile_rows * unit;
            for (i, tile) in part.chunks_exact(unit).enumerate() {
                let at = from + i * unit;
                let n_rows = if at < padded {
                    format.tile_rows
                } else {
                    d_out % format.tile_rows
                };
                check_tile(format, tile, at, d_in / format.block_len, n_rows)?;
            }
            return Ok(end);
        }
    };
    match bad {
        Some(at) => refuse(TensorErrorKind::NotFinite, from + at),
        None => Ok(end),
    }
}

/// Checks a whole tile that begins at byte `at` and has `n_rows` rows: heads finite, and the bits
/// of the rows that it lacks zero.
fn check_tile(
    format: &Format,
    tile: &[u8],
    at: usize,
    n_blocks: usize,
    n_rows: usize,
) -> Result<(), TensorError> {
    for (start, n) in tile::super_blocks(format, n_blocks) {
        let block = &tile[start..start + format.parts.bytes(n)];
        let head = &block[..format.parts.head];
        if let Some(i) = position::<2>(head, |b| u16::from_le_bytes(*b) << 1 >= 0xf800) {
            return refuse(TensorErrorKind::NotFinite, at + start + i);
        }
        if n_rows < format.tile_rows
            && let Some(i) =
                (0..block.len()).find(|&i| block[i] & padding(format, n, i, n_rows) != 0)
        {
            return refuse(TensorErrorKind::Padding, at + start + i);
        }
    }
    Ok(())
}

/// The bits of byte `i` of a super-block of `n` blocks that belong to rows from `n_rows` on.
fn padding(format: &Format, n: usize, i: usize, n_rows: usize) -> u8 {
    let all_if = |is_padding: bool| if is_padding { 0xff } else { 0 };
    let Some(i) = i.checked_sub(format.parts.head) else {
        return all_if(i / 2 % 4 >= n_rows);
    };
    match i.checked_sub(n * format.parts.scales) {
        Some(i) => all_if(i / 4 % 4 >= n_rows),
        // Upper bits of q4_k's minimums: a half of a byte for each row.
        None if format.dtype == Dtype::Q4K && i >= 4 * n => {
            let r = i % 2 * 2;
            all_if(r >= n_rows) & 0x0f | all_if(r + 1 >= n_rows) & 0xf0
        }
        None => all_if(i % 4 >= n_rows),
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
