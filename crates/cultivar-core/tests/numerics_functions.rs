//! Accuracy of the engine's own mathematical functions against the host's, over random bits of
//! every magnitude and the edges. The ceilings here are those that `docs/numerics.md` states.

use cultivar_core::math::*;
use cultivar_core::rng::{Purpose, draw};

const SEED: u64 = 20_260_101;
const N_SAMPLES: u64 = 400_000;

/// Zeros, subnormals, the limits of the normal numbers, infinities, `NaN`, halves and whole ones.
const EDGES: [f64; 30] = [
    0.0,
    -0.0,
    5e-324,
    -5e-324,
    1e-310,
    2.2250738585072014e-308,
    1e-45,
    -1e-45,
    1e-40,
    1.17549435e-38,
    0.5,
    -0.5,
    1.0,
    -1.0,
    1.5,
    -1.5,
    2.0,
    2.5,
    -2.5,
    8388607.5,
    8388608.0,
    -8388608.5,
    4503599627370495.5,
    4503599627370497.0,
    3.4028234663852886e38,
    f64::MAX,
    f64::MIN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

/// Random f64 bits (all magnitudes, `NaN` included), the edges, and evenly spread values.
fn samples(range: f64) -> impl Iterator<Item = f64> {
    let random = (0..N_SAMPLES).flat_map(move |i| {
        let [a, b, c, d] = draw(SEED, Purpose::SelfTest, i);
        let bits = f64::from_bits(u64::from(a) << 32 | u64::from(b));
        let spread = (cultivar_core::rng::unit_f64(c, d) * 2.0 - 1.0) * range;
        [bits, spread]
    });
    EDGES.into_iter().chain(random)
}

/// Random f32 bits, the edges, and evenly spread values.
fn samples_f32(range: f32) -> impl Iterator<Item = f32> {
    let random = (0..N_SAMPLES).flat_map(move |i| {
        let [a, b, ..] = draw(SEED, Purpose::SelfTest, i);
        [
            f32::from_bits(a),
            (cultivar_core::rng::unit_f32(b) * 2.0 - 1.0) * range,
        ]
    });
    EDGES.into_iter().map(|v| v as f32).chain(random)
}

/// Distance in f64 steps; `NaN` equals `NaN` and nothing else.
fn steps(a: f64, b: f64) -> u64 {
    if a.is_nan() || b.is_nan() {
        return if a.is_nan() && b.is_nan() {
            0
        } else {
            u64::MAX
        };
    }
    let ordered = |v: f64| {
        let bits = v.to_bits().cast_signed();
        if bits < 0 { i64::MIN - bits } else { bits }
    };
    ordered(a).abs_diff(ordered(b))
}

/// Error in f32 ulps of `exact`, against the exact value in f64.
fn ulps_f32(got: f32, exact: f64) -> f64 {
    if exact.is_nan() || got.is_nan() {
        return if exact.is_nan() && got.is_nan() {
            0.0
        } else {
            f64::INFINITY
        };
    }
    if f64::from(got) == exact || f64::from(got) == f64::from(exact as f32) {
        return 0.0;
    }
    let ulp = f64::from(f32::EPSILON) * exact.abs().log2().floor().exp2();
    (f64::from(got) - exact).abs() / ulp.max(f64::from(f32::from_bits(1)))
}

fn check_f64(name: &str, range: f64, ceiling: u64, own: fn(f64) -> f64, host: fn(f64) -> f64) {
    let (at, worst) = samples(range)
        .filter(|x| !is_trigonometric(name) || x.is_nan() || x.abs() < 2f64.powi(30))
        .map(|x| (x, steps(own(x), host(x))))
        .max_by_key(|(_, error)| *error)
        .unwrap_or((0.0, 0));
    assert!(
        worst <= ceiling,
        "{name}({at:e}): {:e}, host {:e}",
        own(at),
        host(at)
    );
}

fn is_trigonometric(name: &str) -> bool {
    name == "sin" || name == "cos"
}

fn check_f32(name: &str, range: f32, ceiling: f64, own: fn(f32) -> f32, exact: fn(f64) -> f64) {
    for x in samples_f32(range) {
        let (got, exact) = (own(x), exact(f64::from(x)));
        let error = ulps_f32(got, exact);
        assert!(
            error <= ceiling,
            "{name}({x:e}) = {got:e}, exact {exact:e}: {error} ulp"
        );
    }
}

/// `erf` in f64: Kummer's series, whose terms are all positive.
fn erf_f64(x: f64) -> f64 {
    if x.is_nan() || x == 0.0 {
        return x;
    }
    let magnitude = x.abs();
    if magnitude > 6.0 {
        return 1f64.copysign(x);
    }
    let (mut term, mut sum, mut k) = (magnitude, 0.0, 1.0);
    while sum + term != sum {
        sum += term;
        k += 2.0;
        term *= 2.0 * x * x / k;
    }
    let scale = core::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp();
    if magnitude < 1e-100 {
        x * core::f64::consts::FRAC_2_SQRT_PI
    } else {
        (sum * scale).copysign(x)
    }
}

#[test]
fn square_roots_are_correctly_rounded() {
    check_f64("sqrt", 1e6, 0, sqrt_f64, f64::sqrt);
    for x in samples_f32(1e6) {
        let (own, host) = (sqrt_f32(x), x.sqrt());
        assert!(
            own.to_bits() == host.to_bits() || own.is_nan() && host.is_nan(),
            "sqrt({x:e})"
        );
    }
    // Two whole octaves of f32, and all subnormals with few bits: every mantissa's rounding.
    for bits in (0x3f80_0000u32..0x4080_0000).chain(0..0x10000) {
        let x = f32::from_bits(bits);
        assert_eq!(sqrt_f32(x).to_bits(), x.sqrt().to_bits(), "sqrt({x:e})");
    }
}

#[test]
fn rounding_is_exact() {
    check_f64("floor", 1e4, 0, floor_f64, f64::floor);
    check_f64("round", 1e4, 0, round_f64, f64::round);
    check_f64(
        "round_ties_even",
        1e4,
        0,
        round_ties_even_f64,
        f64::round_ties_even,
    );
    type Function = fn(f32) -> f32;
    let functions: [(Function, Function); 3] = [
        (floor_f32, f32::floor),
        (round_f32, f32::round),
        (round_ties_even_f32, f32::round_ties_even),
    ];
    let halves = (-200..200).map(|i| i as f32 * 0.5);
    for x in samples_f32(1e4).chain(halves) {
        for (own, host) in functions {
            let (own, host) = (own(x), host(x));
            assert!(
                own.to_bits() == host.to_bits() || own.is_nan() && host.is_nan(),
                "{x:e}"
            );
        }
    }
    for x in [-0.0, -0.3, -0.5, 0.0] {
        assert_eq!(round_f64(x).to_bits(), x.round().to_bits());
        assert_eq!(floor_f64(x).to_bits(), x.floor().to_bits());
    }
}

#[test]
fn exponential_and_logarithm_are_within_one_ulp() {
    check_f64("exp", 745.0, 1, exp_f64, f64::exp);
    check_f64("exp", 1.0, 1, exp_f64, f64::exp);
    for x in [
        709.5,
        709.78,
        709.782712893384,
        709.79,
        -708.5,
        -740.0,
        -745.13,
        -745.14,
    ] {
        assert!(steps(exp_f64(x), x.exp()) <= 1, "exp({x})");
    }
    check_f64("ln", 1e6, 1, ln_f64, f64::ln);
    check_f64("ln", 2.0, 1, ln_f64, f64::ln);
}

#[test]
fn exponential_of_f32_keeps_its_ceiling_and_limits() {
    let exact = |x: f64| {
        if x > f64::from(EXP_F32_MAX) {
            f64::INFINITY
        } else if x < f64::from(EXP_F32_MIN) {
            0.0
        } else {
            x.exp()
        }
    };
    check_f32("exp", 100.0, 1.0, exp_f32, exact);
    check_f32("exp", 1.0, 1.0, exp_f32, exact);
    assert_eq!(exp_f32(0.0), 1.0);
    assert_eq!(exp_f32(-0.0), 1.0);
    assert!(exp_f32(EXP_F32_MAX).is_finite() && exp_f32(EXP_F32_MIN) >= f32::MIN_POSITIVE);
    // Never above one for the arguments that softmax has.
    assert!((0..1_000_000).all(|i| exp_f32(f32::from_bits(0x8000_0000 + i)) <= 1.0));
}

/// The specification gives the constants by their bits.
#[test]
fn the_document_holds_the_constants() {
    let text = include_str!("../../../docs/numerics.md");
    let limits = [EXP_F32_MAX, EXP_F32_MIN, LN_2_HIGH_F32, LN_2_LOW_F32];
    for constant in EXP_F32_POLYNOMIAL.into_iter().chain(limits) {
        let bits = format!("{:#010x}", constant.to_bits());
        assert!(text.contains(&bits), "{constant:e} = {bits}");
    }
}

#[test]
fn sine_and_cosine_are_within_one_ulp() {
    for range in [1.0, 10.0, 1e4, 1e6, 2f64.powi(30)] {
        check_f64("sin", range, 1, sin_f64, f64::sin);
        check_f64("cos", range, 1, cos_f64, f64::cos);
    }
    // Multiples of pi / 2 lose all leading bits.
    for n in (1..10_000).chain((0..1000).map(|i| 683_000_000 - i)) {
        let x = f64::from(n) * core::f64::consts::FRAC_PI_2;
        assert!(steps(sin_f64(x), x.sin()) <= 1, "sin({x})");
        assert!(steps(cos_f64(x), x.cos()) <= 1, "cos({x})");
    }
    for x in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        assert!(sin_f64(x).is_nan() && cos_f64(x).is_nan());
    }
    assert_eq!(sin_f64(-0.0).to_bits(), (-0.0f64).to_bits());
}

#[test]
fn tanh_and_erf_keep_their_ceilings() {
    for range in [0.7, 2.0, 10.0] {
        check_f32("tanh", range, 2.0, tanh_f32, f64::tanh);
        check_f32("erf", range, 3.0, erf_f32, erf_f64);
    }
    for x in [0.0f32, -0.0] {
        assert_eq!(tanh_f32(x).to_bits(), x.to_bits());
        assert_eq!(erf_f32(x).to_bits(), x.to_bits());
    }
}

#[test]
fn powers_keep_their_ceiling_and_special_cases() {
    for i in 0..N_SAMPLES {
        let [a, b, c, d] = draw(SEED, Purpose::SelfTest, i);
        let x = cultivar_core::rng::unit_f64(a, b) * 1e6;
        let y = (cultivar_core::rng::unit_f64(c, d) - 0.5) * 8.0;
        let (got, host) = (pow_f64(x, y), x.powf(y));
        let ceiling = 2f64.powi(-51) * (1.0 + (y * x.ln()).abs());
        assert!(
            (got / host - 1.0).abs() <= ceiling,
            "pow({x}, {y}) = {got}, host {host}"
        );
    }
    for x in EDGES {
        for y in [
            0.0,
            -0.0,
            1.0,
            -1.0,
            2.0,
            -3.0,
            0.5,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
        ] {
            let (got, host) = (pow_f64(x, y), x.powf(y));
            let is_near = (got / host - 1.0).abs() < 1e-12 || got == host;
            let is_same_sign = got.is_sign_negative() == host.is_sign_negative();
            assert!(
                got.is_nan() && host.is_nan() || is_near && is_same_sign,
                "pow({x:e}, {y})"
            );
        }
    }
}
