//! f16 and bf16 to f32 and back, exactly; by integer steps and normal arithmetic only, because
//! arithmetic on subnormals is slow on many CPUs. (What is raised may hold a few; see there.)

use crate::memory::reserved;
use alloc::vec::Vec;

/// Exact.
#[inline(always)]
pub fn f16_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = u32::from(bits & 0x7fff) << 13;
    let value = if magnitude >= 0x7c00 << 13 {
        // Infinity and NaN: the exponent's top value in both.
        magnitude + (224 << 23)
    } else if magnitude < 1 << 23 {
        // Zero and subnormals: 2^-14 + fraction, less 2^-14.
        (f32::from_bits(magnitude + (113 << 23)) - f32::from_bits(113 << 23)).to_bits()
    } else {
        magnitude + (112 << 23)
    };
    f32::from_bits(value | sign)
}

/// Values that are f16, times the largest power of two that none of them overflows by, as the bits
/// of f16: exactly, and so that hardly any is subnormal. Behind them the unit by which
/// [`raised_to_f32`] gives the values back. `None` if a value is not finite or memory is lacking.
#[inline]
pub fn raise(values: &[f32]) -> Option<(Vec<u16>, f32)> {
    let largest = values.iter().map(|v| v.to_bits() & 0x7fff_ffff);
    let exponent = largest.fold(0, Ord::max) >> 23;
    if exponent == 0xff {
        return None;
    }
    // The exponent of the largest f16 is that of 2^15, that of the smallest f16 39 below.
    let steps = Ord::min(142u32.saturating_sub(exponent), 39);
    let factor = f32::from_bits((127 + steps) << 23);
    let mut raised = reserved(values.len())?;
    raised.extend(values.iter().map(|v| f32_to_f16(v * factor)));
    Some((raised, f32::from_bits((127 + 112 - steps) << 23)))
}

/// A value that [`raise`] has multiplied, as it was: exact. Four steps instead of the ten of
/// [`f16_to_f32`]: the exponent is taken for one of f32, and one product puts it right.
#[inline(always)]
pub fn raised_to_f32(bits: u16, unit: f32) -> f32 {
    let wide = (i32::from(bits.cast_signed()) << 13).cast_unsigned();
    f32::from_bits(wide & 0x8fff_e000) * unit
}

/// Rounds to nearest, ties to even; beyond the largest f16 to infinity. NaN stays NaN.
#[inline(always)]
pub fn f32_to_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    let rounded = if magnitude > 0x7f80_0000 {
        0x7e00
    } else if magnitude >= 0x4780_0000 {
        // 65536 and above.
        0x7c00
    } else if magnitude < 0x3880_0000 {
        // Below 2^-14 the f16 is subnormal, its unit 2^-24: adding 0.5 aligns that unit with the
        // last mantissa bit, and the addition rounds.
        (f32::from_bits(magnitude) + 0.5).to_bits() - 0.5f32.to_bits()
    } else {
        let odd = (magnitude >> 13) & 1;
        (magnitude + 0xfff + odd - (112 << 23)) >> 13
    };
    rounded as u16 | sign
}

/// Exact.
#[inline(always)]
pub fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Rounds to nearest, ties to even. NaN stays NaN.
#[inline(always)]
pub fn f32_to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    if bits & 0x7fff_ffff > 0x7f80_0000 {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}
