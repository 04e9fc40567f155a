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

/// Adds the 16 partial sums held in four vectors: halves until one is left.
#[inline(always)]
fn sum_tree(s: [v128; 4]) -> f32 {
    let quarter = f32x4_add(f32x4_add(s[0], s[2]), f32x4_add(s[1], s[3]));
    let pair = f32x4_add(quarter, i32x4_shuffle::<2, 3, 2, 3>(quarter, quarter));
    f32x4_extract_lane::<0>(pair) + f32x4_extract_lane::<1>(pair)
}

/// 16 partial sums over whole groups of 16, then the tail by element, then the tree.
/// `quad(g, q)` gives the products of elements `16g + 4q ..`, `product(i)` that of element `i`.
#[inline(always)]
fn dot_with(
    len: usize,
    quad: impl Fn(usize, usize) -> v128,
    product: impl Fn(usize) -> f32,
) -> f32 {
    let mut s = [f32x4_splat(0.0); 4];
    for g in 0..len / PARTIAL_SUMS {
        for (q, sum) in s.iter_mut().enumerate() {
            *sum = f32x4_add(*sum, quad(g, q));
        }
    }
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

/// See [`scalar::dot`].
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let b = &b[..a.len()];
    let ((qa, _), (qb, _)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    dot_with(
        a.len(),
        |g, q| f32x4_mul(load_f32(&qa[4 * g + q]), load_f32(&qb[4 * g + q])),
        |i| a[i] * b[i],
    )
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
    let ((qa, _), (eights, _)) = (a.as_chunks::<4>(), b.as_chunks::<8>());
    dot_with(
        a.len(),
        |g, q| {
            let eight = load_u16(&eights[2 * g + q / 2]);
            let four = if q % 2 == 0 { eight } else { high_half(eight) };
            f32x4_mul(load_f32(&qa[4 * g + q]), widen_f16(four))
        },
        |i| a[i] * f16_to_f32(b[i]),
    )
}

/// See [`scalar::dot_i8`].
pub fn dot_i8(a: &[f32], b: &[i8]) -> f32 {
    let b = &b[..a.len()];
    let ((qa, _), (qb, _)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    dot_with(
        a.len(),
        |g, q| {
            let four = i32::from_le_bytes(qb[4 * g + q].map(i8::cast_unsigned));
            let wide = i32x4_extend_low_i16x8(i16x8_extend_low_i8x16(i32x4_splat(four)));
            f32x4_mul(load_f32(&qa[4 * g + q]), f32x4_convert_i32x4(wide))
        },
        |i| a[i] * f32::from(b[i]),
    )
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
