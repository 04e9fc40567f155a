//! The Tile4 layout: four rows interleaved, so that one 16-byte load holds four columns of four
//! rows.
//!
//! Tiles follow one another; within a tile, blocks of 32 columns in order. A tile-block is the
//! four rows' f16 scales (8 bytes), then codes. q8_0: for each group `g` of 4 columns, 4 codes of
//! row 0, of row 1, 2 and 3 (16 bytes). q4_0: for each `j` in 0..4, byte `4 r + c` holds the code
//! of row `r`, column `4 j + c` in its low half and that of column `16 + 4 j + c` in its high
//! half. Rows that are missing from the last tile are zero bytes.
//!
//! In ggml's row order a block is one row's f16 scale, then its codes, q4_0 pairing columns `i` and
//! `i + 16` in a byte as here: so both formats convert by moving groups of four bytes.

use super::error::{TensorError, TensorErrorKind};
use super::quant::BLOCK_LEN;
use super::{Format, Layout};

/// Rows of a tile.
pub const TILE_ROWS: usize = 4;
/// Bytes of one scale.
const SCALE_BYTES: usize = 2;
/// Bytes of the scales of a tile-block.
const SCALES_BYTES: usize = SCALE_BYTES * TILE_ROWS;
/// Bytes of one row that stand together in a tile-block.
const GROUP_BYTES: usize = 4;

/// Where the scale of row `r` stands in a tile-block.
pub fn scale_at(r: usize) -> usize {
    SCALE_BYTES * r
}

/// Where the q8_0 code of row `r`, column `column` stands in a tile-block.
pub fn q8_0_at(r: usize, column: usize) -> usize {
    group_at(r, column / GROUP_BYTES) + column % GROUP_BYTES
}

/// Where the q4_0 code of row `r`, column `column` stands in a tile-block, and by how many bits
/// it is shifted.
pub fn q4_0_at(r: usize, column: usize) -> (usize, u32) {
    let low = column % (BLOCK_LEN / 2);
    let at = group_at(r, low / GROUP_BYTES) + low % GROUP_BYTES;
    (at, if column == low { 0 } else { 4 })
}

/// Where group `g` of the code bytes of row `r` begins in a tile-block.
fn group_at(r: usize, g: usize) -> usize {
    SCALES_BYTES + GROUP_BYTES * (TILE_ROWS * g + r)
}

/// Blocks in ggml's row order, `rows: [n_rows, d_in / 32]` blocks, into tiles. Exact; the last
/// tile is filled with zeros.
///
/// `out` must be `format.stored_bytes(n_rows, d_in)` long. To convert a tensor in parts, give
/// every part but the last a multiple of four rows.
pub fn rows_to_tiles(
    out: &mut [u8],
    format: &Format,
    rows: &[u8],
    n_rows: usize,
    d_in: usize,
) -> Result<(), TensorError> {
    check_lengths(format, out.len(), rows.len(), n_rows, d_in)?;
    out.fill(0);
    let tile_block_bytes = format.block_bytes * TILE_ROWS;
    let row_bytes = d_in / BLOCK_LEN * format.block_bytes;
    let tiles = out.chunks_exact_mut(row_bytes * TILE_ROWS);
    for (tile, rows) in tiles.zip(rows.chunks(row_bytes * TILE_ROWS)) {
        for (r, row) in rows.chunks_exact(row_bytes).enumerate() {
            let blocks = row.chunks_exact(format.block_bytes);
            for (tile_block, block) in tile.chunks_exact_mut(tile_block_bytes).zip(blocks) {
                let (scale, codes) = block.split_at(SCALE_BYTES);
                tile_block[scale_at(r)..][..SCALE_BYTES].copy_from_slice(scale);
                for (g, group) in codes.chunks_exact(GROUP_BYTES).enumerate() {
                    tile_block[group_at(r, g)..][..GROUP_BYTES].copy_from_slice(group);
                }
            }
        }
    }
    Ok(())
}

/// Tiles into blocks in ggml's row order: the inverse of [`rows_to_tiles`].
///
/// `rows` must be `n_rows * d_in / 32 * format.block_bytes` long, `tiles` as long as
/// `format.stored_bytes(n_rows, d_in)`.
pub fn tiles_to_rows(
    rows: &mut [u8],
    format: &Format,
    tiles: &[u8],
    n_rows: usize,
    d_in: usize,
) -> Result<(), TensorError> {
    check_lengths(format, tiles.len(), rows.len(), n_rows, d_in)?;
    let tile_block_bytes = format.block_bytes * TILE_ROWS;
    let row_bytes = d_in / BLOCK_LEN * format.block_bytes;
    let tiles = tiles.chunks_exact(row_bytes * TILE_ROWS);
    for (rows, tile) in rows.chunks_mut(row_bytes * TILE_ROWS).zip(tiles) {
        for (r, row) in rows.chunks_exact_mut(row_bytes).enumerate() {
            let blocks = row.chunks_exact_mut(format.block_bytes);
            for (block, tile_block) in blocks.zip(tile.chunks_exact(tile_block_bytes)) {
                let (scale, codes) = block.split_at_mut(SCALE_BYTES);
                scale.copy_from_slice(&tile_block[scale_at(r)..][..SCALE_BYTES]);
                for (g, group) in codes.chunks_exact_mut(GROUP_BYTES).enumerate() {
                    group.copy_from_slice(&tile_block[group_at(r, g)..][..GROUP_BYTES]);
                }
            }
        }
    }
    Ok(())
}

/// Refuses formats without tiles, rows that are empty or not whole blocks, and wrong lengths.
fn check_lengths(
    format: &Format,
    tiles_bytes: usize,
    rows_bytes: usize,
    n_rows: usize,
    d_in: usize,
) -> Result<(), TensorError> {
    let refuse = |kind| Err(TensorError { kind, offset: 0 });
    let stored = format.stored_bytes(n_rows as u64, d_in as u64);
    let Some(stored) = stored.filter(|_| format.layout == Layout::Tile4 && d_in > 0) else {
        return refuse(TensorErrorKind::Shape);
    };
    // No overflow: the stored bytes, padding included, are no fewer.
    let row_order = n_rows as u64 * (d_in / BLOCK_LEN * format.block_bytes) as u64;
    if tiles_bytes as u64 != stored || rows_bytes as u64 != row_order {
        return refuse(TensorErrorKind::Length);
    }
    Ok(())
}
