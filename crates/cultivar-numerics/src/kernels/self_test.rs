//! The proof, run inside the very module that will be used, that its kernels equal the scalar
//! specification bit for bit. A page runs it once per engine before it trusts the relaxed build.

use super::{Activations, BLOCK_LEN, Backend, matmul};
use crate::kernels;
use crate::rng::{self, Purpose};
use crate::tensor::{Dtype, FORMATS, Format, TensorRef, half, tile};
use alloc::vec;
use alloc::vec::Vec;

/// A kernel that differs from its specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfTestError {
    /// Which check failed: the number of those that passed before it.
    pub check: u32,
    /// The kernel.
    pub kernel: &'static str,
}

impl core::fmt::Display for SelfTestError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { check, kernel } = self;
        write!(
            f,
            "kernel {kernel} differs from its specification (check {check})"
        )
    }
}

/// Rows of a batch, and `(d_out, d_in)`: every remainder of the kernels' groupings appears.
const ROW_COUNTS: [usize; 7] = [1, 2, 3, 4, 5, 8, 17];
const SHAPES: [(usize, usize); 6] = [(1, 32), (3, 64), (4, 256), (17, 160), (21, 544), (34, 32)];

/// Widths of stored rows, and how many: whole groups of 16 or not, whole fours or not.
const ROWS: [(usize, usize); 8] = [
    (16, 3),
    (24, 5),
    (48, 8),
    (64, 1),
    (64, 32),
    (80, 13),
    (128, 6),
    (1, 9),
];

/// Compares all kernels of this build with the specification on seeded values, extremes included.
/// Returns how many comparisons were made.
pub fn run(seed: u64) -> Result<u32, SelfTestError> {
    let mut n_checks = 0;
    for format in FORMATS.iter().filter(|format| format.dtype != Dtype::U32) {
        for (shape_idx, &(d_out, d_in)) in SHAPES.iter().enumerate() {
            // Formats without blocks take widths that are no multiple of anything.
            let d_in = if format.block_len == 1 {
                d_in - shape_idx
            } else {
                d_in
            };
            let values = Values {
                seed,
                stream: (shape_idx * 64) as u64,
            };
            let weights = values.matrix(format, d_out, d_in);
            for n_rows in ROW_COUNTS {
                let x = values.activations(n_rows, d_in);
                if !matmuls_agree(format, &weights, (d_out, d_in), &x) {
                    return Err(SelfTestError {
                        check: n_checks,
                        kernel: format.name,
                    });
                }
                n_checks += 1;
            }
        }
    }
    for len in 0..67 {
        if !dots_agree(
            Values {
                seed,
                stream: 7000 + len as u64,
            },
            len,
        ) {
            return Err(SelfTestError {
                check: n_checks,
                kernel: "dot",
            });
        }
        n_checks += 1;
    }
    for (width, n) in ROWS {
        let values = Values {
            seed,
            stream: 8000 + (16 * width + n) as u64,
        };
        if !rows_agree(values, width, n) {
            return Err(SelfTestError {
                check: n_checks,
                kernel: "dot_rows",
            });
        }
        n_checks += 1;
    }
    Ok(n_checks)
}

fn matmuls_agree(
    format: &'static Format,
    bytes: &[u8],
    (d_out, d_in): (usize, usize),
    x: &[f32],
) -> bool {
    let n_rows = x.len() / d_in;
    let w = TensorRef {
        format,
        d_out,
        d_in,
        bytes,
    };
    let compute = |backend| {
        let mut activations = Activations::new(n_rows, d_in)?;
        activations.load(backend, x, d_in, format.block_len == BLOCK_LEN);
        let mut out = vec![0.0; n_rows * d_out];
        matmul(backend, &mut out, w, &activations);
        Some(out)
    };
    // A kernel that could not be tried for want of memory has not passed.
    match (compute(Backend::Scalar), compute(Backend::Fast)) {
        (Some(scalar), Some(fast)) => same_bits(&scalar, &fast),
        _ => false,
    }
}

fn dots_agree(values: Values, len: usize) -> bool {
    let a: Vec<f32> = (0..len as u64).map(|i| values.at(i)).collect();
    let b: Vec<f32> = (0..len as u64).map(|i| values.at(1000 + i)).collect();
    let halves: Vec<u16> = b.iter().map(|&v| half::f32_to_f16(v * 1e-5)).collect();
    let codes: Vec<i8> = b.iter().map(|&v| (v * 100.0) as i8).collect();
    let dots = |backend| {
        [
            kernels::dot(backend, &a, &b),
            kernels::dot_f16(backend, &a, &halves),
            kernels::dot_i8(backend, &a, &codes),
        ]
    };
    same_bits(&dots(Backend::Scalar), &dots(Backend::Fast))
}

fn rows_agree(values: Values, width: usize, n: usize) -> bool {
    let a: Vec<f32> = (0..width as u64).map(|i| values.at(i)).collect();
    let rows: Vec<f32> = (0..(n * width) as u64)
        .map(|i| values.at(1000 + i))
        .collect();
    let halves: Vec<u16> = rows.iter().map(|&v| half::f32_to_f16(v * 1e-5)).collect();
    let codes: Vec<i8> = rows.iter().map(|&v| (v * 100.0) as i8).collect();
    let dots = |backend| {
        let mut out = vec![0.0; 3 * n];
        let (first, rest) = out.split_at_mut(n);
        let (second, third) = rest.split_at_mut(n);
        kernels::dot_rows(backend, first, &a, &rows);
        kernels::dot_rows_f16(backend, second, &a, &halves);
        kernels::dot_rows_i8(backend, third, &a, &codes);
        out
    };
    same_bits(&dots(Backend::Scalar), &dots(Backend::Fast))
}

/// Equal bits, any `NaN` equal to any other.
fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.iter()
        .zip(b)
        .all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()))
}

/// Seeded numbers.
#[derive(Clone, Copy)]
struct Values {
    seed: u64,
    stream: u64,
}

impl Values {
    /// Within -1..1.
    fn at(self, i: u64) -> f32 {
        let bits = rng::draw(self.seed, Purpose::SelfTest, (self.stream << 32) + i);
        rng::unit_f32(bits[0]) * 2.0 - 1.0
    }

    /// Rows whose blocks reach from zero over tiny, common and huge values to `NaN`.
    fn activations(self, n_rows: usize, d_in: usize) -> Vec<f32> {
        const SCALES: [f32; 6] = [1.0, 0.0, 1e-38, 3e30, 0.02, 1e-20];
        let mut x: Vec<f32> = (0..n_rows * d_in)
            .map(|i| self.at(1 << 20 | i as u64) * SCALES[i / BLOCK_LEN % SCALES.len()])
            .collect();
        let last = x.len() - 1;
        if n_rows == ROW_COUNTS[2] {
            x[last] = f32::NAN;
            x[last / 2] = f32::NEG_INFINITY;
        }
        x
    }

    /// A stored matrix. Quantized codes take every value, -128 included, because a package made
    /// elsewhere may hold any; scales are finite f16 of every magnitude, zero and negative too.
    fn matrix(self, format: &Format, d_out: usize, d_in: usize) -> Vec<u8> {
        let n_bytes = format.stored_bytes(d_out as u64, d_in as u64).unwrap_or(0) as usize;
        if format.block_len == 1 {
            let values = (0..d_out * d_in).map(|i| self.at(i as u64));
            let bytes = values.flat_map(|v| {
                let bits = match format.dtype {
                    Dtype::F16 => u32::from(half::f32_to_f16(v)),
                    Dtype::Bf16 => u32::from(half::f32_to_bf16(v)),
                    _ => v.to_bits(),
                };
                bits.to_le_bytes().into_iter().take(format.block_bytes)
            });
            return bytes.collect();
        }
        let mut bytes: Vec<u8> = (0..n_bytes)
            .map(|i| {
                let stream = self.stream << 32 | i as u64;
                rng::draw(self.seed, Purpose::SelfTest, stream)[1] as u8
            })
            .collect();
        for tile in bytes.chunks_mut(n_bytes / d_out.div_ceil(format.tile_rows)) {
            for (start, _) in tile::super_blocks(format, d_in / BLOCK_LEN) {
                let (halves, _) = tile[start..start + format.parts.head].as_chunks_mut::<2>();
                // The high byte of a scale must not have all exponent bits set.
                for half in halves.iter_mut().filter(|half| half[1] & 0x7c == 0x7c) {
                    half[1] &= 0xbf;
                }
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::run;

    #[test]
    fn this_build_equals_its_specification() {
        for seed in 0..4 {
            assert!(run(seed).unwrap() > 200);
        }
    }
}
