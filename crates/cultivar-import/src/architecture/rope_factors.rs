//! `rope_freqs.weight`: the divisors of Llama 3's rotary frequencies, written out by ggml's
//! converter, back into the numbers they were computed from.
//!
//! Only the ratios of low and high frequency factor and original context matter, so the low factor
//! is taken for 1. Llama 3.1's own numbers are tried first, then what the divisors between 1 and
//! the factor say; divisors that follow no such rule are refused. The exporter writes them too.

use crate::error::{ImportError, ImportErrorKind};
use alloc::vec;
use alloc::vec::Vec;
use cultivar_core::math::pow_f64;
use cultivar_core::package::{ModelConfig, RopeScalingKind};

/// Low and high frequency factor, original context: those of Llama 3.1 and 3.2.
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
    let found = candidates(config.rope_theta, divisors, factor);
    let fits = |params: &&[f64; 3]| {
        let expected = llama3_divisors(config.rope_theta, divisors.len(), factor, params);
        let mut pairs = expected.zip(divisors);
        pairs.all(|(expected, divisor)| (f64::from(*divisor) / expected - 1.0).abs() < TOLERANCE)
    };
    let Some(params) = found.iter().find(fits).filter(|_| factor.is_finite()) else {
        let error = ImportError::new(ImportErrorKind::OptionUnsupported);
        return Err(error.field("rope_freqs.weight"));
    };
    if factor > 1.0 {
        config.rope_scaling_kind = RopeScalingKind::Llama3;
        config.rope_scaling_factor = factor;
        config.rope_scaling_params = params.to_vec();
    }
    Ok(())
}

/// Numbers that may have given these divisors, the likeliest first.
///
/// Between 1 and the factor, `(1/divisor - 1/factor) / (1 - 1/factor)` is
/// `(original / wavelength - 1) / (high - 1)`: one such divisor gives the original context for
/// Llama's ratio of 4, two give the ratio too; where there is none, any power of two may be meant.
fn candidates(theta: f64, divisors: &[f32], factor: f64) -> Vec<[f64; 3]> {
    let mut found = vec![PARAMS];
    let n_pairs = divisors.len();
    let between = (0..n_pairs).zip(divisors).filter_map(|(i, divisor)| {
        let divisor = f64::from(*divisor);
        let smooth = (1.0 / divisor - 1.0 / factor) / (1.0 - 1.0 / factor);
        let is_between = divisor > 1.0 + TOLERANCE && divisor < factor * (1.0 - TOLERANCE);
        is_between.then(|| (1.0 / wavelength(theta, i, n_pairs), smooth))
    });
    let between: Vec<(f64, f64)> = between.collect();
    let mut add = |high: f64, original: f64| {
        // These numbers are whole in every file that was seen.
        let [high, original] = [high, original].map(|n| ((n + 0.5) as u32).into());
        found.push([1.0, high, original]);
    };
    match (between.first(), between.last()) {
        (Some(&(x, smooth)), Some(&(last_x, last_smooth))) => {
            add(4.0, (3.0 * smooth + 1.0) / x);
            let slope = (smooth - last_smooth) / (x - last_x);
            let high = 1.0 - 1.0 / (smooth - slope * x);
            add(high, slope * (high - 1.0));
        }
        _ => (0..24).for_each(|power| add(4.0, f64::from(1_u32 << power))),
    }
    found
}

/// The divisors of `n_pairs` frequencies under these numbers: low and high factor, context.
pub(crate) fn llama3_divisors(
    theta: f64,
    n_pairs: usize,
    factor: f64,
    params: &[f64; 3],
) -> impl Iterator<Item = f64> {
    let params = *params;
    (0..n_pairs).map(move |i| llama3_divisor(wavelength(theta, i, n_pairs), factor, params))
}

/// The wavelength of frequency `i`.
fn wavelength(theta: f64, i: usize, n_pairs: usize) -> f64 {
    2.0 * core::f64::consts::PI * pow_f64(theta, i as f64 / n_pairs as f64)
}

/// What the frequency of a wavelength is divided by. Source: transformers
/// `modeling_rope_utils.py`, `_compute_llama3_parameters`.
fn llama3_divisor(wavelength: f64, factor: f64, [low, high, original]: [f64; 3]) -> f64 {
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
        let divisors = |factor, params: &[f64; 3]| -> Vec<f32> {
            let divisors = llama3_divisors(5e5, 32, factor, params);
            divisors.map(|divisor| divisor as f32).collect()
        };
        for params in [
            PARAMS,
            [1.0, 4.0, 256.0],
            [1.0, 8.0, 1024.0],
            [1.0, 3.0, 6000.0],
        ] {
            for factor in [8.0, 32.0] {
                let mut config = config();
                llama3_of_factors(&mut config, &divisors(factor, &params)).unwrap();
                assert_eq!(config.rope_scaling_kind, RopeScalingKind::Llama3);
                assert_eq!(config.rope_scaling_factor, factor);
                assert_eq!(config.rope_scaling_params, params);
            }
        }
        // Two frequencies far apart say only that the context lies between them.
        let mut config_of_two = config();
        llama3_of_factors(&mut config_of_two, &[1.0, 8.0]).unwrap();
        let params = <[f64; 3]>::try_from(config_of_two.rope_scaling_params).unwrap();
        let back: Vec<f64> = llama3_divisors(5e5, 2, 8.0, &params).collect();
        assert_eq!(back, [1.0, 8.0]);
        let mut plain = config();
        llama3_of_factors(&mut plain, &[1.0; 32]).unwrap();
        assert_eq!(plain, config());
        let mut odd = divisors(8.0, &PARAMS);
        odd[20] *= 1.01;
        let error = llama3_of_factors(&mut plain, &odd).unwrap_err();
        assert_eq!(error.kind, ImportErrorKind::OptionUnsupported);
        for bad in [[f32::NAN; 4], [f32::INFINITY; 4], [0.0; 4], [-1.0; 4]] {
            assert!(llama3_of_factors(&mut plain, &bad).is_err(), "{bad:?}");
        }
    }
}
