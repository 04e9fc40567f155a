//! What both SIMD backends share: f32 dot products with 16 partial sums in four vectors, and the
//! quantization of activations. Equal to `scalar.rs` bit for bit.

use super::lanes::{load_bytes, load_codes, load_f32, load_u16, store_bytes, store_f32};
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

/// 16 elements as they are stored, as f32 in four vectors.
#[inline(always)]
fn wide_f32(v: &[f32; 16]) -> [v128; 4] {
    let [a, b, c, d] = v.as_chunks::<4>().0 else {
        return [f32x4_splat(0.0); 4];
    };
    [load_f32(a), load_f32(b), load_f32(c), load_f32(d)]
}

/// The same of f16 bits.
#[inline(always)]
fn wide_f16(v: &[u16; 16]) -> [v128; 4] {
    let [low, high] = v.as_chunks::<8>().0 else {
        return [f32x4_splat(0.0); 4];
    };
    let (low, high) = (load_u16(low), load_u16(high));
    [low, high_half(low), high, high_half(high)].map(widen_f16)
}

/// The same of raised f16.
#[inline(always)]
fn wide_raised(v: &[u16; 16], unit: v128) -> [v128; 4] {
    let [low, high] = v.as_chunks::<8>().0 else {
        return [f32x4_splat(0.0); 4];
    };
    let (low, high) = (load_u16(low), load_u16(high));
    [
        i32x4_extend_low_i16x8(low),
        i32x4_extend_high_i16x8(low),
        i32x4_extend_low_i16x8(high),
        i32x4_extend_high_i16x8(high),
    ]
    .map(|wide| {
        let bits = v128_and(i32x4_shl(wide, 13), u32x4_splat(0x8fff_e000));
        f32x4_mul(bits, unit)
    })
}

/// The same of signed 8-bit codes.
#[inline(always)]
fn wide_i8(v: &[i8; 16]) -> [v128; 4] {
    let bytes = load_codes(v);
    let (low, high) = (
        i16x8_extend_low_i8x16(bytes),
        i16x8_extend_high_i8x16(bytes),
    );
    [
        i32x4_extend_low_i16x8(low),
        i32x4_extend_high_i16x8(low),
        i32x4_extend_low_i16x8(high),
        i32x4_extend_high_i16x8(high),
    ]
    .map(|v| f32x4_convert_i32x4(v))
}

/// The 16 partial sums over whole groups of 16.
#[inline(always)]
fn partial_sums<B>(a: &[[f32; 16]], b: &[B], wide: impl Fn(&B) -> [v128; 4]) -> [v128; 4] {
    let mut s = [f32x4_splat(0.0); 4];
    for (a, b) in a.iter().zip(b) {
        let (x, w) = (wide_f32(a), wide(b));
        for q in 0..4 {
            s[q] = f32x4_add(s[q], f32x4_mul(x[q], w[q]));
        }
    }
    s
}

/// 16 partial sums over whole groups of 16, then the tail by element, then the tree.
/// `product(i)` gives that of element `i`.
#[inline(always)]
fn dot_with<B>(
    a: &[f32],
    b: &[B],
    wide: impl Fn(&B) -> [v128; 4],
    product: impl Fn(usize) -> f32,
) -> f32 {
    let (groups, rest) = a.as_chunks();
    let s = partial_sums(groups, b, wide);
    if rest.is_empty() {
        return sum_tree(s);
    }
    let mut sums = [0.0; PARTIAL_SUMS];
    let (quads, _) = sums.as_chunks_mut::<4>();
    for (four, vector) in quads.iter_mut().zip(s) {
        *four = store_f32(vector);
    }
    let tail = a.len() - rest.len();
    for i in tail..a.len() {
        sums[i - tail] += product(i);
    }
    scalar::sum_tree(sums)
}

/// A dot with each row of `rows: [out.len(), a.len()]`. Of rows that are whole groups of 16 four
/// are taken at once, so that their sums are added across together; others go through `dot`.
#[inline(always)]
fn rows_with<T>(
    out: &mut [f32],
    a: &[f32],
    rows: &[T],
    wide: impl Fn(&[T; 16]) -> [v128; 4],
    dot: impl Fn(&[T]) -> f32,
) {
    let (width, (groups, rest)) = (a.len(), a.as_chunks());
    let n_fours = match rest.is_empty() {
        true => out.len() / 4 * 4,
        false => 0,
    };
    let (fours, rest) = out.split_at_mut(n_fours);
    let (row_fours, row_rest) = rows.split_at(n_fours * width);
    let fours = fours.as_chunks_mut::<4>().0.iter_mut();
    for (four, rows) in fours.zip(
        row_fours
            .as_chunks()
            .0
            .chunks_exact(4 * Ord::max(groups.len(), 1)),
    ) {
        let mut rows = rows.chunks_exact(groups.len());
        let quarters = core::array::from_fn(|_| {
            quarter(partial_sums(groups, rows.next().unwrap_or(&[]), &wide))
        });
        *four = store_f32(sum_four(quarters));
    }
    for (out, row) in rest.iter_mut().zip(row_rest.chunks_exact(width)) {
        *out = dot(row);
    }
}

/// See [`scalar::dot`].
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    dot_with(a, b.as_chunks().0, wide_f32, |i| a[i] * b[i])
}

/// [`dot`] with each row of `rows: [out.len(), a.len()]`.
pub fn dot_rows(out: &mut [f32], a: &[f32], rows: &[f32]) {
    rows_with(out, a, rows, wide_f32, |row| dot(a, row));
}

/// [`dot_f16`] with each row of `rows: [out.len(), a.len()]`.
pub fn dot_rows_f16(out: &mut [f32], a: &[f32], rows: &[u16]) {
    rows_with(out, a, rows, wide_f16, |row| dot_f16(a, row));
}

/// [`dot_i8`] with each row of `rows: [out.len(), a.len()]`.
pub fn dot_rows_i8(out: &mut [f32], a: &[f32], rows: &[i8]) {
    rows_with(out, a, rows, wide_i8, |row| dot_i8(a, row));
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
    let product = |i: usize| a[i] * f16_to_f32(b[i]);
    dot_with(a, b.as_chunks().0, wide_f16, product)
}

/// See [`scalar::dot_raised`].
pub fn dot_raised(a: &[f32], b: &[u16], unit: f32) -> f32 {
    let unit = f32x4_splat(unit);
    let wide = |b: &_| wide_raised(b, unit);
    sum_tree(partial_sums(a.as_chunks().0, b.as_chunks().0, wide))
}

/// See [`scalar::dot_i8`].
pub fn dot_i8(a: &[f32], b: &[i8]) -> f32 {
    let product = |i: usize| a[i] * f32::from(b[i]);
    dot_with(a, b.as_chunks().0, wide_i8, product)
}

/// See [`scalar::dot_f32_bytes`].
pub fn dot_f32_bytes(row: &[u8], x: &[f32]) -> f32 {
    let (elements, _) = row.as_chunks::<4>();
    let wide = |b: &[u8; 64]| {
        let (vectors, _) = b.as_chunks::<16>();
        let [a, b, c, d] = vectors else {
            return [f32x4_splat(0.0); 4];
        };
        [load_bytes(a), load_bytes(b), load_bytes(c), load_bytes(d)]
    };
    let product = |i: usize| f32::from_le_bytes(elements[i]) * x[i];
    dot_with(x, row.as_chunks().0, wide, product)
}

/// Two vectors of eight, by halves.
#[inline(always)]
fn halves(b: &[u8; 32]) -> [v128; 4] {
    let [low, high] = b.as_chunks::<16>().0 else {
        return [i32x4_splat(0); 4];
    };
    let (low, high) = (load_bytes(low), load_bytes(high));
    [low, high_half(low), high, high_half(high)]
}

/// See [`scalar::dot_f16_bytes`].
pub fn dot_f16_bytes(row: &[u8], x: &[f32]) -> f32 {
    let (elements, _) = row.as_chunks::<2>();
    let product = |i: usize| f16_to_f32(u16::from_le_bytes(elements[i])) * x[i];
    dot_with(x, row.as_chunks().0, |b| halves(b).map(widen_f16), product)
}

/// See [`scalar::dot_bf16_bytes`].
pub fn dot_bf16_bytes(row: &[u8], x: &[f32]) -> f32 {
    let (elements, _) = row.as_chunks::<2>();
    let product = |i: usize| bf16_to_f32(u16::from_le_bytes(elements[i])) * x[i];
    let wide = |b: &[u8; 32]| halves(b).map(|v| u32x4_shl(u32x4_extend_low_u16x8(v), 16));
    dot_with(x, row.as_chunks().0, wide, product)
}
