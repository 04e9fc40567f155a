//! One super-block of one row, out of any order of storage: the form between ggml's row order,
//! tiles and floats. It holds bits as they are stored and never rounds.

use super::half::f16_to_f32;
use super::quant::BLOCK_LEN;
use super::{Dtype, Format};

/// Blocks of a full super-block.
pub const SUPER_BLOCKS: usize = 8;

/// Scale, sub-scales and codes of up to eight blocks of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Blocks that are used.
    pub n_blocks: usize,
    /// f16 bits of the scale.
    pub scale: u16,
    /// f16 bits of the minimum (q4_k).
    pub min: u16,
    /// Sub-scales: one per block (q4_k, 6 bits) or two (q6_k, i8).
    pub sub_scales: [u8; 2 * SUPER_BLOCKS],
    /// Minimums of blocks (q4_k, 6 bits).
    pub sub_mins: [u8; SUPER_BLOCKS],
    /// Codes as stored: q8_0 as i8, others unsigned.
    pub codes: [[u8; BLOCK_LEN]; SUPER_BLOCKS],
}

impl Unpacked {
    /// All bits zero.
    pub const fn zero(n_blocks: usize) -> Self {
        Self {
            n_blocks,
            scale: 0,
            min: 0,
            sub_scales: [0; 2 * SUPER_BLOCKS],
            sub_mins: [0; SUPER_BLOCKS],
            codes: [[0; BLOCK_LEN]; SUPER_BLOCKS],
        }
    }

    /// The values of the super-block: `out: [32 * n_blocks]`; ggml's formulas, in f32.
    pub fn values(&self, out: &mut [f32], format: &Format) {
        let (blocks, _) = out.as_chunks_mut::<BLOCK_LEN>();
        let (scale, min) = (f16_to_f32(self.scale), f16_to_f32(self.min));
        for (j, (out, codes)) in blocks.iter_mut().zip(&self.codes).enumerate() {
            let sub = |i: usize| scale * f32::from(self.sub_scales[i].cast_signed());
            for (column, (out, &code)) in out.iter_mut().zip(codes).enumerate() {
                *out = match format.dtype {
                    Dtype::Q4_0 => scale * (f32::from(code) - 8.0),
                    Dtype::Q5_0 => scale * (f32::from(code) - 16.0),
                    Dtype::Q4K => sub(j) * f32::from(code) - min * f32::from(self.sub_mins[j]),
                    Dtype::Q6K => sub(2 * j + column / 16) * (f32::from(code) - 32.0),
                    _ => scale * f32::from(code.cast_signed()),
                };
            }
        }
    }
}
