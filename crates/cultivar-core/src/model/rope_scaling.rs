//! How rotary frequencies are stretched so that a model reads beyond the context it was first
//! trained for. All in f64, once, when a model is opened.

use crate::math::{floor_f64, ln_f64};
use crate::package::{ModelConfig, RopeScalingKind};
use core::f64::consts::PI;

/// Stretches the frequencies of base `theta`: `[rotary_dim / 2]`, radians per position. Returns
/// the factor on cosines and sines.
///
/// The configuration is validated: its parameters are those of its kind.
pub(super) fn stretch(
    frequencies: &mut [f64],
    theta: f64,
    scaling: RopeScalingKind,
    config: &ModelConfig,
) -> f64 {
    let factor = config.rope_scaling_factor;
    match (scaling, config.rope_scaling_params.as_slice()) {
        (RopeScalingKind::Linear, _) => {
            for frequency in frequencies {
                *frequency /= factor;
            }
            1.0
        }
        (RopeScalingKind::Llama3, &[low, high, original_len]) => {
            for frequency in frequencies {
                *frequency = llama3(*frequency, factor, low, high, original_len);
            }
            1.0
        }
        (RopeScalingKind::Yarn, &[fast, slow, original_len, attention_factor, is_whole]) => {
            let turns = (fast, slow);
            yarn(
                frequencies,
                theta,
                factor,
                turns,
                original_len,
                is_whole != 0.0,
            );
            attention_factor
        }
        _ => 1.0,
    }
}

/// Llama 3.1: waves longer than `original_len / low` are stretched by the factor, those shorter
/// than `original_len / high` are not, and between them both are blended.
fn llama3(frequency: f64, factor: f64, low: f64, high: f64, original_len: f64) -> f64 {
    let wavelength = 2.0 * PI / frequency;
    if wavelength < original_len / high {
        return frequency;
    }
    if wavelength > original_len / low {
        return frequency / factor;
    }
    let blend = (original_len / wavelength - low) / (high - low);
    (1.0 - blend) * frequency / factor + blend * frequency
}

/// `v` within `low..=high`; `NaN` gives `low`.
///
/// By comparisons: of `f64::min` and `max` a compiler may make relaxed instructions.
fn limited(v: f64, low: f64, high: f64) -> f64 {
    if v > high {
        high
    } else if v > low {
        v
    } else {
        low
    }
}

/// YaRN (Peng et al., 2023): dimensions that turn more than `fast` times within the original
/// context keep their frequency, those that turn less than `slow` times are stretched, and a
/// linear ramp over the dimensions lies between.
fn yarn(
    frequencies: &mut [f64],
    theta: f64,
    factor: f64,
    (fast, slow): (f64, f64),
    original_len: f64,
    is_whole: bool,
) {
    let rotary_dim = (2 * frequencies.len()) as f64;
    let dimension = |turns: f64| {
        (rotary_dim * ln_f64(original_len / (turns * 2.0 * PI))) / (2.0 * ln_f64(theta))
    };
    let (mut start, mut end) = (dimension(fast), dimension(slow));
    if is_whole {
        (start, end) = (floor_f64(start), -floor_f64(-end));
    }
    start = limited(start, 0.0, f64::INFINITY);
    end = limited(end, f64::NEG_INFINITY, rotary_dim - 1.0);
    if start == end {
        end += 0.001;
    }
    for (i, frequency) in frequencies.iter_mut().enumerate() {
        let ramp = limited((i as f64 - start) / (end - start), 0.0, 1.0);
        *frequency = *frequency / factor * ramp + *frequency * (1.0 - ramp);
    }
}
