//! The check of a tensor's bytes: every float and every scale finite, padding zero.

use super::error::{TensorError, TensorErrorKind};
use super::{Dtype, Layout, TensorRef};

/// Checks about `budget_bytes` of `w` from byte `from` on and returns where to go on; the whole
/// tensor is checked when that is its length. Start at 0.
pub fn check(w: TensorRef<'_>, from: usize, budget_bytes: usize) -> Result<usize, TensorError> {
    let unit = match w.format.layout {
        Layout::Rows => w.format.block_bytes,
        Layout::Tile4 => w.format.block_bytes * w.format.tile_rows,
    };
    let n_bytes = (budget_bytes / unit).max(1) * unit;
    let end = w.bytes.len().min(from.saturating_add(n_bytes));
    let part = w.bytes.get(from..end).unwrap_or(&[]);
    let bad = match w.format.dtype {
        Dtype::U32 => None,
        Dtype::F32 => position::<4>(part, |b| u32::from_le_bytes(*b) << 1 >= 0xff00_0000),
        Dtype::F16 => position::<2>(part, |b| u16::from_le_bytes(*b) << 1 >= 0xf800),
        Dtype::Bf16 => position::<2>(part, |b| u16::from_le_bytes(*b) << 1 >= 0xff00),
        Dtype::Q8_0 | Dtype::Q4_0 => return check_tiles(w, from, end, unit),
    };
    match bad {
        Some(at) => Err(TensorError {
            kind: TensorErrorKind::NotFinite,
            offset: (from + at) as u64,
        }),
        None => Ok(end),
    }
}

/// Checks all of `w`.
pub fn check_whole(w: TensorRef<'_>) -> Result<(), TensorError> {
    check(w, 0, usize::MAX).map(|_| ())
}

fn position<const N: usize>(bytes: &[u8], is_bad: impl Fn(&[u8; N]) -> bool) -> Option<usize> {
    let (elements, _) = bytes.as_chunks::<N>();
    elements.iter().position(is_bad).map(|i| i * N)
}

fn check_tiles(
    w: TensorRef<'_>,
    from: usize,
    end: usize,
    tile_block_bytes: usize,
) -> Result<usize, TensorError> {
    let tile_bytes = w.d_in / w.format.block_len * tile_block_bytes;
    let n_last = w.d_out % w.format.tile_rows;
    for at in (from..end).step_by(tile_block_bytes) {
        let Some(block) = w.bytes.get(at..at + tile_block_bytes) else {
            return Ok(end);
        };
        let (scales, codes) = block.split_at(2 * w.format.tile_rows);
        if let Some(i) = position::<2>(scales, |b| u16::from_le_bytes(*b) << 1 >= 0xf800) {
            let offset = (at + i) as u64;
            return Err(TensorError { kind: TensorErrorKind::NotFinite, offset });
        }
        let is_last = at / tile_bytes == w.d_out / w.format.tile_rows;
        if n_last > 0 && is_last {
            let scale = scales[2 * n_last..].iter().position(|b| *b != 0).map(|i| i + 2 * n_last);
            let code = (0..codes.len()).find(|i| i % 16 / 4 >= n_last && codes[*i] != 0);
            if let Some(i) = scale.or(code.map(|i| i + scales.len())) {
                let offset = (at + i) as u64;
                return Err(TensorError { kind: TensorErrorKind::Padding, offset });
            }
        }
    }
    Ok(end)
}
