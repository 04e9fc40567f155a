//! The exponential function: `e^x = 2^n e^r` with |r| <= ln(2) / 2, then a polynomial (f32, after
//! Cephes, Moshier 1992) or a rational approximation (f64, after fdlibm, Sun 1993).

use core::f32::consts::LOG2_E as LOG2_E_F32;
use core::f64::consts::LOG2_E as LOG2_E_F64;

/// 1.5 * 2^23: adding it to an f32 below 2^22 in magnitude, then subtracting it, leaves the
/// nearest integer, ties to even.
pub const ROUNDING_F32: f32 = 12_582_912.0;
/// 1.5 * 2^52, for f64 below 2^51.
const ROUNDING_F64: f64 = 6_755_399_441_055_744.0;

/// Above it `exp_f32` is infinite; 127.5 ln 2 is just larger, so n stays within 127.
pub const EXP_F32_MAX: f32 = 88.376;
/// Below it `exp_f32` is zero; -126 ln 2 is just smaller, so every other result is normal.
pub const EXP_F32_MIN: f32 = -87.336;
/// ln 2 = high + low; the high part has 9 bits, so that `n * high` is exact.
pub const LN_2_HIGH_F32: f32 = 0.693_359_4;
/// See [`LN_2_HIGH_F32`].
pub const LN_2_LOW_F32: f32 = -2.121_944_4e-4;
/// Coefficients of `p(r) = (e^r - 1 - r) / r^2`, the highest power first.
pub const EXP_F32_POLYNOMIAL: [f32; 6] = [
    1.987_569_1e-4,
    1.398_199_9e-3,
    8.333_452e-3,
    4.166_579_6e-2,
    1.666_666_5e-1,
    0.5,
];

/// `e^x` in f32, within 1 ulp; above 88.376 infinite, below -87.336 zero.
///
/// `NaN` stays `NaN`. The steps are + − × and bit operations without a branch, so that a compiler
/// may vectorize loops over it and cannot change a bit.
#[inline(always)]
pub fn exp_f32(x: f32) -> f32 {
    let n = (x * LOG2_E_F32 + ROUNDING_F32) - ROUNDING_F32;
    let r = (x - n * LN_2_HIGH_F32) - n * LN_2_LOW_F32;
    let [c7, c6, c5, c4, c3, c2] = EXP_F32_POLYNOMIAL;
    let p = ((((c7 * r + c6) * r + c5) * r + c4) * r + c3) * r + c2;
    let y = (p * (r * r) + r) + 1.0;
    // The rounded integer stands in the low bits of n + 1.5 * 2^23; moved up, it is an exponent.
    let scale = f32::from_bits(((n + ROUNDING_F32).to_bits() << 23).wrapping_add(127 << 23));
    let y = y * scale;
    let y = if x > EXP_F32_MAX { f32::INFINITY } else { y };
    if x < EXP_F32_MIN { 0.0 } else { y }
}

/// ln 2 = high + low; the high part has 32 bits, so that `n * high` is exact.
pub(super) const LN_2_HIGH_F64: f64 = 6.931_471_803_691_238e-1;
/// See [`LN_2_HIGH_F64`].
pub(super) const LN_2_LOW_F64: f64 = 1.908_214_929_270_587_7e-10;

/// `e^x` in f64, within 1 ulp, subnormal results within 1 unit of 2^-1074; overflows to infinity.
/// `NaN` stays `NaN`.
pub fn exp_f64(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x > 709.782_712_893_384 {
        return f64::INFINITY;
    }
    if x < -745.133_219_101_941_2 {
        return 0.0;
    }
    let n = (x * LOG2_E_F64 + ROUNDING_F64) - ROUNDING_F64;
    let high = x - n * LN_2_HIGH_F64;
    let low = n * LN_2_LOW_F64;
    let r = high - low;
    // c approximates r coth(r / 2)'s part beyond 2: e^r = 1 + 2 r / (R(r) - r) (Remez, fdlibm).
    let t = r * r;
    let mut c = 4.138_136_797_057_238_5e-8;
    c = c * t - 1.653_390_220_546_525_2e-6;
    c = c * t + 6.613_756_321_437_934e-5;
    c = c * t - 2.777_777_777_701_559_3e-3;
    c = c * t + 1.666_666_666_666_660_2e-1;
    let c = r - c * t;
    let y = 1.0 - ((low - r * c / (2.0 - c)) - high);
    // In two steps: n may be 1024 or below -1022, which no normal power of two reaches at once.
    let n = n as i64;
    y * power_of_two(n / 2) * power_of_two(n - n / 2)
}

/// `2^n` for n in -1022..=1023.
fn power_of_two(n: i64) -> f64 {
    f64::from_bits(((n + 1023) as u64) << 52)
}
