//! The error function in f32 (after Cephes, Moshier 1992): an odd polynomial below 1, else one
//! minus the complement, `exp(-x^2) / x` times a polynomial in `1 / x^2`.

use super::exp_f32;

/// Coefficients of `erf(x) / x` in `x^2` for |x| < 1, the highest power first.
const NEAR: [f32; 7] = [
    7.853_861_4e-5,
    -8.010_194e-4,
    5.188_327_7e-3,
    -2.685_381_2e-2,
    1.128_358_5e-1,
    -3.761_262_6e-1,
    core::f32::consts::FRAC_2_SQRT_PI,
];
/// Coefficients of `x exp(x^2) erfc(x)` in `1 / x^2` for x in 1..2, the highest power first.
const MIDDLE: [f32; 9] = [
    2.326_82e-2,
    -1.387_039_4e-1,
    3.687_424_7e-1,
    -5.824_733e-1,
    6.210_004_6e-1,
    -4.944_515_3e-1,
    3.404_88e-1,
    -2.741_127e-1,
    5.638_259_4e-1,
];
/// The same for x above 2.
const FAR: [f32; 8] = [
    -1.047_766_4e1,
    1.297_72e1,
    -7.495_518_7,
    2.921_019,
    -1.015_265_3,
    4.218_463_4e-1,
    -2.820_767_4e-1,
    5.641_895e-1,
];

/// `erf(x)` in f32, within 3 ulp. `NaN` stays `NaN`, the sign of zero stays.
#[inline]
pub fn erf_f32(x: f32) -> f32 {
    let magnitude = x.abs();
    if magnitude < 1.0 {
        return x * polynomial(&NEAR, x * x);
    }
    // The complement is below half an ulp of 1; infinity must not meet 0 * infinity.
    if magnitude > 4.0 {
        return 1.0f32.copysign(x);
    }
    if magnitude.is_nan() {
        return x;
    }
    let inverse = 1.0 / magnitude;
    let y = inverse * inverse;
    let p = if magnitude < 2.0 {
        polynomial(&MIDDLE, y)
    } else {
        polynomial(&FAR, y)
    };
    let complement = exp_f32(-(magnitude * magnitude)) * inverse * p;
    (1.0 - complement).copysign(x)
}

#[inline(always)]
fn polynomial<const N: usize>(coefficients: &[f32; N], x: f32) -> f32 {
    let mut sum = 0.0;
    for c in coefficients {
        sum = sum * x + c;
    }
    sum
}
