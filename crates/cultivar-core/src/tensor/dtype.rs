//! Element types, layouts, and the table of formats that combines them.
//!
//! Ids are stored in packages and never change. Reserved dtype ids, refused until they work:
//! 18 q5_0, 19 q4_k, 20 q6_k, 21 q4_1, 22 q5_1, 23 q5_k, 24 q3_k, 25 q2_k, 26 iq4_nl.

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
    /// Bytes of one block of one row.
    pub block_bytes: usize,
    /// Rows stored together; the last group is filled with zeros.
    pub tile_rows: usize,
}

const fn plain(dtype: Dtype, name: &'static str, bytes: usize) -> Format {
    Format {
        dtype,
        layout: Layout::Rows,
        name,
        block_len: 1,
        block_bytes: bytes,
        tile_rows: 1,
    }
}

const fn tiled(dtype: Dtype, name: &'static str, block_bytes: usize) -> Format {
    Format {
        dtype,
        layout: Layout::Tile4,
        name,
        block_len: 32,
        block_bytes,
        tile_rows: 4,
    }
}

/// Every format that works.
pub const FORMATS: &[Format] = &[
    plain(Dtype::F32, "f32", 4),
    plain(Dtype::F16, "f16", 2),
    plain(Dtype::Bf16, "bf16", 2),
    plain(Dtype::U32, "u32", 4),
    tiled(Dtype::Q8_0, "q8_0", 34),
    tiled(Dtype::Q4_0, "q4_0", 18),
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
        let block_len = self.block_len as u64;
        if !d_in.is_multiple_of(block_len) {
            return None;
        }
        let rows = d_out.checked_next_multiple_of(self.tile_rows as u64)?;
        rows.checked_mul((d_in / block_len).checked_mul(self.block_bytes as u64)?)
    }
}
