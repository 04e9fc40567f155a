//! Kernels that only some families of models use: LayerNorm, activations, soft caps, sums of a
//! window; each against its formula.

use cultivar_core::kernels::scalar::sum_tree;
use cultivar_core::kernels::{self, Backend, elementwise};
use cultivar_core::math::exp_f32;
use cultivar_core::rng::{Purpose, draw, unit_f32};

/// Numbers within -2..2.
fn values(len: usize, seed: u64) -> Vec<f32> {
    let word = |i: usize| draw(seed, Purpose::TestWeights, i as u64 / 4)[i % 4];
    (0..len).map(|i| unit_f32(word(i)) * 4.0 - 2.0).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn softmax_sums_of_a_window_follow_absolute_positions_too() {
    for first in 0..40usize {
        for len in 1..=40usize {
            let scores = values(len, 15);
            let mut got = scores.clone();
            let sum = elementwise::exp_sum(&mut got, 0.25, first);
            let mut sums = [0.0f32; 16];
            for (i, score) in scores.iter().enumerate() {
                sums[(first + i) % 16] += exp_f32(score - 0.25);
            }
            assert_eq!(sum.to_bits(), sum_tree(sums).to_bits(), "{first} {len}");
        }
    }
}

#[test]
fn layer_norm_equals_the_formula() {
    for len in 1..=70usize {
        let (x, weight) = (values(len, 16), values(len, 17));
        let mut got = x.clone();
        kernels::layer_norm(Backend::Fast, &mut got, &weight, 1e-5);
        let mut plain = x.clone();
        kernels::layer_norm(Backend::Scalar, &mut plain, &weight, 1e-5);
        assert_eq!(bits(&got), bits(&plain), "{len}");
        let n = len as f64;
        let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        let squares = x.iter().map(|v| (f64::from(*v) - mean).powi(2));
        let scale = 1.0 / (squares.sum::<f64>() / n + 1e-5).sqrt();
        for ((got, v), w) in got.iter().zip(&x).zip(&weight) {
            let exact = (f64::from(*v) - mean) * scale * f64::from(*w);
            assert!(
                (f64::from(*got) - exact).abs() < 4e-6,
                "{len}: {got} {exact}"
            );
        }
    }
    let mut fault = [1.0, f32::NAN, 2.0];
    kernels::layer_norm(Backend::Fast, &mut fault, &[1.0; 3], 1e-5);
    assert!(fault.iter().all(|v| v.is_nan()));
}

/// `erf` by its series of positive terms.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum, mut n) = (x, 0.0, 1.0);
    while sum + term != sum {
        sum += term;
        n += 2.0;
        term *= 2.0 * x * x / n;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

#[test]
fn activations_and_caps_are_near_their_formulas() {
    for i in -8000..=8000 {
        let x = i as f32 / 1000.0;
        let v = f64::from(x);
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (v + 0.044715 * v.powi(3));
        let pairs = [
            (elementwise::gelu(x), 0.5 * v * (1.0 + erf(v / 2f64.sqrt()))),
            (elementwise::gelu_tanh(x), 0.5 * v * (1.0 + inner.tanh())),
            (elementwise::relu(x), v.max(0.0)),
            (elementwise::silu(x), v / (1.0 + (-v).exp())),
        ];
        for (which, (got, exact)) in pairs.into_iter().enumerate() {
            assert!(
                (f64::from(got) - exact).abs() < 2e-6,
                "{which} of {x}: {got} {exact}"
            );
        }
        let mut capped = [x];
        elementwise::soft_cap(&mut capped, 3.0);
        let exact = 3.0 * (v / 3.0).tanh();
        assert!((f64::from(capped[0]) - exact).abs() < 1e-6, "{x}");
    }
    for f in [elementwise::gelu, elementwise::gelu_tanh, elementwise::relu] {
        assert!(f(f32::NAN).is_nan());
        assert_eq!(f(f32::INFINITY), f32::INFINITY);
    }
}
