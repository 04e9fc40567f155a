//! Powers, as `exp(y ln x)`: for configuration-time numbers such as rotary frequencies, not for
//! kernels, and not for exponents so large that the error below would matter.

use super::{exp_f64, floor_f64, ln_f64};

/// `x^y` in f64; relative error at most `2^-51 * (1 + |y ln x|)`.
///
/// `x^0` and `1^y` are 1 always; a negative `x` needs a whole `y`, else `NaN`. Zero and infinite
/// bases give zero or infinity by the sign of `y`; an odd whole `y` keeps the sign of `x`.
pub fn pow_f64(x: f64, y: f64) -> f64 {
    if y == 0.0 || x == 1.0 {
        return 1.0;
    }
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    // From 2^53 on every number is an even whole one, infinities included.
    let is_whole = y.abs() >= 9_007_199_254_740_992.0 || floor_f64(y) == y;
    let is_odd = is_whole && floor_f64(y / 2.0) * 2.0 != y && y.abs() < 9_007_199_254_740_992.0;
    if x < 0.0 && x != f64::NEG_INFINITY && !is_whole {
        return f64::NAN;
    }
    if x == -1.0 && y.abs() == f64::INFINITY {
        return 1.0;
    }
    let magnitude = exp_f64(y * ln_f64(x.abs()));
    if x.is_sign_negative() && is_odd {
        -magnitude
    } else {
        magnitude
    }
}
