//! Half floats over all their bits: widening is exact, narrowing rounds to nearest, ties to even.

use cultivar_core::rng::{Purpose, draw};
use cultivar_core::tensor::half::{
    bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16, raise, raised_to_f32,
};

const SEED: u64 = 7;

/// What an f16 means, in f64.
fn f16_value(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction > 0.0 => f64::NAN,
        31 => f64::INFINITY,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 {
        -magnitude
    } else {
        magnitude
    }
}

#[test]
fn every_half_float_widens_exactly_and_comes_back() {
    for bits in 0..=u16::MAX {
        let (value, wide) = (f16_value(bits), f16_to_f32(bits));
        assert!(
            f64::from(wide) == value || wide.is_nan() && value.is_nan(),
            "{bits:#x}"
        );
        assert_eq!(wide.is_sign_negative(), bits >> 15 == 1);
        let back = f32_to_f16(wide);
        assert!(
            back == bits || value.is_nan() && f16_value(back).is_nan(),
            "{bits:#x}"
        );
        let wide = bf16_to_f32(bits);
        assert_eq!(wide.to_bits(), u32::from(bits) << 16);
        let back = f32_to_bf16(wide);
        assert!(
            back == bits || wide.is_nan() && bf16_to_f32(back).is_nan(),
            "{bits:#x}"
        );
    }
}

#[test]
fn floats_round_to_the_nearest_half_float_ties_to_even() {
    // Around each f16 and each midpoint of two neighbours: one f32 step below, on, and above.
    for low in 0..0x7bffu16 {
        let high = low + 1;
        let middle = ((f16_value(low) + f16_value(high)) / 2.0) as f32;
        let even = if low % 2 == 0 { low } else { high };
        let below = f32::from_bits(middle.to_bits() - 1);
        let above = f32::from_bits(middle.to_bits() + 1);
        for (value, expected) in [(below, low), (middle, even), (above, high)] {
            assert_eq!(f32_to_f16(value), expected, "{value:e}");
            assert_eq!(f32_to_f16(-value), expected | 0x8000, "{value:e}");
        }
    }
    for (value, expected) in [(65519.996, 0x7bff), (65520.0, 0x7c00), (f32::MAX, 0x7c00)] {
        assert_eq!(f32_to_f16(value), expected);
    }
    let tiniest = f32::from_bits(1);
    assert_eq!((f32_to_f16(tiniest), f32_to_f16(-tiniest)), (0, 0x8000));
    for i in 0..100_000 {
        let value = f32::from_bits(draw(SEED, Purpose::SelfTest, i)[0]);
        if value.is_finite() {
            let (low, bits) = (value.to_bits() >> 16, value.to_bits() & 0xffff);
            let up = bits > 0x8000 || bits == 0x8000 && low % 2 == 1;
            assert_eq!(
                u32::from(f32_to_bf16(value)),
                low + u32::from(up),
                "{value:e}"
            );
        }
    }
    assert!(bf16_to_f32(f32_to_bf16(f32::from_bits(0x7f80_0001))).is_nan());
    assert!(f16_to_f32(f32_to_f16(f32::from_bits(0xff80_0001))).is_nan());
}

#[test]
fn raised_half_floats_come_back_as_they_were() {
    // Sets whose largest is of each exponent, and everything below it, zeros of both signs too.
    for largest in (0..0x7c00u16).step_by(0x3ff) {
        let bits: Vec<u16> = (0..=largest).flat_map(|b| [b, b | 0x8000]).collect();
        let values: Vec<f32> = bits.iter().map(|b| f16_to_f32(*b)).collect();
        let (raised, unit) = raise(&values).unwrap();
        for (raised, bits) in raised.iter().zip(&bits) {
            let back = raised_to_f32(*raised, unit);
            assert_eq!(back.to_bits(), f16_to_f32(*bits).to_bits(), "{bits:#x}");
        }
        // As high as can be: nothing is left subnormal that need not be.
        let top = raised.iter().map(|b| b & 0x7fff).max().unwrap();
        assert!(largest == 0 || top >= 0x7800, "{largest:#x}: {top:#x}");
    }
    for special in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        assert_eq!(raise(&[1.0, special]), None);
    }
}
