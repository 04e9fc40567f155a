//! ggml's element types: their ids in GGUF files, names and block sizes.
//!
//! Every id that ggml has given away is listed, so that a type that cannot be read is refused by
//! its name. Source: ggml `ggml.h`, `enum ggml_type`, and `ggml.c`, `type_traits`.

/// One element type.
#[derive(Debug, PartialEq, Eq)]
pub struct GgmlType {
    /// Its id in files.
    pub id: u32,
    /// ggml's name, in lower case.
    pub name: &'static str,
    /// Elements of a block; rows are whole blocks.
    pub block_len: u64,
    /// Bytes of a block.
    pub block_bytes: u64,
}

const fn row(id: u32, name: &'static str, block_len: u64, block_bytes: u64) -> GgmlType {
    GgmlType {
        id,
        name,
        block_len,
        block_bytes,
    }
}

/// Every type, ascending by id.
pub const TYPES: &[GgmlType] = &[
    row(0, "f32", 1, 4),
    row(1, "f16", 1, 2),
    row(2, "q4_0", 32, 18),
    row(3, "q4_1", 32, 20),
    row(6, "q5_0", 32, 22),
    row(7, "q5_1", 32, 24),
    row(8, "q8_0", 32, 34),
    row(9, "q8_1", 32, 36),
    row(10, "q2_k", 256, 84),
    row(11, "q3_k", 256, 110),
    row(12, "q4_k", 256, 144),
    row(13, "q5_k", 256, 176),
    row(14, "q6_k", 256, 210),
    row(15, "q8_k", 256, 292),
    row(16, "iq2_xxs", 256, 66),
    row(17, "iq2_xs", 256, 74),
    row(18, "iq3_xxs", 256, 98),
    row(19, "iq1_s", 256, 50),
    row(20, "iq4_nl", 32, 18),
    row(21, "iq3_s", 256, 110),
    row(22, "iq2_s", 256, 82),
    row(23, "iq4_xs", 256, 136),
    row(24, "i8", 1, 1),
    row(25, "i16", 1, 2),
    row(26, "i32", 1, 4),
    row(27, "i64", 1, 8),
    row(28, "f64", 1, 8),
    row(29, "iq1_m", 256, 56),
    row(30, "bf16", 1, 2),
    row(34, "tq1_0", 256, 54),
    row(35, "tq2_0", 256, 66),
    row(39, "mxfp4", 32, 17),
];

impl GgmlType {
    /// The type of this id.
    pub fn find(id: u32) -> Option<&'static GgmlType> {
        TYPES.iter().find(|known| known.id == id)
    }

    /// The type of this name.
    pub fn by_name(name: &str) -> Option<&'static GgmlType> {
        TYPES.iter().find(|known| known.name == name)
    }

    /// Bytes of a row of `d_in` elements; `None` if it is not whole blocks or too long.
    pub fn row_bytes(&self, d_in: u64) -> Option<u64> {
        let is_whole = d_in.is_multiple_of(self.block_len);
        (d_in / self.block_len)
            .checked_mul(self.block_bytes)
            .filter(|_| is_whole)
    }
}
