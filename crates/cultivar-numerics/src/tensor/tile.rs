//! The Tile4 layout: four rows interleaved, so that one 16-byte load holds four columns of four
//! rows.
//!
//! Tiles follow one another; within a tile, super-blocks in order: one block of 32 columns, or
//! up to eight (q4_k, q6_k). A super-block is a head, the sub-scales of its blocks, and the codes
//! of its blocks (`Format::parts`); `docs/package-format.md` section 9 says where each bit stands.
//! Rows that are missing from the last tile are zero bytes.

use super::error::{TensorError, TensorErrorKind};
use super::quant::BLOCK_LEN;
use super::row_order;
use super::unpacked::Unpacked;
use super::{Dtype, Format, Layout};

/// Rows of a tile.
pub const TILE_ROWS: usize = 4;
/// Bytes of one row that stand together.
const GROUP: usize = 4;
/// Bytes of all rows' groups.
const GROUPS: usize = GROUP * TILE_ROWS;

/// Where the scale of row `r` stands in a head.
pub fn scale_at(r: usize) -> usize {
    2 * r
}

/// Where the 8-bit code of row `r`, column `column` stands among a block's codes.
pub fn byte_at(r: usize, column: usize) -> usize {
    GROUPS * (column / GROUP) + GROUP * r + column % GROUP
}

/// Where the low four bits of the code of row `r`, column `column` stand among a block's codes,
/// and by how many bits they are shifted: columns `i` and `i + 16` share a byte.
pub fn nibble_at(r: usize, column: usize) -> (usize, u32) {
    let low = column % 16;
    (byte_at(r, low), if column == low { 0 } else { 4 })
}

/// The same for the fifth bit of a q5_0 code.
pub fn fifth_bit_at(r: usize, column: usize) -> (usize, u32) {
    (64 + GROUP * r + column % GROUP, (column / GROUP) as u32)
}

/// The same for the upper two bits of a q6_k code.
pub fn upper_bits_at(r: usize, column: usize) -> (usize, u32) {
    let at = 64 + GROUPS * (column / 16) + GROUP * r + column % GROUP;
    (at, 2 * (column % 16 / GROUP) as u32)
}

/// The super-blocks of a tile of rows of `n_blocks` blocks: where each begins, and its blocks.
pub fn super_blocks(format: &Format, n_blocks: usize) -> impl Iterator<Item = (usize, usize)> {
    let (len, parts) = (format.super_blocks, format.parts);
    (0..n_blocks.div_ceil(len)).map(move |s| (s * parts.bytes(len), len.min(n_blocks - s * len)))
}

/// Writes a super-block of row `r` into `bytes`, the super-block of a tile in which that row's
/// bits are zero.
pub fn put(bytes: &mut [u8], format: &Format, r: usize, block: &Unpacked) {
    let n = block.n_blocks;
    bytes[scale_at(r)..][..2].copy_from_slice(&block.scale.to_le_bytes());
    if format.dtype == Dtype::Q4K {
        bytes[8 + scale_at(r)..][..2].copy_from_slice(&block.min.to_le_bytes());
    }
    let (_, rest) = bytes.split_at_mut(format.parts.head);
    let (scales, codes) = rest.split_at_mut(n * format.parts.scales);
    for j in 0..n {
        match format.dtype {
            Dtype::Q4K => {
                scales[4 * j + r] = block.sub_scales[j] | block.sub_mins[j] << 6;
                scales[4 * n + 2 * j + r / 2] |= block.sub_mins[j] >> 2 << (4 * (r % 2));
            }
            Dtype::Q6K => {
                scales[8 * j + r] = block.sub_scales[2 * j];
                scales[8 * j + 4 + r] = block.sub_scales[2 * j + 1];
            }
            _ => {}
        }
    }
    let blocks = codes.chunks_exact_mut(format.parts.codes);
    for (bytes, codes) in blocks.zip(&block.codes) {
        for (column, &code) in codes.iter().enumerate() {
            if format.dtype == Dtype::Q8_0 {
                bytes[byte_at(r, column)] = code;
                continue;
            }
            let (at, shift) = nibble_at(r, column);
            bytes[at] |= (code & 15) << shift;
            let (at, shift) = match format.dtype {
                Dtype::Q5_0 => fifth_bit_at(r, column),
                Dtype::Q6K => upper_bits_at(r, column),
                _ => continue,
            };
            bytes[at] |= code >> 4 << shift;
        }
    }
}

/// Reads a super-block of `n` blocks of row `r`: the inverse of [`put`].
pub fn get(bytes: &[u8], format: &Format, r: usize, n: usize) -> Unpacked {
    let mut block = Unpacked::zero(n);
    let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    block.scale = half(scale_at(r));
    if format.dtype == Dtype::Q4K {
        block.min = half(8 + scale_at(r));
    }
    let (_, rest) = bytes.split_at(format.parts.head);
    let (scales, codes) = rest.split_at(n * format.parts.scales);
    for j in 0..n {
        match format.dtype {
            Dtype::Q4K => {
                let upper = scales[4 * n + 2 * j + r / 2] >> (4 * (r % 2)) & 15;
                block.sub_scales[j] = scales[4 * j + r] & 63;
                block.sub_mins[j] = scales[4 * j + r] >> 6 | upper << 2;
            }
            Dtype::Q6K => {
                block.sub_scales[2 * j] = scales[8 * j + r];
                block.sub_scales[2 * j + 1] = scales[8 * j + 4 + r];
            }
            _ => {}
        }
    }
    let blocks = codes.chunks_exact(format.parts.codes);
    for (bytes, codes) in blocks.zip(&mut block.codes) {
        for (column, code) in codes.iter_mut().enumerate() {
            if format.dtype == Dtype::Q8_0 {
                *code = bytes[byte_at(r, column)];
                continue;
            }
            let (at, shift) = nibble_at(r, column);
            *code = bytes[at] >> shift & 15;
            let ((at, shift), mask) = match format.dtype {
                Dtype::Q5_0 => (fifth_bit_at(r, column), 1),
                Dtype::Q6K => (upper_bits_at(r, column), 3),
                _ => continue,
            };
            *code |= (bytes[at] >> shift & mask) << 4;
        }
    }
    block
}

/// Blocks in ggml's row order, `rows: [n_rows, d_in / block]` blocks, into tiles. Exact; the last
/// tile is filled with zeros.
///
/// `out` must be `format.stored_bytes(n_rows, d_in)` long. To convert a tensor in parts, give
/// every part but the last a multiple of four rows. ggml has no short super-blocks: `d_in` must be
/// a multiple of 256 for q4_k and q6_k.
pub fn rows_to_tiles(
    out: &mut [u8],
    format: &Format,
    rows: &[u8],
    n_rows: usize,
    d_in: usize,
) -> Result<(), TensorError> {
    let (row_bytes, tile_bytes) = check_lengths(format, out.len(), rows.len(), n_rows, d_in)?;
    out.fill(0);
    let super_bytes = format.parts.bytes(format.super_blocks);
    let tiles = out.chunks_exact_mut(tile_bytes);
    for (tile, rows) in tiles.zip(rows.chunks(row_bytes * TILE_ROWS)) {
        for (r, row) in rows.chunks_exact(row_bytes).enumerate() {
            let blocks = row.chunks_exact(format.block_bytes);
            for (tile_block, block) in tile.chunks_exact_mut(super_bytes).zip(blocks) {
                put(tile_block, format, r, &row_order::unpack(block, format));
            }
        }
    }
    Ok(())
}

/// Tiles into blocks in ggml's row order: the inverse of [`rows_to_tiles`].
///
/// `rows` must be as long as that many of ggml's blocks, `tiles` as `format.stored_bytes(n_rows,
/// d_in)`.
pub fn tiles_to_rows(
    rows: &mut [u8],
    format: &Format,
    tiles: &[u8],
    n_rows: usize,
    d_in: usize,
) -> Result<(), TensorError> {
    let (row_bytes, tile_bytes) = check_lengths(format, tiles.len(), rows.len(), n_rows, d_in)?;
    let super_bytes = format.parts.bytes(format.super_blocks);
    let tiles = tiles.chunks_exact(tile_bytes);
    for (rows, tile) in rows.chunks_mut(row_bytes * TILE_ROWS).zip(tiles) {
        for (r, row) in rows.chunks_exact_mut(row_bytes).enumerate() {
            let blocks = row.chunks_exact_mut(format.block_bytes);
            for (block, tile_block) in blocks.zip(tile.chunks_exact(super_bytes)) {
                let unpacked = get(tile_block, format, r, format.super_blocks);
                row_order::pack(block, format, &unpacked);
            }
        }
    }
    Ok(())
}

/// Refuses formats without tiles, rows that are empty or not whole blocks of ggml's, and wrong
/// lengths; else the bytes of a row in ggml's order and of a tile.
fn check_lengths(
    format: &Format,
    tiles_bytes: usize,
    rows_bytes: usize,
    n_rows: usize,
    d_in: usize,
) -> Result<(usize, usize), TensorError> {
    let refuse = |kind| Err(TensorError { kind, offset: 0 });
    let is_whole = d_in > 0 && d_in.is_multiple_of(format.super_blocks * BLOCK_LEN);
    let stored = format.stored_bytes(n_rows as u64, d_in as u64);
    let Some(stored) = stored.filter(|_| format.layout == Layout::Tile4 && is_whole) else {
        return refuse(TensorErrorKind::Shape);
    };
    // No overflow: four rows in row order are a tile, and the stored bytes fit.
    let row_bytes = (d_in / (format.super_blocks * BLOCK_LEN)) as u64 * format.block_bytes as u64;
    if tiles_bytes as u64 != stored || rows_bytes as u64 != n_rows as u64 * row_bytes {
        return refuse(TensorErrorKind::Length);
    }
    Ok((row_bytes as usize, row_bytes as usize * TILE_ROWS))
}
