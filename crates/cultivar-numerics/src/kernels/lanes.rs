//! Vector loads and stores for wasm's 128-bit lanes, in safe code.
//!
//! The compiler folds each constructor below into one `v128.load` (or a splatting or storing
//! form); the built module is checked for it. All loads and stores of the SIMD kernels are here.

use core::arch::wasm32::{
    f32x4, f32x4_extract_lane, i32x4_extract_lane, u16x8, u64x2, u64x2_extract_lane, v128,
};

/// 16 bytes as they are stored.
#[inline(always)]
pub fn load_bytes(b: &[u8; 16]) -> v128 {
    u64x2(
        u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]),
        u64::from_le_bytes([b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]]),
    )
}

/// 8 bytes in the low half; the high half is zero.
#[inline(always)]
pub fn load_half(b: &[u8; 8]) -> v128 {
    u64x2(u64::from_le_bytes(*b), 0)
}

/// Four f32.
#[inline(always)]
pub fn load_f32(v: &[f32; 4]) -> v128 {
    f32x4(v[0], v[1], v[2], v[3])
}

/// Eight 16-bit values.
#[inline(always)]
pub fn load_u16(v: &[u16; 8]) -> v128 {
    u16x8(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7])
}

/// Four lanes as f32.
#[inline(always)]
pub fn store_f32(v: v128) -> [f32; 4] {
    [
        f32x4_extract_lane::<0>(v),
        f32x4_extract_lane::<1>(v),
        f32x4_extract_lane::<2>(v),
        f32x4_extract_lane::<3>(v),
    ]
}

/// The eight lanes of two vectors as i32.
#[inline(always)]
pub fn store_i32(a: v128, b: v128) -> [i32; 8] {
    [
        i32x4_extract_lane::<0>(a),
        i32x4_extract_lane::<1>(a),
        i32x4_extract_lane::<2>(a),
        i32x4_extract_lane::<3>(a),
        i32x4_extract_lane::<0>(b),
        i32x4_extract_lane::<1>(b),
        i32x4_extract_lane::<2>(b),
        i32x4_extract_lane::<3>(b),
    ]
}

/// 16 bytes to be stored.
#[inline(always)]
pub fn store_bytes(out: &mut [i8; 16], v: v128) {
    let (halves, _) = out.as_chunks_mut::<8>();
    halves[0] = u64x2_extract_lane::<0>(v)
        .to_le_bytes()
        .map(u8::cast_signed);
    halves[1] = u64x2_extract_lane::<1>(v)
        .to_le_bytes()
        .map(u8::cast_signed);
}

/// Sixteen 8-bit codes.
#[inline(always)]
pub fn load_codes(codes: &[i8; 16]) -> v128 {
    load_bytes(&codes.map(i8::cast_unsigned))
}
