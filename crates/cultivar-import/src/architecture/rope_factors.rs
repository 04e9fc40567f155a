//! `rope_freqs.weight`: the divisors of Llama 3's rotary frequencies, written out by ggml's
//! converter, back into the numbers they were computed from.
//!
//! Only the one set of numbers that Llama 3.1 and 3.2 use is tried, at any factor; other divisors
//! are refused.

use crate::error::{ImportError, ImportErrorKind};
use alloc::vec;
use cultivar_core::math::pow_f64;
use cultivar_core::package::{ModelConfig, RopeScalingKind};

/// Low and high frequency factor, original context.
const PARAMS: [f64; 3] = [1.0, 4.0, 8192.0];

/// By how much a divisor may differ: they are stored as f32.
const TOLERANCE: f64 = 1e-4;

/// Sets the scaling that gives these divisors; all 1 is none.
pub(super) fn llama3_of_factors(
    config: &mut ModelConfig,
    divisors: &[f32],
) -> Result<(), ImportError> {
    let factor = divisors
        .iter()
        .fold(1.0, |most, &one| if one > most { one } else { most });
    let factor = f64::from(factor);
    let d = divisors.len() * 2;
    let close = |(i, divisor): (usize, &f32)| {
        let expected = llama3_divisor(config.rope_theta, i, d, factor);
        (f64::from(*divisor) / expected - 1.0).abs() < TOLERANCE
    };
    if !factor.is_finite() || !divisors.iter().enumerate().all(close) {
        let error = ImportError::new(ImportErrorKind::OptionUnsupported);
        return Err(error.field("rope_freqs.weight"));
    }
    if factor > 1.0 {
        config.rope_scaling_kind = RopeScalingKind::Llama3;
        config.rope_scaling_factor = factor;
        config.rope_scaling_params = vec![PARAMS[0], PARAMS[1], PARAMS[2]];
    }
    Ok(())
}

/// What frequency `i` of `d / 2` is divided by. Source: transformers `modeling_rope_utils.py`,
/// `_compute_llama3_parameters`.
fn llama3_divisor(theta: f64, i: usize, d: usize, factor: f64) -> f64 {
    let [low, high, original] = PARAMS;
    let frequency = pow_f64(theta, -((2 * i) as f64) / d as f64);
    let wavelength = 2.0 * core::f64::consts::PI / frequency;
    if wavelength < original / high {
        return 1.0;
    }
    if wavelength > original / low {
        return factor;
    }
    let smooth = (original / wavelength - low) / (high - low);
    1.0 / ((1.0 - smooth) / factor + smooth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use cultivar_core::package::ModelSize;

    fn config() -> ModelConfig {
        let mut config = ModelConfig::new(ModelSize {
            d_model: 64,
            d_ff: 64,
            n_layers: 1,
            n_heads: 1,
            vocab_size: 8,
            context_len: 131_072,
        });
        config.rope_theta = 500_000.0;
        config
    }

    #[test]
    fn divisors_give_their_numbers_back() {
        let divisors = |factor| -> Vec<f32> {
            (0..32)
                .map(|i| llama3_divisor(5e5, i, 64, factor) as f32)
                .collect()
        };
        for factor in [8.0, 32.0] {
            let mut config = config();
            llama3_of_factors(&mut config, &divisors(factor)).unwrap();
            assert_eq!(config.rope_scaling_kind, RopeScalingKind::Llama3);
            assert_eq!(config.rope_scaling_factor, factor);
            assert_eq!(config.rope_scaling_params, PARAMS);
        }
        let mut plain = config();
        llama3_of_factors(&mut plain, &[1.0; 32]).unwrap();
        assert_eq!(plain, config());
        let mut odd = divisors(8.0);
        odd[20] *= 1.01;
        let error = llama3_of_factors(&mut plain, &odd).unwrap_err();
        assert_eq!(error.kind, ImportErrorKind::OptionUnsupported);
        let nan = [f32::NAN; 4];
        assert!(llama3_of_factors(&mut plain, &nan).is_err());
    }
}
