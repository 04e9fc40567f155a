//! f16 and bf16 to f32 and back, exactly; by integer steps and normal arithmetic only, because
//! arithmetic on subnormals is slow on many CPUs.

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
