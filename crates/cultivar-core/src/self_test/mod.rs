//! The proof, run inside the very module that will be used, that its kernels equal the scalar
//! specification bit for bit: digests of what they compute from seeded values are compared with
//! those of the specification. A page runs it once per engine before it trusts the relaxed build.
//! It stands outside the arithmetic's crate, which is compiled for speed: once is not worth bytes.

pub mod agreement;

use crate::kernels::{self, Activations, BLOCK_LEN, Backend, matmul};
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

/// The seed of every value.
const SEED: u64 = 1;

/// One group of checks for each format that a matrix can have, one for sums of products, one for
/// rows of them.
const N_GROUPS: usize = 10;

/// Each group with the digest of what the specification computes for it. A native test holds them
/// against `scalar.rs`, so that no module has to carry the specification.
const EXPECTED: [(&str, u64); N_GROUPS] = [
    ("f32", 0x5aeb_2f6c_39d3_9f87),
    ("f16", 0x05b8_41a9_1bcc_8c59),
    ("bf16", 0x1aac_4571_cd2b_42ba),
    ("q8_0", 0x14cd_4796_4c1f_1094),
    ("q4_0", 0x2ef9_00d2_bbea_033b),
    ("q5_0", 0x5075_af65_e01f_78b9),
    ("q4_k", 0x5052_f42f_4231_3cbe),
    ("q6_k", 0xff0f_db4c_8181_367c),
    ("dot", 0xa66d_ee58_e7cb_ff32),
    ("dot_rows", 0x5ad9_069f_8e37_5b3c),
];

/// Digest of results in their order, any `NaN` as any other.
struct Results {
    pub digest: u64,
    pub n_checks: u32,
}

impl Results {
    /// Takes in the results of one check.
    pub fn add(&mut self, values: &[f32]) {
        for value in values {
            let bits = if value.is_nan() { f32::NAN } else { *value }.to_bits();
            self.digest = (self.digest ^ u64::from(bits)).wrapping_mul(0x100_0000_01b3);
            self.digest ^= self.digest >> 29;
        }
        self.n_checks += 1;
    }
}

/// Computes products of every format, dots and dots with stored rows on seeded values, extremes
/// included, and compares the digests with those of the specification. Returns how many
/// computations were made.
pub fn run() -> Result<u32, SelfTestError> {
    let mut n_checks = 0;
    for (group, (kernel, expected)) in EXPECTED.into_iter().enumerate() {
        match results(Backend::Fast, group) {
            Some(found) if found.digest == expected => n_checks += found.n_checks,
            // A kernel that could not be tried for want of memory has not passed.
            _ => {
                return Err(SelfTestError {
                    check: n_checks,
                    kernel,
                });
            }
        }
    }
    Ok(n_checks)
}

fn results(backend: Backend, group: usize) -> Option<Results> {
    let mut results = Results {
        digest: 0,
        n_checks: 0,
    };
    let mut formats = FORMATS.iter().filter(|format| format.dtype != Dtype::U32);
    match formats.nth(group) {
        Some(format) => matmuls(backend, format, &mut results)?,
        None if group == N_GROUPS - 2 => (0..67).for_each(|len| dots(backend, len, &mut results)),
        None => ROWS
            .iter()
            .for_each(|&(width, n)| rows(backend, width, n, &mut results)),
    }
    Some(results)
}

fn matmuls(backend: Backend, format: &'static Format, results: &mut Results) -> Option<()> {
    for (shape_idx, &(d_out, d_in)) in SHAPES.iter().enumerate() {
        // Formats without blocks take widths that are no multiple of anything.
        let d_in = if format.block_len == 1 {
            d_in - shape_idx
        } else {
            d_in
        };
        let values = Values::new((shape_idx * 64) as u64);
        product(backend, (values, format, d_out, d_in), &ROW_COUNTS, results)?;
    }
    Some(())
}

/// The product of a matrix of these values with each of these numbers of rows.
fn product(
    backend: Backend,
    (values, format, d_out, d_in): (Values, &'static Format, usize, usize),
    row_counts: &[usize],
    results: &mut Results,
) -> Option<()> {
    let bytes = values.matrix(format, d_out, d_in);
    for &n_rows in row_counts {
        let x = values.activations(n_rows, d_in);
        let mut activations = Activations::new(n_rows, d_in)?;
        activations.load(backend, &x, d_in, format.block_len == BLOCK_LEN);
        let mut out = vec![0.0; n_rows * d_out];
        let w = TensorRef {
            format,
            d_out,
            d_in,
            bytes: &bytes,
        };
        matmul(backend, &mut out, w, &activations);
        results.add(&out);
    }
    Some(())
}

fn dots(backend: Backend, len: usize, results: &mut Results) {
    let values = Values::new(7000 + len as u64);
    let (a, b) = (values.take(0, len), values.take(1000, len));
    let (halves, codes) = narrowed(&b);
    results.add(&[
        kernels::dot(backend, &a, &b),
        kernels::dot_f16(backend, &a, &halves),
        kernels::dot_i8(backend, &a, &codes),
    ]);
}

fn rows(backend: Backend, width: usize, n: usize, results: &mut Results) {
    let values = Values::new(8000 + (16 * width + n) as u64);
    let (a, rows) = (values.take(0, width), values.take(1000, n * width));
    let (halves, codes) = narrowed(&rows);
    let mut out = vec![0.0; 3 * n];
    let (first, rest) = out.split_at_mut(n);
    let (second, third) = rest.split_at_mut(n);
    kernels::dot_rows(backend, first, &a, &rows);
    kernels::dot_rows_f16(backend, second, &a, &halves);
    kernels::dot_rows_i8(backend, third, &a, &codes);
    results.add(&out);
}

/// The values as a cache would hold them in its smaller formats.
fn narrowed(values: &[f32]) -> (Vec<u16>, Vec<i8>) {
    (
        values.iter().map(|&v| half::f32_to_f16(v * 1e-5)).collect(),
        values.iter().map(|&v| (v * 100.0) as i8).collect(),
    )
}

/// Seeded numbers.
#[derive(Clone, Copy)]
struct Values {
    pub seed: u64,
    pub stream: u64,
}

impl Values {
    fn new(stream: u64) -> Self {
        Self { seed: SEED, stream }
    }

    /// Within -1..1.
    fn at(self, i: u64) -> f32 {
        let bits = rng::draw(self.seed, Purpose::SelfTest, (self.stream << 32) + i);
        rng::unit_f32(bits[0]) * 2.0 - 1.0
    }

    /// The `len` values from the `start`-th on.
    pub fn take(self, start: u64, len: usize) -> Vec<f32> {
        (start..start + len as u64).map(|i| self.at(i)).collect()
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
    use super::*;

    #[test]
    fn the_digests_are_the_specifications() {
        let found: Vec<(&str, u64)> = (0..N_GROUPS)
            .map(|i| (EXPECTED[i].0, results(Backend::Scalar, i).unwrap().digest))
            .collect();
        assert_eq!(found, EXPECTED, "{found:#x?}");
        let formats = FORMATS.iter().filter(|format| format.dtype != Dtype::U32);
        let names: Vec<&str> = formats.map(|format| format.name).collect();
        assert_eq!(names, EXPECTED.map(|(name, _)| name)[..N_GROUPS - 2]);
    }

    #[test]
    fn this_build_equals_its_specification() {
        assert!(run().unwrap() > 200);
    }
}
