//! Sine and cosine (fdlibm's kernels) after reduction by multiples of pi / 2 in three parts.

const PI_2_PARTS: [f64; 3] =
    [1.570_796_326_734_125_6, 6.077_100_506_303_966e-11, 2.022_266_248_795_950_6e-21];
/// 1.5 * 2^52.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// `x` less the nearest multiple of pi / 2, as a sum of two, and that multiple mod 4. Accurate
/// for |x| < 2^20.
fn reduce(x: f64) -> (f64, f64, i64) {
    let n = (x * core::f64::consts::FRAC_2_PI + ROUND) - ROUND;
    let a = x - n * PI_2_PARTS[0];
    let b = n * PI_2_PARTS[1];
    let mid = a - b;
    let low = n * PI_2_PARTS[2] - ((a - mid) - b);
    let r = mid - low;
    (r, (mid - r) - low, n as i64)
}

fn sin_kernel(x: f64, y: f64) -> f64 {
    let z = x * x;
    let v = z * x;
    let r = 8.333_333_333_322_49e-3
        + z * (-1.984_126_982_985_795e-4
            + z * (2.755_731_370_707_007e-6
                + z * (-2.505_076_025_340_686_3e-8 + z * 1.589_690_995_211_55e-10)));
    x - ((z * (0.5 * y - v * r) - y) - v * -0.166_666_666_666_666_32)
}

fn cos_kernel(x: f64, y: f64) -> f64 {
    let z = x * x;
    let r = z * (4.166_666_666_666_66e-2
        + z * (-1.388_888_888_887_411e-3
            + z * (2.480_158_728_947_673e-5
                + z * (-2.755_731_435_139_066_3e-7
                    + z * (2.087_572_321_298_175e-9 + z * -1.135_964_755_778_819_5e-11)))));
    let half = 0.5 * z;
    let w = 1.0 - half;
    w + (((1.0 - w) - half) + (z * r - x * y))
}

/// `sin(x)`, x in radians.
pub fn sin_f64(x: f64) -> f64 {
    let (r, tail, n) = reduce(x);
    match n & 3 {
        0 => sin_kernel(r, tail),
        1 => cos_kernel(r, tail),
        2 => -sin_kernel(r, tail),
        _ => -cos_kernel(r, tail),
    }
}

/// `cos(x)`, x in radians.
pub fn cos_f64(x: f64) -> f64 {
    let (r, tail, n) = reduce(x);
    match n & 3 {
        0 => cos_kernel(r, tail),
        1 => -sin_kernel(r, tail),
        2 => -cos_kernel(r, tail),
        _ => sin_kernel(r, tail),
    }
}
