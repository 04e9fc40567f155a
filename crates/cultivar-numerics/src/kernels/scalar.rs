//! The specification: every product and sum of the engine in its plainest form.
//!
//! Written to be read and compared against, not to be fast; `docs/numerics.md` says the same in
//! formulas. A backend that differs from these functions by one bit is wrong.

use super::low_rank::{Factors, PANEL_ROWS};
use super::{Activations, BLOCK_LEN, PARTIAL_SUMS};
use crate::tensor::half::{bf16_to_f32, f16_to_f32, raised_to_f32};
use crate::tensor::tile;
use crate::tensor::unpacked::{SUPER_BLOCKS, Unpacked};
use crate::tensor::{Dtype, TensorRef};

/// Rows that one tile interleaves.
pub const TILE_ROWS: usize = 4;
/// Bytes of one q8_0 tile-block: 4 scales of f16, then 32 columns of 4 rows.
pub const Q8_0_TILE_BLOCK_BYTES: usize = 136;
/// Bytes of one q4_0 tile-block: 4 scales of f16, then 16 byte columns of 4 rows.
pub const Q4_0_TILE_BLOCK_BYTES: usize = 72;
/// Added to a float of magnitude below 2^22, leaves its nearest integer (ties to even) in the low
/// mantissa bits: 1.5 * 2^23.
pub const ROUNDING_MAGIC: f32 = 12_582_912.0;
/// Below this largest magnitude a block of activations counts as zero: 2^-100. It keeps
/// `127 / amax` finite, and is far below anything that could reach a logit.
pub const ACTIVATION_FLOOR: f32 = f32::from_bits(0x0d80_0000);

/// Quantizes values that share a scale: scale = amax / 127, code = ties-to-even of
/// `x * (127 / amax)`. `codes, x: [n]`: 32 activations, or a key or value of the q8 cache.
///
/// Returns the scale. Values of which one is not finite get the scale `NaN` and codes 0, so that
/// the fault reaches the logits; those whose largest magnitude is below 2^-100 are zero.
pub fn quantize(codes: &mut [i8], x: &[f32]) -> f32 {
    // Magnitudes compare as their bits do, and NaN compares above infinity.
    let amax_bits = x
        .iter()
        .fold(0, |max, v| (v.to_bits() & 0x7fff_ffff).max(max));
    let amax = f32::from_bits(amax_bits);
    if amax_bits >= 0x7f80_0000 || amax < ACTIVATION_FLOOR {
        codes.fill(0);
        return if amax_bits >= 0x7f80_0000 {
            f32::NAN
        } else {
            0.0
        };
    }
    let inverse = 127.0 / amax;
    for (code, v) in codes.iter_mut().zip(x) {
        *code = ((v * inverse + ROUNDING_MAGIC) - ROUNDING_MAGIC) as i8;
    }
    amax / 127.0
}

/// [`quantize`] of one block of activations.
pub fn quantize_block(codes: &mut [i8; BLOCK_LEN], x: &[f32; BLOCK_LEN]) -> f32 {
    quantize(codes, x)
}

/// Sums 16 partial sums: halves are added until one is left.
pub fn sum_tree(mut s: [f32; PARTIAL_SUMS]) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            s[i] += s[i + half];
        }
    }
    s[0]
}

/// `sum_i product(a[i], b[i])`, with 16 partial sums and the tree: product `i` is added to sum
/// `i mod 16`.
fn dot_with<A, B>(a: &[A], b: &[B], product: impl Fn(&A, &B) -> f32) -> f32 {
    let mut s = [0.0; PARTIAL_SUMS];
    for (a, b) in a.chunks(PARTIAL_SUMS).zip(b.chunks(PARTIAL_SUMS)) {
        for (s, (a, b)) in s.iter_mut().zip(a.iter().zip(b)) {
            *s += product(a, b);
        }
    }
    sum_tree(s)
}

/// Dot product of f32 rows.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    dot_with(a, b, |a, b| a * b)
}

/// Dot product with a row of f16 bits.
pub fn dot_f16(a: &[f32], b: &[u16]) -> f32 {
    dot_with(a, b, |a, b| a * f16_to_f32(*b))
}

/// Dot product with a row of raised f16 (`half::raise`).
pub fn dot_raised(a: &[f32], b: &[u16], unit: f32) -> f32 {
    dot_with(a, b, |a, b| a * raised_to_f32(*b, unit))
}

/// Dot product with a row of 8-bit codes.
pub fn dot_i8(a: &[f32], b: &[i8]) -> f32 {
    dot_with(a, b, |a, b| a * f32::from(*b))
}

/// `out[i] = dot(a, rows[i])` for a `dot` of stored rows: `out: [n]`, `a: [d]`, `rows: [n, d]`.
pub fn dot_rows<T>(out: &mut [f32], a: &[f32], rows: &[T], dot: fn(&[f32], &[T]) -> f32) {
    for (out, row) in out.iter_mut().zip(rows.chunks_exact(a.len())) {
        *out = dot(a, row);
    }
}

/// One panel of `lora_b: [16, rank]` times `t: [rank]`, added to sixteen sums in the order of `t`.
pub fn add_panel(acc: &mut [f32; PANEL_ROWS], b: Factors<'_>, t: &[f32]) {
    for (r, acc) in acc.iter_mut().enumerate() {
        for (j, t) in t.iter().enumerate() {
            *acc += b.get(j * PANEL_ROWS + r) * t;
        }
    }
}

/// Dot product of a stored f32 row, little-endian.
pub fn dot_f32_bytes(row: &[u8], x: &[f32]) -> f32 {
    let (elements, _) = row.as_chunks::<4>();
    dot_with(elements, x, |w, x| f32::from_le_bytes(*w) * x)
}

/// Dot product of a stored f16 row, little-endian.
pub fn dot_f16_bytes(row: &[u8], x: &[f32]) -> f32 {
    let (elements, _) = row.as_chunks::<2>();
    dot_with(elements, x, |w, x| f16_to_f32(u16::from_le_bytes(*w)) * x)
}

/// Dot product of a stored bf16 row, little-endian.
pub fn dot_bf16_bytes(row: &[u8], x: &[f32]) -> f32 {
    let (elements, _) = row.as_chunks::<2>();
    dot_with(elements, x, |w, x| bf16_to_f32(u16::from_le_bytes(*w)) * x)
}

/// `[d_out, d_in]` of tiles times rows of activations: each element begins at +0.0, to which the
/// terms of the super-blocks of its row are added in order.
pub fn matmul_tiles(out: &mut [f32], w: TensorRef<'_>, x: &Activations) {
    let n_blocks = w.d_in / BLOCK_LEN;
    let tile_bytes = w.bytes.len() / w.d_out.div_ceil(TILE_ROWS).max(1);
    out.fill(0.0);
    for row_idx in 0..w.d_out {
        let tile = &w.bytes[row_idx / TILE_ROWS * tile_bytes..][..tile_bytes];
        let mut first = 0;
        for (start, n) in tile::super_blocks(w.format, n_blocks) {
            let bytes = &tile[start..start + w.format.parts.bytes(n)];
            let row = tile::get(bytes, w.format, row_idx % TILE_ROWS, n);
            let codes = numbers(w.format.dtype, &row);
            for t in 0..x.n_rows() {
                out[t * w.d_out + row_idx] += term(w.format.dtype, &row, &codes, x, (t, first));
            }
            first += n;
        }
    }
}

/// The codes of a super-block as the numbers that they stand for.
fn numbers(dtype: Dtype, row: &Unpacked) -> [[i8; BLOCK_LEN]; SUPER_BLOCKS] {
    let middle = match dtype {
        Dtype::Q4_0 => 8,
        Dtype::Q5_0 => 16,
        Dtype::Q6K => 32,
        _ => 0,
    };
    let mut numbers = [[0; BLOCK_LEN]; SUPER_BLOCKS];
    for (numbers, codes) in numbers.iter_mut().zip(&row.codes[..row.n_blocks]) {
        for (number, code) in numbers.iter_mut().zip(codes) {
            *number = *code as i8 - middle;
        }
    }
    numbers
}

/// What a super-block of a row of weights adds: it, with its codes as [`numbers`], times the
/// blocks of activation row `t` from `first` on.
fn term(
    dtype: Dtype,
    row: &Unpacked,
    codes: &[[i8; BLOCK_LEN]; SUPER_BLOCKS],
    x: &Activations,
    (t, first): (usize, usize),
) -> f32 {
    let scale = f16_to_f32(row.scale);
    let (mut scaled, mut least) = (0.0f32, 0.0f32);
    for (j, codes) in codes[..row.n_blocks].iter().enumerate() {
        let (x_codes, x_scale) = (&x.codes(t)[first + j], x.scales(t)[first + j]);
        let (low, high) = half_sums(codes, x_codes);
        match dtype {
            Dtype::Q4K => {
                let isum = i32::from(row.sub_scales[j]) * (low + high);
                scaled += isum as f32 * x_scale;
                least += f32::from(row.sub_mins[j]) * x.offsets(t)[first + j];
            }
            Dtype::Q6K => {
                let sub_scale = |half: usize| i32::from(row.sub_scales[2 * j + half] as i8);
                let isum = sub_scale(0) * low + sub_scale(1) * high;
                scaled += isum as f32 * x_scale;
            }
            _ => return (low + high) as f32 * (scale * x_scale),
        }
    }
    if dtype == Dtype::Q4K {
        scale * scaled - f16_to_f32(row.min) * least
    } else {
        scale * scaled
    }
}

/// The exact sums of the products of two blocks' codes: of columns 0 to 15, and of 16 to 31.
fn half_sums(a: &[i8; BLOCK_LEN], b: &[i8; BLOCK_LEN]) -> (i32, i32) {
    let product = |c: usize| i32::from(a[c]) * i32::from(b[c]);
    ((0..16).map(product).sum(), (16..32).map(product).sum())
}
