//! The Tile4 layout: four rows interleaved, so that one 16-byte load holds four columns of four
//! rows.
//!
//! Tiles follow one another; within a tile, blocks of 32 columns in order. A tile-block is the
//! four rows' f16 scales (8 bytes), then codes. q8_0: for each group `g` of 4 columns, 4 codes of
//! row 0, of row 1, 2 and 3 (16 bytes). q4_0: for each `j` in 0..4, byte `4 r + c` holds the code
//! of row `r`, column `4 j + c` in its low half and that of column `16 + 4 j + c` in its high
//! half. Rows that are missing from the last tile are zero bytes.

use super::quant::BLOCK_LEN;

/// Rows of a tile.
pub const TILE_ROWS: usize = 4;
/// Bytes of the scales of a tile-block.
const SCALES_BYTES: usize = 2 * TILE_ROWS;

/// Where the scale of row `r` stands in a tile-block.
pub fn scale_at(r: usize) -> usize {
    2 * r
}

/// Where the q8_0 code of row `r`, column `column` stands in a tile-block.
pub fn q8_0_at(r: usize, column: usize) -> usize {
    SCALES_BYTES + column / 4 * 16 + 4 * r + column % 4
}

/// Where the q4_0 code of row `r`, column `column` stands in a tile-block, and by how many bits
/// it is shifted.
pub fn q4_0_at(r: usize, column: usize) -> (usize, u32) {
    let low = column % (BLOCK_LEN / 2);
    (SCALES_BYTES + low / 4 * 16 + 4 * r + low % 4, if column == low { 0 } else { 4 })
}
