//! Sine and cosine: fdlibm's kernels (Sun, 1993) on -pi/4..pi/4, after the nearest multiple of
//! pi / 2 has been taken away in four parts (Cody and Waite, 1980), none of which rounds away
//! anything that matters below 2^30.

/// pi / 2 in four parts; the first three have at most 22 bits, so that their products with a whole
/// number below 2^31 are exact.
const HALF_PI_PARTS: [f64; 4] = [
    f64::from_bits(0x3ff9_21fb_0000_0000),
    f64::from_bits(0x3e95_110b_0000_0000),
    f64::from_bits(0x3d31_8469_8000_0000),
    f64::from_bits(0x3ba3_198a_2e03_7073),
];
/// 1.5 * 2^52: adding, then subtracting it leaves the nearest integer.
const ROUNDING: f64 = 6_755_399_441_055_744.0;

/// `sin(x)`, x in radians, within 1 ulp for |x| < 2^30; without promise beyond. `NaN` for
/// infinities and `NaN`.
pub fn sin_f64(x: f64) -> f64 {
    let (r, tail, n) = reduce(x);
    match n & 3 {
        0 => sin_kernel(r, tail),
        1 => cos_kernel(r, tail),
        2 => -sin_kernel(r, tail),
        _ => -cos_kernel(r, tail),
    }
}

/// `cos(x)`, x in radians, within 1 ulp for |x| < 2^30; without promise beyond. `NaN` for
/// infinities and `NaN`.
pub fn cos_f64(x: f64) -> f64 {
    let (r, tail, n) = reduce(x);
    match n & 3 {
        0 => cos_kernel(r, tail),
        1 => -sin_kernel(r, tail),
        2 => -cos_kernel(r, tail),
        _ => sin_kernel(r, tail),
    }
}

/// `x` less the nearest multiple `n` of pi / 2, as an f64 and what that lacks, and `n`.
fn reduce(x: f64) -> (f64, f64, i64) {
    let n = (x * core::f64::consts::FRAC_2_PI + ROUNDING) - ROUNDING;
    if n == 0.0 {
        // Keeps -0.0, and spares small angles the steps below.
        return (x, 0.0, 0);
    }
    let [first, second, third, fourth] = HALF_PI_PARTS;
    // These two differences are exact: their terms share a unit that is small enough.
    let r = (x - n * first) - n * second;
    let (r, tail) = difference(r, n * third);
    let (r, tail) = difference(r, n * fourth - tail);
    (r, tail, n as i64)
}

/// `a - b` rounded, and what the rounding lost (Knuth's two-sum).
fn difference(a: f64, b: f64) -> (f64, f64) {
    let sum = a - b;
    let b_used = a - sum;
    let a_used = sum + b_used;
    (sum, (a - a_used) - (b - b_used))
}

/// `sin(x + tail)` for |x| <= pi / 4.
fn sin_kernel(x: f64, tail: f64) -> f64 {
    if x == 0.0 {
        return x;
    }
    let z = x * x;
    let v = z * x;
    let r = 8.333_333_333_322_49e-3
        + z * (-1.984_126_982_985_795e-4
            + z * (2.755_731_370_707_007e-6
                + z * (-2.505_076_025_340_686_3e-8 + z * 1.589_690_995_211_55e-10)));
    x - ((z * (0.5 * tail - v * r) - tail) - v * -0.166_666_666_666_666_32)
}

/// `cos(x + tail)` for |x| <= pi / 4.
fn cos_kernel(x: f64, tail: f64) -> f64 {
    let z = x * x;
    let r = z
        * (4.166_666_666_666_66e-2
            + z * (-1.388_888_888_887_411e-3
                + z * (2.480_158_728_947_673e-5
                    + z * (-2.755_731_435_139_066_3e-7
                        + z * (2.087_572_321_298_175e-9 + z * -1.135_964_755_778_819_5e-11)))));
    let half = 0.5 * z;
    let w = 1.0 - half;
    w + (((1.0 - w) - half) + (z * r - x * tail))
}
