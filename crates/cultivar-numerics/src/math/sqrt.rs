//! Correctly rounded square roots, from integer roots: one bit more than the mantissa, then
//! rounded to nearest. A tie cannot happen: a root that ends exactly half way would have a square
//! with more bits than the argument has.

/// `sqrt(x)` in f32, correctly rounded; `NaN` below zero, -0.0 stays.
pub fn sqrt_f32(x: f32) -> f32 {
    if x == 0.0 || x == f32::INFINITY || x.is_nan() {
        return x;
    }
    if x < 0.0 {
        return f32::NAN;
    }
    // x * 2^48 makes a subnormal normal.
    let (x, bias) = if x < f32::MIN_POSITIVE {
        (x * 281_474_976_710_656.0, 24)
    } else {
        (x, 0)
    };
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let odd = exponent & 1;
    let mantissa = bits & 0x007f_ffff | 0x0080_0000;
    // mantissa * 2^25 (or 2^26) has a root of 25 bits: 24 and one to round by.
    let root = (u64::from(mantissa) << (25 + odd)).isqrt() as u32;
    let rounded = (root >> 1) + (root & 1);
    let exponent = (exponent - odd) / 2 - bias;
    // The leading bit of `rounded` adds the one that is missing from the exponent.
    f32::from_bits((((exponent + 126) as u32) << 23) + rounded)
}

/// `sqrt(x)` in f64, correctly rounded; `NaN` below zero, -0.0 stays.
pub fn sqrt_f64(x: f64) -> f64 {
    if x == 0.0 || x == f64::INFINITY || x.is_nan() {
        return x;
    }
    if x < 0.0 {
        return f64::NAN;
    }
    // x * 2^54 makes a subnormal normal.
    let (x, bias) = if x < f64::MIN_POSITIVE {
        (x * 18_014_398_509_481_984.0, 27)
    } else {
        (x, 0)
    };
    let bits = x.to_bits();
    let exponent = (bits >> 52) as i64 - 1023;
    let odd = exponent & 1;
    let mantissa = bits & 0x000f_ffff_ffff_ffff | 0x0010_0000_0000_0000;
    let root = (u128::from(mantissa) << (54 + odd)).isqrt() as u64;
    let rounded = (root >> 1) + (root & 1);
    let exponent = (exponent - odd) / 2 - bias;
    f64::from_bits((((exponent + 1022) as u64) << 52) + rounded)
}
