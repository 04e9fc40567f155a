//! The natural logarithm: `x = 2^k (1 + f)` with `1 + f` in sqrt(1/2)..sqrt(2), then fdlibm's
//! series in `s = f / (2 + f)` (Sun, 1993).

use super::exp::{LN_2_HIGH_F64, LN_2_LOW_F64};

/// Bits of sqrt(1/2): mantissas are brought to the octave that begins there.
const SQRT_HALF_BITS: u64 = 0x3fe6_a09e_667f_3bcd;
/// Bits of 1.
const ONE_BITS: u64 = 0x3ff0_0000_0000_0000;
/// 2^54: makes a subnormal normal.
const TWO_54: f64 = 18_014_398_509_481_984.0;

/// `ln(x)` in f64, within 1 ulp; -inf at zero, `NaN` below, infinity and `NaN` stay.
pub fn ln_f64(x: f64) -> f64 {
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x < 0.0 {
        return f64::NAN;
    }
    if x.is_nan() || x == f64::INFINITY {
        return x;
    }
    let (x, bias) = if x < f64::MIN_POSITIVE {
        (x * TWO_54, 54)
    } else {
        (x, 0)
    };
    let shifted = x.to_bits().wrapping_add(ONE_BITS - SQRT_HALF_BITS);
    let k = ((shifted >> 52) as i64 - 1023 - bias) as f64;
    let mantissa = (shifted & 0x000f_ffff_ffff_ffff) + SQRT_HALF_BITS;
    let f = f64::from_bits(mantissa) - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let even = w
        * (0.399_999_999_994_094_2 + w * (0.222_221_984_321_497_84 + w * 0.153_138_376_992_093_73));
    let odd = z
        * (0.666_666_666_666_673_5
            + w * (0.285_714_287_436_623_9
                + w * (0.181_835_721_616_180_5 + w * 0.147_981_986_051_165_86)));
    let half_square = 0.5 * f * f;
    let tail = s * (half_square + (even + odd)) + k * LN_2_LOW_F64;
    k * LN_2_HIGH_F64 - ((half_square - tail) - f)
}
