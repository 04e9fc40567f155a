//! What both SIMD backends share: f32 dot products with 16 partial sums in four vectors, and the
//! quantization of activations. Equal to `scalar.rs` bit for bit.

use super::lanes::{load_bytes, load_f32, load_u16, store_bytes, store_f32};
use super::scalar::{self, ACTIVATION_FLOOR};
use super::{BLOCK_LEN, PARTIAL_SUMS};
use crate::tensor::half::{bf16_to_f32, f16_to_f32};
use core::arch::wasm32::*;

/// See [`scalar::quantize_block`].
pub fn quantize_block(codes: &mut [i8; BLOCK_LEN], x: &[f32; BLOCK_LEN]) -> f32 {
    let (quads, _) = x.as_chunks::<4>();
    let mask = u32x4_splat(0x7fff_ffff);
    let mut max = u32x4_splat(0);
    for quad in quads {
        max = i32x4_max(max, v128_and(load_f32(quad), mask));
    }
    max = i32x4_max(max, i32x4_shuffle::<2, 3, 0, 1>(max, max));
    max = i32x4_max(max, i32x4_shuffle::<1, 0, 3, 2>(max, max));
    let amax = f32x4_extract_lane::<0>(max);
    // Written so that NaN takes the specification's slow path.
    if !(ACTIVATION_FLOOR..f32::INFINITY).contains(&amax) {
        return scalar::quantize_block(codes, x);
    }
    let inverse = f32x4_splat(127.0 / amax);
    let magic = f32x4_splat(scalar::ROUNDING_MAGIC);
    // The rounded integer stands in the low mantissa bits; codes fit i8, so narrowing is exact.
    let round =
        |quad: &[f32; 4]| i32x4_sub(f32x4_add(f32x4_mul(load_f32(quad), inverse), magic), magic);
    let (outputs, _) = codes.as_chunks_mut::<16>();
    for (output, quads) in outputs.iter_mut().zip(quads.chunks_exact(4)) {
        let low = i16x8_narrow_i32x4(round(&quads[0]), round(&quads[1]));
        let high = i16x8_narrow_i32x4(round(&quads[2]), round(&quads[3]));
        store_bytes(output, i8x16_narrow_i16x8(low, high));
    }
    amax / 127.0
}

/// The 16 partial sums held in four vectors, as four.
#[inline(always)]
fn quarter(s: [v128; 4]) -> v128 {
    f32x4_add(f32x4_add(s[0], s[2]), f32x4_add(s[1], s[3]))
}

/// Adds the 16 partial sums held in four vectors: halves until one is left.
#[inline(always)]
fn sum_tree(s: [v128; 4]) -> f32 {
    let four = quarter(s);
    let pair = f32x4_add(four, i32x4_shuffle::<2, 3, 2, 3>(four, four));
    f32x4_extract_lane::<0>(pair) + f32x4_extract_lane::<1>(pair)
}

/// The end of [`sum_tree`] for four dots at once, from the quarters of each.
#[inline(always)]
fn sum_four(q: [v128; 4]) -> v128 {
    let halves = |a, b| {
        let low = i32x4_shuffle::<0, 1, 4, 5>(a, b);
        f32x4_add(low, i32x4_shuffle::<2, 3, 6, 7>(a, b))
    };
    let (first, last) = (halves(q[0], q[1]), halves(q[2], q[3]));
    let even = i32x4_shuffle::<0, 2, 4, 6>(first, last);
    f32x4_add(even, i32x4_shuffle::<1, 3, 5, 7>(first, last))
}

/// The 16 partial sums over whole groups of 16; `quad(g, q)` gives the products of elements
/// `16g + 4q ..`.
#[inline(always)]
fn partial_sums(len: usize, quad: impl Fn(usize, usize) -> v128) -> [v128; 4] {
    let mut s = [f32x4_splat(0.0); 4];
    for g in 0..len / PARTIAL_SUMS {
        for (q, sum) in s.iter_mut().enumerate() {
            *sum = f32x4_add(*sum, quad(g, q));
        }
    }
    s
}

/// 16 partial sums over whole groups of 16, then the tail by element, then the tree.
/// `product(i)` gives that of element `i`.
#[inline(always)]
fn dot_with(
    len: usize,
    quad: impl Fn(usize, usize) -> v128,
    product: impl Fn(usize) -> f32,
) -> f32 {
    let s = partial_sums(len, quad);
    let tail = len / PARTIAL_SUMS * PARTIAL_SUMS;
    if tail < len {
        let mut sums = [0.0; PARTIAL_SUMS];
        let (quads, _) = sums.as_chunks_mut::<4>();
        for (four, vector) in quads.iter_mut().zip(s) {
            *four = store_f32(vector);
        }
        for i in tail..len {
            sums[i - tail] += product(i);
        }
        return scalar::sum_tree(sums);
    }
    sum_tree(s)
}

/// A dot with each row of `width` elements. Of rows that are whole groups of 16 four are taken at
/// once, so that their sums are added across together; others go through `dot`.
#[inline(always)]
fn rows_with<T>(
    out: &mut [f32],
    (width, rows): (usize, &[T]),
    quad: impl Fn(&[T], usize, usize) -> v128,
    dot: impl Fn(&[T]) -> f32,
) {
    let n_fours = match width.is_multiple_of(PARTIAL_SUMS) {
        true => out.len() / 4 * 4,
        false => 0,
    };
    let (fours, rest) = out.split_at_mut(n_fours);
    let (row_fours, row_rest) = rows.split_at(n_fours * width);
    let fours = fours.as_chunks_mut::<4>().0.iter_mut();
    for (four, rows) in fours.zip(row_fours.chunks_exact(4 * width)) {
        let quarters = core::array::from_fn(|i| {
            let row = &rows[i * width..][..width];
            quarter(partial_sums(width, |g, q| quad(row, g, q)))
        });
        *four = store_f32(sum_four(quarters));
    }
    for (out, row) in rest.iter_mut().zip(row_rest.chunks_exact(width)) {
        *out = dot(row);
    }
}

/// Products of four elements from `16g + 4q` on.
#[inline(always)]
fn quad_f32(a: &[f32], b: &[f32], g: usize, q: usize) -> v128 {
    let ((qa, _), (qb, _)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    f32x4_mul(load_f32(&qa[4 * g + q]), load_f32(&qb[4 * g + q]))
}

/// The same with f16 bits.
#[inline(always)]
fn quad_f16(a: &[f32], b: &[u16], g: usize, q: usize) -> v128 {
    let ((qa, _), (eights, _)) = (a.as_chunks::<4>(), b.as_chunks::<8>());
    let eight = load_u16(&eights[2 * g + q / 2]);
    let four = if q.is_multiple_of(2) {
        eight
    } else {
        high_half(eight)
    };
    f32x4_mul(load_f32(&qa[4 * g + q]), widen_f16(four))
}

/// The same with signed 8-bit codes.
#[inline(always)]
fn quad_i8(a: &[f32], b: &[i8], g: usize, q: usize) -> v128 {
    let ((qa, _), (qb, _)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let four = i32::from_le_bytes(qb[4 * g + q].map(i8::cast_unsigned));
    let wide = i32x4_extend_low_i16x8(i16x8_extend_low_i8x16(i32x4_splat(four)));
    f32x4_mul(load_f32(&qa[4 * g + q]), f32x4_convert_i32x4(wide))
}

/// See [`scalar::dot`].
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let b = &b[..a.len()];
    dot_with(a.len(), |g, q| quad_f32(a, b, g, q), |i| a[i] * b[i])
}

/// [`dot`] with each row of `rows: [out.len(), a.len()]`.
pub fn dot_rows(out: &mut [f32], a: &[f32], rows: &[f32]) {
    let rows = (a.len(), rows);
    rows_with(
        out,
        rows,
        |row, g, q| quad_f32(a, row, g, q),
        |row| dot(a, row),
    );
}

/// [`dot_f16`] with each row of `rows: [out.len(), a.len()]`.
pub fn dot_rows_f16(out: &mut [f32], a: &[f32], rows: &[u16]) {
    let rows = (a.len(), rows);
    rows_with(
        out,
        rows,
        |row, g, q| quad_f16(a, row, g, q),
        |row| dot_f16(a, row),
    );
}

/// [`dot_i8`] with each row of `rows: [out.len(), a.len()]`.
pub fn dot_rows_i8(out: &mut [f32], a: &[f32], rows: &[i8]) {
    let rows = (a.len(), rows);
    rows_with(
        out,
        rows,
        |row, g, q| quad_i8(a, row, g, q),
        |row| dot_i8(a, row),
    );
}

/// Four f16 in the low lanes as f32, infinities and NaN included.
#[inline(always)]
fn widen_f16(low: v128) -> v128 {
    let wide = i32x4_extend_low_i16x8(low);
    let magnitude = i32x4_shl(v128_and(wide, i32x4_splat(0x7fff)), 13);
    let is_special = i32x4_gt(magnitude, i32x4_splat((0x7c00 << 13) - 1));
    let rebias = v128_and(is_special, i32x4_splat(112 << 23));
    let normal = i32x4_add(magnitude, i32x4_splat(112 << 23));
    let tiny = f32x4_sub(
        i32x4_add(magnitude, i32x4_splat(113 << 23)),
        f32x4_splat(f32::from_bits(113 << 23)),
    );
    // Of the two ways, the right one gives the smaller number; infinities and NaN keep their
    // mantissas and take the largest exponent.
    let widened = i32x4_add(i32x4_min(normal, tiny), rebias);
    v128_or(widened, v128_and(wide, i32x4_splat(i32::MIN)))
}

/// The high four of eight 16-bit lanes, moved down.
#[inline(always)]
fn high_half(v: v128) -> v128 {
    i32x4_shuffle::<2, 3, 2, 3>(v, v)
}

/// See [`scalar::dot_f16`].
pub fn dot_f16(a: &[f32], b: &[u16]) -> f32 {
    let b = &b[..a.len()];
    let product = |i: usize| a[i] * f16_to_f32(b[i]);
    dot_with(a.len(), |g, q| quad_f16(a, b, g, q), product)
}

/// See [`scalar::dot_i8`].
pub fn dot_i8(a: &[f32], b: &[i8]) -> f32 {
    let b = &b[..a.len()];
    let product = |i: usize| a[i] * f32::from(b[i]);
    dot_with(a.len(), |g, q| quad_i8(a, b, g, q), product)
}

/// See [`scalar::dot_f32_bytes`].
pub fn dot_f32_bytes(row: &[u8], x: &[f32]) -> f32 {
    let ((elements, _), (vectors, _)) = (row.as_chunks::<4>(), row.as_chunks::<16>());
    let (quads, _) = x.as_chunks::<4>();
    dot_with(
        x.len(),
        |g, q| f32x4_mul(load_bytes(&vectors[4 * g + q]), load_f32(&quads[4 * g + q])),
        |i| f32::from_le_bytes(elements[i]) * x[i],
    )
}

/// See [`scalar::dot_f16_bytes`].
pub fn dot_f16_bytes(row: &[u8], x: &[f32]) -> f32 {
    let ((elements, _), (vectors, _)) = (row.as_chunks::<2>(), row.as_chunks::<16>());
    let (quads, _) = x.as_chunks::<4>();
    dot_with(
        x.len(),
        |g, q| {
            let eight = load_bytes(&vectors[2 * g + q / 2]);
            let four = if q % 2 == 0 { eight } else { high_half(eight) };
            f32x4_mul(widen_f16(four), load_f32(&quads[4 * g + q]))
        },
        |i| f16_to_f32(u16::from_le_bytes(elements[i])) * x[i],
    )
}

/// See [`scalar::dot_bf16_bytes`].
pub fn dot_bf16_bytes(row: &[u8], x: &[f32]) -> f32 {
    let ((elements, _), (vectors, _)) = (row.as_chunks::<2>(), row.as_chunks::<16>());
    let (quads, _) = x.as_chunks::<4>();
    dot_with(
        x.len(),
        |g, q| {
            let eight = load_bytes(&vectors[2 * g + q / 2]);
            let four = if q % 2 == 0 { eight } else { high_half(eight) };
            let wide = u32x4_shl(u32x4_extend_low_u16x8(four), 16);
            f32x4_mul(wide, load_f32(&quads[4 * g + q]))
        },
        |i| bf16_to_f32(u16::from_le_bytes(elements[i])) * x[i],
    )
}
