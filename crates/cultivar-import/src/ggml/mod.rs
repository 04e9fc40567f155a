//! ggml's element types: their ids in GGUF files, names and block sizes.
//!
//! Every id that ggml has given away is listed, so that a type that cannot be read is refused by
//! its name. Source: ggml `ggml.h`, `enum ggml_type`, and `ggml.c`, `type_traits`.

mod codebooks;
mod k_quants;
mod legacy;

/// One element type.
#[derive(Debug)]
pub struct GgmlType {
    /// Its id in files.
    pub id: u32,
    /// ggml's name, in lower case.
    pub name: &'static str,
    /// Elements of a block; rows are whole blocks.
    pub block_len: u64,
    /// Bytes of a block.
    pub block_bytes: u64,
    decode_block: Option<Decode>,
}

/// Decodes one block: its bytes, then its elements.
type Decode = fn(&[u8], &mut [f32]);

impl PartialEq for GgmlType {
    fn eq(&self, other: &GgmlType) -> bool {
        self.id == other.id
    }
}

impl Eq for GgmlType {}

/// A type that is named but not read.
const fn row(id: u32, name: &'static str, block_len: u64, block_bytes: u64) -> GgmlType {
    GgmlType {
        id,
        name,
        block_len,
        block_bytes,
        decode_block: None,
    }
}

/// A type that is read.
const fn read(
    id: u32,
    name: &'static str,
    block_len: u64,
    block_bytes: u64,
    decode: Decode,
) -> GgmlType {
    GgmlType {
        decode_block: Some(decode),
        ..row(id, name, block_len, block_bytes)
    }
}

/// Every type, ascending by id.
pub const TYPES: &[GgmlType] = &[
    read(0, "f32", 1, 4, legacy::f32_element),
    read(1, "f16", 1, 2, legacy::f16_element),
    read(2, "q4_0", 32, 18, legacy::q4_0),
    read(3, "q4_1", 32, 20, legacy::q4_1),
    read(6, "q5_0", 32, 22, legacy::q5_0),
    read(7, "q5_1", 32, 24, legacy::q5_1),
    read(8, "q8_0", 32, 34, legacy::q8_0),
    row(9, "q8_1", 32, 36),
    read(10, "q2_k", 256, 84, k_quants::q2_k),
    read(11, "q3_k", 256, 110, k_quants::q3_k),
    read(12, "q4_k", 256, 144, k_quants::q4_k),
    read(13, "q5_k", 256, 176, k_quants::q5_k),
    read(14, "q6_k", 256, 210, k_quants::q6_k),
    row(15, "q8_k", 256, 292),
    row(16, "iq2_xxs", 256, 66),
    row(17, "iq2_xs", 256, 74),
    row(18, "iq3_xxs", 256, 98),
    row(19, "iq1_s", 256, 50),
    read(20, "iq4_nl", 32, 18, codebooks::iq4_nl),
    row(21, "iq3_s", 256, 110),
    row(22, "iq2_s", 256, 82),
    read(23, "iq4_xs", 256, 136, codebooks::iq4_xs),
    row(24, "i8", 1, 1),
    row(25, "i16", 1, 2),
    row(26, "i32", 1, 4),
    row(27, "i64", 1, 8),
    row(28, "f64", 1, 8),
    row(29, "iq1_m", 256, 56),
    read(30, "bf16", 1, 2, legacy::bf16_element),
    read(34, "tq1_0", 256, 54, codebooks::tq1_0),
    read(35, "tq2_0", 256, 66, codebooks::tq2_0),
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

    /// Whether its elements can be decoded.
    pub fn is_read(&self) -> bool {
        self.decode_block.is_some()
    }

    /// Decodes whole blocks into `out`, exactly as ggml does: its formulas in f32, in its order.
    /// What has no block stays as it is; a type that is not read decodes nothing.
    pub fn decode(&self, blocks: &[u8], out: &mut [f32]) {
        let Some(decode) = self.decode_block else {
            return;
        };
        let blocks = blocks.chunks_exact(self.block_bytes as usize);
        for (block, out) in blocks.zip(out.chunks_exact_mut(self.block_len as usize)) {
            decode(block, out);
        }
    }
}
