//! Kernels for targets without wasm SIMD, written in loops that the compiler vectorizes itself.
//!
//! The same orders of summation as `scalar.rs`. Codes are taken apart so that their products with
//! activations add up in 16 bits, one lane for each row of a tile and parity of columns: loops over
//! eight such lanes become vectors on every CPU, also where a compiler may assume little (x86-64's
//! baseline). f32 dots keep their 16 partial sums as an array. On wasm without simd128 this is what
//! the measurements call scalar.

// One index runs through several arrays at once.
#![allow(clippy::needless_range_loop)]

use super::scalar::{self, TILE_ROWS};
use super::{Activations, BLOCK_LEN, PARTIAL_SUMS};
use crate::tensor::half::{bf16_to_f32, f16_to_f32, raised_to_f32};
use crate::tensor::tile::super_blocks;
use crate::tensor::{Dtype, TensorRef};

pub use super::scalar::quantize_block;

/// This backend's name.
pub const NAME: &str = "portable";
/// Rows that are packed together.
pub const GROUP_ROWS: usize = 1;

/// One 16-bit lane for each row of a tile and parity of columns: lane `2 r + p`.
type Lanes = [i16; 8];

/// 32 activations, each for the lanes that meet it.
#[derive(Clone, Copy)]
pub struct PackedBlock {
    /// `[2 h + odd][g]`: of group `g` of half `h`, columns 0 and 2, or 1 and 3, four times over.
    planes: [[Lanes; 4]; 4],
    scale: f32,
    offset: f32,
    /// Sums of the codes of either half.
    half_sums: [i32; 2],
}

impl PackedBlock {
    /// All zero.
    pub const EMPTY: Self = Self {
        planes: [[[0; 8]; 4]; 4],
        scale: 0.0,
        offset: 0.0,
        half_sums: [0; 2],
    };

    /// Packs a block with its scale, sum of codes and the product of those.
    pub fn pack(codes: &[i8; BLOCK_LEN], (scale, sum, offset): (f32, i32, f32)) -> Self {
        let low: i32 = codes[..16].iter().map(|&code| i32::from(code)).sum();
        let plane = |p: usize| {
            core::array::from_fn(|g| {
                core::array::from_fn(|l| i16::from(codes[16 * (p / 2) + 4 * g + p % 2 + l % 2 * 2]))
            })
        };
        Self {
            planes: core::array::from_fn(plane),
            scale,
            offset,
            half_sums: [low, sum - low],
        }
    }
}

/// See [`scalar::matmul_tiles`].
pub fn matmul_tiles(out: &mut [f32], w: TensorRef<'_>, x: &Activations) {
    match w.format.dtype {
        Dtype::Q4_0 => walk(
            out,
            w,
            x,
            flat::<64>(|codes, x| less(q4_sums(codes, x), 8, x)),
        ),
        Dtype::Q5_0 => walk(
            out,
            w,
            x,
            flat::<80>(|codes, x| less(q5_sums(codes, x), 16, x)),
        ),
        Dtype::Q4K => walk(out, w, x, super_q4_k),
        Dtype::Q6K => walk(out, w, x, super_q6_k),
        _ => walk(out, w, x, flat::<128>(q8_sums)),
    }
}

/// Super-blocks in order for each tile and row; `term` is what one adds to the four rows.
#[inline(always)]
fn walk(
    out: &mut [f32],
    w: TensorRef<'_>,
    x: &Activations,
    term: impl Fn(&[u8], &[PackedBlock]) -> [f32; TILE_ROWS],
) {
    let n_blocks = w.d_in / BLOCK_LEN;
    let tile_bytes = w.bytes.len() / w.d_out.div_ceil(TILE_ROWS).max(1);
    for (tile_idx, tile) in w.bytes.chunks_exact(tile_bytes).enumerate() {
        let first = tile_idx * TILE_ROWS;
        let n_rows = TILE_ROWS.min(w.d_out - first);
        for t in 0..x.n_rows() {
            let mut x = x.packed_row(t);
            let mut acc = [0.0f32; TILE_ROWS];
            for (start, n) in super_blocks(w.format, n_blocks) {
                let (blocks, rest) = x.split_at(n);
                x = rest;
                let term = term(&tile[start..start + w.format.parts.bytes(n)], blocks);
                for r in 0..TILE_ROWS {
                    acc[r] += term[r];
                }
            }
            out[t * w.d_out + first..][..n_rows].copy_from_slice(&acc[..n_rows]);
        }
    }
}

/// Four f16, known finite, as f32, without a branch: of the two ways to widen a magnitude, the
/// right one gives the smaller number.
#[inline(always)]
fn widen_scales(bytes: &[u8]) -> [f32; TILE_ROWS] {
    let (halves, _) = bytes.as_chunks::<2>();
    core::array::from_fn(|r| {
        let half = u32::from(u16::from_le_bytes(halves[r]));
        let magnitude = (half & 0x7fff) << 13;
        let normal = magnitude + (112 << 23);
        let tiny = f32::from_bits(magnitude + (113 << 23)) - f32::from_bits(113 << 23);
        f32::from_bits(normal.min(tiny.to_bits()) | (half & 0x8000) << 16)
    })
}

/// A format whose blocks each have a scale and `CODES` bytes of codes.
#[inline(always)]
fn flat<const CODES: usize>(
    sums: impl Fn(&[u8; CODES], &PackedBlock) -> [i32; TILE_ROWS],
) -> impl Fn(&[u8], &[PackedBlock]) -> [f32; TILE_ROWS] {
    move |bytes, x| {
        let scales = widen_scales(&bytes[..8]);
        let isums = sums(&bytes[8..].as_chunks().0[0], &x[0]);
        core::array::from_fn(|r| isums[r] as f32 * (scales[r] * x[0].scale))
    }
}

/// Sums of codes that stand for `zero` less.
#[inline(always)]
fn less(isums: [i32; TILE_ROWS], zero: i32, x: &PackedBlock) -> [i32; TILE_ROWS] {
    let off = zero * (x.half_sums[0] + x.half_sums[1]);
    isums.map(|isum| isum - off)
}

/// The 16-bit lanes of a group of 16 bytes.
#[inline(always)]
fn lanes<const GROUPS: usize>(bytes: &[u8]) -> [[u16; 8]; GROUPS] {
    let (groups, _) = bytes.as_chunks::<16>();
    core::array::from_fn(|g| {
        let (pairs, _) = groups[g].as_chunks::<2>();
        core::array::from_fn(|l| u16::from_le_bytes(pairs[l]))
    })
}

/// Of each row both parities, the second part being worth 16 times the first.
#[inline(always)]
fn join(low: &Lanes, high: &Lanes) -> [i32; TILE_ROWS] {
    let pair = |lanes: &Lanes, r: usize| i32::from(lanes[2 * r]) + i32::from(lanes[2 * r + 1]);
    core::array::from_fn(|r| pair(low, r) + 16 * pair(high, r))
}

/// A product that fits 16 bits.
#[inline(always)]
fn product(code: u16, x: i16) -> i16 {
    code.cast_signed().wrapping_mul(x)
}

/// 8-bit codes as 16 times their upper half, signed, and their lower one.
#[inline(always)]
fn q8_sums(codes: &[u8; 128], x: &PackedBlock) -> [i32; TILE_ROWS] {
    let w: [[u16; 8]; 8] = lanes(codes);
    let (mut low, mut high) = ([0i16; 8], [0i16; 8]);
    for l in 0..8 {
        let (mut a, mut b) = (0i16, 0i16);
        for g in 0..8 {
            let even = (w[g][l] << 8).cast_signed() >> 8;
            let odd = w[g][l].cast_signed() >> 8;
            let plane = g / 4 * 2;
            let (x_even, x_odd) = (x.planes[plane][g % 4][l], x.planes[plane + 1][g % 4][l]);
            a = a.wrapping_add((even & 15).wrapping_mul(x_even));
            a = a.wrapping_add((odd & 15).wrapping_mul(x_odd));
            b = b.wrapping_add((even >> 4).wrapping_mul(x_even));
            b = b.wrapping_add((odd >> 4).wrapping_mul(x_odd));
        }
        (low[l], high[l]) = (a, b);
    }
    join(&low, &high)
}

/// Unsigned 4-bit codes: sixteen products of a lane are within 16 · 15 · 127 < 2^15.
#[inline(always)]
fn q4_sums(codes: &[u8; 64], x: &PackedBlock) -> [i32; TILE_ROWS] {
    let w: [[u16; 8]; 4] = lanes(codes);
    let mut low = [0i16; 8];
    for l in 0..8 {
        let mut a = 0i16;
        for g in 0..4 {
            let v = w[g][l];
            a = a.wrapping_add(product(v & 15, x.planes[0][g][l]));
            a = a.wrapping_add(product(v >> 8 & 15, x.planes[1][g][l]));
            a = a.wrapping_add(product(v >> 4 & 15, x.planes[2][g][l]));
            a = a.wrapping_add(product(v >> 12, x.planes[3][g][l]));
        }
        low[l] = a;
    }
    join(&low, &[0; 8])
}

/// Unsigned 5-bit codes: nibbles, and 16 times the fifth bits.
#[inline(always)]
fn q5_sums(codes: &[u8; 80], x: &PackedBlock) -> [i32; TILE_ROWS] {
    let [fifth]: [[u16; 8]; 1] = lanes(&codes[64..]);
    let mut high = [0i16; 8];
    for l in 0..8 {
        let mut b = 0i16;
        for g in 0..4 {
            let v = fifth[l] >> g;
            b = b.wrapping_add(product(v & 1, x.planes[0][g][l]));
            b = b.wrapping_add(product(v >> 8 & 1, x.planes[1][g][l]));
            b = b.wrapping_add(product(v >> 4 & 1, x.planes[2][g][l]));
            b = b.wrapping_add(product(v >> 12 & 1, x.planes[3][g][l]));
        }
        high[l] = b;
    }
    let low = q4_sums(&codes.as_chunks().0[0], x);
    let high = join(&[0; 8], &high);
    core::array::from_fn(|r| low[r] + high[r])
}

/// Unsigned 6-bit codes of half a block: nibbles, and 16 times the upper two bits.
#[inline(always)]
fn q6_half_sums(codes: &[u8; 96], x: &PackedBlock, half: usize) -> [i32; TILE_ROWS] {
    let w: [[u16; 8]; 4] = lanes(codes);
    let [upper]: [[u16; 8]; 1] = lanes(&codes[64 + 16 * half..]);
    let (x_even, x_odd) = (&x.planes[2 * half], &x.planes[2 * half + 1]);
    let (mut low, mut high) = ([0i16; 8], [0i16; 8]);
    for l in 0..8 {
        let (mut a, mut b) = (0i16, 0i16);
        for g in 0..4 {
            let (v, u) = (w[g][l] >> (4 * half), upper[l] >> (2 * g));
            a = a.wrapping_add(product(v & 15, x_even[g][l]));
            a = a.wrapping_add(product(v >> 8 & 15, x_odd[g][l]));
            b = b.wrapping_add(product(u & 3, x_even[g][l]));
            b = b.wrapping_add(product(u >> 8 & 3, x_odd[g][l]));
        }
        (low[l], high[l]) = (a, b);
    }
    let off = 32 * x.half_sums[half];
    join(&low, &high).map(|isum| isum - off)
}

fn super_q4_k(bytes: &[u8], x: &[PackedBlock]) -> [f32; TILE_ROWS] {
    let n = x.len();
    let (head, rest) = bytes.split_at(16);
    let (subs, codes) = rest.split_at(6 * n);
    let (mut scaled, mut least) = ([0.0f32; TILE_ROWS], [0.0f32; TILE_ROWS]);
    for (j, (x, codes)) in x.iter().zip(codes.as_chunks::<64>().0).enumerate() {
        let isums = q4_sums(codes, x);
        for r in 0..TILE_ROWS {
            let sub = subs[4 * j + r];
            let upper = subs[4 * n + 2 * j + r / 2] >> (4 * (r % 2)) & 15;
            scaled[r] += (i32::from(sub & 63) * isums[r]) as f32 * x.scale;
            least[r] += f32::from(sub >> 6 | upper << 2) * x.offset;
        }
    }
    let (scales, mins) = (widen_scales(head), widen_scales(&head[8..]));
    core::array::from_fn(|r| scales[r] * scaled[r] - mins[r] * least[r])
}

fn super_q6_k(bytes: &[u8], x: &[PackedBlock]) -> [f32; TILE_ROWS] {
    let (head, rest) = bytes.split_at(8);
    let (subs, codes) = rest.split_at(8 * x.len());
    let mut scaled = [0.0f32; TILE_ROWS];
    for (j, (x, codes)) in x.iter().zip(codes.as_chunks::<96>().0).enumerate() {
        let halves = [0, 1].map(|half| q6_half_sums(codes, x, half));
        for r in 0..TILE_ROWS {
            let sub = |half: usize| i32::from(subs[8 * j + 4 * half + r].cast_signed());
            let isum = sub(0) * halves[0][r] + sub(1) * halves[1][r];
            scaled[r] += isum as f32 * x.scale;
        }
    }
    let scales = widen_scales(head);
    core::array::from_fn(|r| scales[r] * scaled[r])
}

/// 16 partial sums over whole groups of 16, then the tail, then the tree.
#[inline(always)]
fn dot_with<A, B>(
    (a, a_tail): (&[[A; PARTIAL_SUMS]], &[A]),
    (b, b_tail): (&[[B; PARTIAL_SUMS]], &[B]),
    product: impl Fn(&A, &B) -> f32,
) -> f32 {
    let mut s = [0.0; PARTIAL_SUMS];
    for (a, b) in a.iter().zip(b) {
        for i in 0..PARTIAL_SUMS {
            s[i] += product(&a[i], &b[i]);
        }
    }
    for (s, (a, b)) in s.iter_mut().zip(a_tail.iter().zip(b_tail)) {
        *s += product(a, b);
    }
    scalar::sum_tree(s)
}

/// See [`scalar::dot`].
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    dot_with(a.as_chunks(), b.as_chunks(), |a, b| a * b)
}

/// See [`scalar::dot_f16`].
pub fn dot_f16(a: &[f32], b: &[u16]) -> f32 {
    dot_with(a.as_chunks(), b.as_chunks(), |a, b| a * f16_to_f32(*b))
}

/// See [`scalar::dot_raised`].
pub fn dot_raised(a: &[f32], b: &[u16], unit: f32) -> f32 {
    dot_with(a.as_chunks(), b.as_chunks(), |a, b| {
        a * raised_to_f32(*b, unit)
    })
}

/// See [`scalar::dot_i8`].
pub fn dot_i8(a: &[f32], b: &[i8]) -> f32 {
    dot_with(a.as_chunks(), b.as_chunks(), |a, b| a * f32::from(*b))
}

/// [`dot`] with each row of `rows: [out.len(), a.len()]`.
pub fn dot_rows(out: &mut [f32], a: &[f32], rows: &[f32]) {
    scalar::dot_rows(out, a, rows, dot);
}

/// [`dot_f16`] with each row of `rows: [out.len(), a.len()]`.
pub fn dot_rows_f16(out: &mut [f32], a: &[f32], rows: &[u16]) {
    scalar::dot_rows(out, a, rows, dot_f16);
}

/// [`dot_i8`] with each row of `rows: [out.len(), a.len()]`.
pub fn dot_rows_i8(out: &mut [f32], a: &[f32], rows: &[i8]) {
    scalar::dot_rows(out, a, rows, dot_i8);
}

/// See [`scalar::dot_f32_bytes`].
pub fn dot_f32_bytes(row: &[u8], x: &[f32]) -> f32 {
    let (elements, _) = row.as_chunks::<4>();
    dot_with(elements.as_chunks(), x.as_chunks(), |w, x| {
        f32::from_le_bytes(*w) * x
    })
}

/// See [`scalar::dot_f16_bytes`].
pub fn dot_f16_bytes(row: &[u8], x: &[f32]) -> f32 {
    let (elements, _) = row.as_chunks::<2>();
    dot_with(elements.as_chunks(), x.as_chunks(), |w, x| {
        f16_to_f32(u16::from_le_bytes(*w)) * x
    })
}

/// See [`scalar::dot_bf16_bytes`].
pub fn dot_bf16_bytes(row: &[u8], x: &[f32]) -> f32 {
    let (elements, _) = row.as_chunks::<2>();
    dot_with(elements.as_chunks(), x.as_chunks(), |w, x| {
        bf16_to_f32(u16::from_le_bytes(*w)) * x
    })
}
