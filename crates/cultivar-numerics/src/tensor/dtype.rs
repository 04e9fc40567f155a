//! Element types, layouts, and the table of formats that combines them.
//!
//! Ids are stored in packages and never change. Reserved dtype ids, refused until they work:
//! 21 q4_1, 22 q5_1, 23 q5_k, 24 q3_k, 25 q2_k, 26 iq4_nl.

/// What an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    Bf16,
    /// Unsigned 32-bit integer: indices of sparse deltas.
    U32,
    /// Blocks of 32: f16 scale, signed 8-bit codes.
    Q8_0,
    /// Blocks of 32: f16 scale, 4-bit codes less 8.
    Q4_0,
    /// Blocks of 32: f16 scale, 5-bit codes less 16.
    Q5_0,
    /// Super-blocks of up to 256: f16 scale and f16 minimum; per 32 a 6-bit scale and a 6-bit
    /// minimum; 4-bit codes.
    Q4K,
    /// Super-blocks of up to 256: f16 scale; per 16 a signed 8-bit scale; 6-bit codes less 32.
    Q6K,
}

impl Dtype {
    /// The id stored in packages.
    pub const fn id(self) -> u16 {
        match self {
            Self::F32 => 1,
            Self::F16 => 2,
            Self::Bf16 => 3,
            Self::U32 => 4,
            Self::Q8_0 => 16,
            Self::Q4_0 => 17,
            Self::Q5_0 => 18,
            Self::Q4K => 19,
            Self::Q6K => 20,
        }
    }
}

/// How elements are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Row after row.
    Rows,
    /// Four rows interleaved, block by block; see [`super::tile`].
    Tile4,
}

impl Layout {
    /// The id stored in packages.
    pub const fn id(self) -> u16 {
        match self {
            Self::Rows => 0,
            Self::Tile4 => 1,
        }
    }
}

/// A dtype in a layout.
#[derive(Debug, PartialEq, Eq)]
pub struct Format {
    /// Element type.
    pub dtype: Dtype,
    /// Arrangement.
    pub layout: Layout,
    /// The dtype's name, as users write it.
    pub name: &'static str,
    /// Columns of one block; rows are whole blocks.
    pub block_len: usize,
    /// Blocks that share a head, and are stored together: 1, or the 8 of a full super-block. The
    /// last super-block of a row may have fewer.
    pub super_blocks: usize,
    /// Bytes of one full super-block of one row; ggml's block of the same name is as long.
    pub block_bytes: usize,
    /// Rows stored together; the last group is filled with zeros.
    pub tile_rows: usize,
    /// How the bytes of a super-block of a tile divide.
    pub parts: Parts,
}

/// A super-block of a tile, all rows together: a head, then the sub-scales of all its blocks,
/// then the codes of all its blocks. Bytes of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// f16 scales, row 0 first; then f16 minimums.
    pub head: usize,
    /// Sub-scales of one block.
    pub scales: usize,
    /// Codes of one block.
    pub codes: usize,
}

impl Parts {
    /// Bytes of a super-block of `n_blocks` blocks.
    pub const fn bytes(&self, n_blocks: usize) -> usize {
        self.head + n_blocks * (self.scales + self.codes)
    }
}

const fn plain(dtype: Dtype, name: &'static str, bytes: usize) -> Format {
    Format {
        dtype,
        layout: Layout::Rows,
        name,
        block_len: 1,
        super_blocks: 1,
        block_bytes: bytes,
        tile_rows: 1,
        parts: Parts {
            head: 0,
            scales: 0,
            codes: bytes,
        },
    }
}

const fn tiled(dtype: Dtype, name: &'static str, super_blocks: usize, parts: Parts) -> Format {
    Format {
        dtype,
        layout: Layout::Tile4,
        name,
        block_len: 32,
        super_blocks,
        block_bytes: parts.bytes(super_blocks) / 4,
        tile_rows: 4,
        parts,
    }
}

const fn parts(head: usize, scales: usize, codes: usize) -> Parts {
    Parts {
        head,
        scales,
        codes,
    }
}

/// Every format that works.
pub const FORMATS: &[Format] = &[
    plain(Dtype::F32, "f32", 4),
    plain(Dtype::F16, "f16", 2),
    plain(Dtype::Bf16, "bf16", 2),
    plain(Dtype::U32, "u32", 4),
    tiled(Dtype::Q8_0, "q8_0", 1, parts(8, 0, 128)),
    tiled(Dtype::Q4_0, "q4_0", 1, parts(8, 0, 64)),
    tiled(Dtype::Q5_0, "q5_0", 1, parts(8, 0, 80)),
    tiled(Dtype::Q4K, "q4_k", 8, parts(16, 6, 64)),
    tiled(Dtype::Q6K, "q6_k", 8, parts(8, 8, 96)),
];

impl Format {
    /// The format of these ids.
    pub fn find(dtype_id: u16, layout_id: u16) -> Option<&'static Format> {
        FORMATS
            .iter()
            .find(|f| f.dtype.id() == dtype_id && f.layout.id() == layout_id)
    }

    /// The format of this name.
    pub fn by_name(name: &str) -> Option<&'static Format> {
        FORMATS.iter().find(|f| f.name == name)
    }

    /// Bytes of `d_out` rows of `d_in` columns, padding rows included; `None` if a row is not
    /// whole blocks or the product overflows.
    pub fn stored_bytes(&self, d_out: u64, d_in: u64) -> Option<u64> {
        if !d_in.is_multiple_of(self.block_len as u64) {
            return None;
        }
        let rows = d_out.checked_next_multiple_of(self.tile_rows as u64)?;
        (rows / self.tile_rows as u64).checked_mul(self.tile_bytes(d_in)?)
    }

    /// Bytes of one tile, `tile_rows` rows of `d_in` columns; `None` if that overflows. `d_in` is
    /// a multiple of `block_len`.
    pub fn tile_bytes(&self, d_in: u64) -> Option<u64> {
        let n_blocks = d_in / self.block_len as u64;
        let n_heads = n_blocks.div_ceil(self.super_blocks as u64);
        let heads = n_heads.checked_mul(self.parts.head as u64)?;
        let blocks = n_blocks.checked_mul((self.parts.scales + self.parts.codes) as u64)?;
        heads.checked_add(blocks)
    }
}
