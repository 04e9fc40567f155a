//! Rounding to whole numbers: down, to nearest with halves away from zero, and to nearest with
//! halves to even. All exact; `NaN`, infinities and the sign of zero stay.

/// From 2^23 on every f32 is whole.
const WHOLE_F32: f32 = 8_388_608.0;
/// From 2^52 on every f64 is whole.
const WHOLE_F64: f64 = 4_503_599_627_370_496.0;

/// The largest whole number not above `x`.
pub fn floor_f32(x: f32) -> f32 {
    let y = round_ties_even_f32(x);
    // Where the nearest one is above, the one below it is the answer; -0.0 must not become 0.0.
    if y > x { y - 1.0 } else { y }
}

/// The largest whole number not above `x`.
pub fn floor_f64(x: f64) -> f64 {
    let y = round_ties_even_f64(x);
    if y > x { y - 1.0 } else { y }
}

/// The nearest whole number, halves away from zero.
pub fn round_f32(x: f32) -> f32 {
    let y = round_ties_even_f32(x);
    // Only a half that went to the even side is off, by one; x - y is exact.
    let rest = x - y;
    let y = if x > 0.0 && rest == 0.5 { y + 1.0 } else { y };
    if x < 0.0 && rest == -0.5 { y - 1.0 } else { y }
}

/// The nearest whole number, halves away from zero.
pub fn round_f64(x: f64) -> f64 {
    let y = round_ties_even_f64(x);
    let rest = x - y;
    let y = if x > 0.0 && rest == 0.5 { y + 1.0 } else { y };
    if x < 0.0 && rest == -0.5 { y - 1.0 } else { y }
}

/// The nearest whole number, halves to the even one.
#[inline]
pub fn round_ties_even_f32(x: f32) -> f32 {
    let magnitude = x.abs();
    if magnitude < WHOLE_F32 {
        // The sum's unit is 1, so the addition itself rounds as asked.
        ((magnitude + WHOLE_F32) - WHOLE_F32).copysign(x)
    } else {
        x
    }
}

/// The nearest whole number, halves to the even one.
#[inline]
pub fn round_ties_even_f64(x: f64) -> f64 {
    let magnitude = x.abs();
    if magnitude < WHOLE_F64 {
        ((magnitude + WHOLE_F64) - WHOLE_F64).copysign(x)
    } else {
        x
    }
}
