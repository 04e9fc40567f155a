//! Mathematical functions of our own: the same bits on every target, from + − × ÷ and bit steps.
//!
//! `core` has none of them and every host's differ. Nothing here may call the standard library's
//! or an intrinsic; accuracy ceilings are tested and listed in `docs/numerics.md`.

mod erf;
mod exp;
mod log;
mod pow;
mod rounding;
mod sqrt;
mod tanh;
mod trigonometry;

pub use erf::erf_f32;
pub use exp::{
    EXP_F32_MAX, EXP_F32_MIN, EXP_F32_POLYNOMIAL, LN_2_HIGH_F32, LN_2_LOW_F32, ROUNDING_F32,
    exp_f32, exp_f64,
};
pub use log::ln_f64;
pub use pow::pow_f64;
pub use rounding::{
    floor_f32, floor_f64, round_f32, round_f64, round_ties_even_f32, round_ties_even_f64,
};
pub use sqrt::{sqrt_f32, sqrt_f64};
pub use tanh::tanh_f32;
pub use trigonometry::{cos_f64, sin_f64};
