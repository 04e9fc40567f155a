//! The hyperbolic tangent in f32 (after Cephes, Moshier 1992): a polynomial near zero, else from
//! the exponential. Steps and a select only, so that loops over it can be vectorized.

use super::exp_f32;

/// `tanh(x)` in f32, within 2 ulp. `NaN` stays `NaN`, the sign of zero stays.
#[inline]
pub fn tanh_f32(x: f32) -> f32 {
    let magnitude = x.abs();
    let z = x * x;
    let mut p = -5.704_988_7e-3;
    p = p * z + 2.063_909e-2;
    p = p * z - 5.373_971_5e-2;
    p = p * z + 1.333_144_2e-1;
    p = p * z - 3.333_328e-1;
    let near = (p * z * x + x).copysign(x);
    // An infinite exponential gives 1.
    let far = (1.0 - 2.0 / (exp_f32(magnitude + magnitude) + 1.0)).copysign(x);
    if magnitude < 0.625 { near } else { far }
}
