//! Rotary options of `config.json`: `rope_theta` and `rope_scaling`, or `rope_parameters` since
//! transformers 5, there also one set per kind of layer.
//!
//! Source: transformers `modeling_rope_utils.py`.

use super::hf_fields::{HfFields, bad_value, unsupported};
use crate::error::ImportError;
use alloc::format;
use alloc::vec;
use cultivar_core::math::ln_f64;
use cultivar_core::package::{ModelConfig, RopeScalingKind};

/// Sets base, scaling and rotated fraction. `theta` is the class's default base.
pub(super) fn set_rope(
    config: &mut ModelConfig,
    fields: HfFields<'_>,
    theta: f64,
) -> Result<(), ImportError> {
    let parameters = fields.object("rope_parameters");
    // Gemma 3 has one set per kind of layer; the full layers' is the model's.
    let of_kind = parameters.and_then(|sets| sets.object("full_attention"));
    let parameters = of_kind.or(parameters);
    let of_set = |key: &str| match parameters {
        Some(set) => set.real(key),
        None => Ok(None),
    };
    let given = fields.real("rope_theta")?.or(of_set("rope_theta")?);
    config.rope_theta = given.or(fields.real("rotary_emb_base")?).unwrap_or(theta);
    let fraction = of_set("partial_rotary_factor")?;
    let fraction = fraction.or(fields.real("partial_rotary_factor")?);
    if let Some(fraction) = fraction.or(fields.real("rotary_pct")?) {
        set_fraction(config, fraction)?;
    }
    match parameters.or(fields.object("rope_scaling")) {
        Some(set) => set_scaling(config, set),
        None => Ok(()),
    }
}

/// The base of sliding layers, where it is another.
pub(super) fn local_theta(fields: HfFields<'_>, default: f64) -> Result<f64, ImportError> {
    let sets = fields.object("rope_parameters");
    let of_kind = sets.and_then(|sets| sets.object("sliding_attention"));
    let given = match of_kind {
        Some(set) => set.real("rope_theta")?,
        None => fields.real("rope_local_base_freq")?,
    };
    Ok(given.unwrap_or(default))
}

/// As transformers does: `int(head_dim * fraction)` elements rotate.
fn set_fraction(config: &mut ModelConfig, fraction: f64) -> Result<(), ImportError> {
    if !(0.0..=1.0).contains(&fraction) || config.head_dim == 0 {
        return Err(bad_value("partial_rotary_factor"));
    }
    let n = (config.head_dim as f64 * fraction) as usize;
    config.rotary_fraction = n as f64 / config.head_dim as f64;
    Ok(())
}

fn set_scaling(config: &mut ModelConfig, set: HfFields<'_>) -> Result<(), ImportError> {
    let kind = set.text("rope_type")?.or(set.text("type")?);
    let factor = set.real("factor")?.unwrap_or(1.0);
    let original = set.real("original_max_position_embeddings")?;
    let original = original.unwrap_or(config.context_len as f64);
    match kind.unwrap_or("default") {
        "default" => return Ok(()),
        "linear" if factor == 1.0 => return Ok(()),
        "linear" => config.rope_scaling_kind = RopeScalingKind::Linear,
        "llama3" => {
            let low = set.real("low_freq_factor")?;
            let high = set.real("high_freq_factor")?;
            config.rope_scaling_kind = RopeScalingKind::Llama3;
            config.rope_scaling_params = vec![
                low.ok_or_else(|| bad_value("low_freq_factor"))?,
                high.ok_or_else(|| bad_value("high_freq_factor"))?,
                original,
            ];
        }
        "yarn" => {
            if factor < 1.0 {
                return Err(bad_value("factor"));
            }
            let fast = set.real("beta_fast")?.unwrap_or(32.0);
            let slow = set.real("beta_slow")?.unwrap_or(1.0);
            let attention_factor = yarn_attention_factor(set, factor)?;
            let is_whole = set.flag("truncate", true)?;
            config.rope_scaling_kind = RopeScalingKind::Yarn;
            let is_whole = f64::from(u8::from(is_whole));
            config.rope_scaling_params = vec![fast, slow, original, attention_factor, is_whole];
        }
        other => {
            let named = format!("rope_scaling.rope_type: {other}");
            return Err(unsupported(&named));
        }
    }
    config.rope_scaling_factor = factor;
    Ok(())
}

/// `attention_factor`, or what `mscale` and `mscale_all_dim` or the factor make of it.
fn yarn_attention_factor(set: HfFields<'_>, factor: f64) -> Result<f64, ImportError> {
    if let Some(given) = set.real("attention_factor")? {
        return Ok(given);
    }
    let of = |mscale: f64| 1.0 + 0.1 * mscale * ln_f64(factor);
    let both = set.real("mscale")?.zip(set.real("mscale_all_dim")?);
    Ok(match both {
        Some((one, all)) if one != 0.0 && all != 0.0 => of(one) / of(all),
        _ => of(1.0),
    })
}
