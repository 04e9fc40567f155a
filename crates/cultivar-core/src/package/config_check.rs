//! Which configurations are valid, and which of those the engine runs.
//!
//! Valid is a matter of the format and never shrinks; supported grows with the engine. Both name
//! the option that is at fault. All products are checked, because sizes come from a file.

use super::config::{ModelConfig, NormPlace, PositionKind, RopeScalingKind};
use super::config_error::{ConfigError, ConfigErrorKind};
use super::limits;

/// An option that counts something, and its least and greatest value.
struct CountRange {
    key: &'static str,
    value: fn(&ModelConfig) -> usize,
    min: usize,
    max: usize,
}

/// An option that measures something, and its least and greatest value.
struct RealRange {
    key: &'static str,
    value: fn(&ModelConfig) -> f64,
    min: f64,
    max: f64,
}

macro_rules! count {
    ($key:ident, $min:expr, $max:expr) => {
        CountRange {
            key: stringify!($key),
            value: |c| c.$key,
            min: $min,
            max: $max,
        }
    };
}

macro_rules! real {
    ($key:ident, $min:expr, $max:expr) => {
        RealRange {
            key: stringify!($key),
            value: |c| c.$key,
            min: $min,
            max: $max,
        }
    };
}

const COUNT_RANGES: &[CountRange] = &[
    count!(d_model, 1, limits::D_MODEL_MAX),
    count!(d_ff, 1, limits::D_FF_MAX),
    count!(n_layers, 1, limits::LAYERS_MAX),
    count!(n_heads, 1, limits::HEADS_MAX),
    count!(n_kv_heads, 1, limits::HEADS_MAX),
    count!(head_dim, 1, limits::HEAD_DIM_MAX),
    count!(vocab_size, 1, limits::VOCAB_MAX),
    count!(context_len, 1, limits::CONTEXT_MAX),
    count!(sliding_window, 0, limits::CONTEXT_MAX),
];

const REAL_RANGES: &[RealRange] = &[
    real!(norm_eps, 1e-12, 1.0),
    real!(rope_theta, 1.0, 1e12),
    real!(rope_scaling_factor, 1.0, 1e6),
    real!(rotary_fraction, 0.0009765625, 1.0),
    real!(attention_scale, 0.0, 1e6),
    real!(attention_softcap, 0.0, 1e6),
    real!(logits_softcap, 0.0, 1e6),
    real!(embedding_scale, 1e-6, 1e6),
];

/// Least and greatest value of an option that has a range.
pub(super) fn range_of(key: &str) -> Option<(f64, f64)> {
    let count = COUNT_RANGES.iter().find(|range| range.key == key);
    let real = REAL_RANGES.iter().find(|range| range.key == key);
    match (count, real) {
        (Some(range), _) => Some((range.min as f64, range.max as f64)),
        (None, Some(range)) => Some((range.min, range.max)),
        (None, None) => None,
    }
}

impl ModelConfig {
    /// Whether the options are in range and agree with one another.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for range in COUNT_RANGES {
            let value = (range.value)(self);
            require(
                value >= range.min && value <= range.max,
                ConfigErrorKind::Range,
                range.key,
            )?;
        }
        for range in REAL_RANGES {
            let value = (range.value)(self);
            require(
                value >= range.min && value <= range.max,
                ConfigErrorKind::Range,
                range.key,
            )?;
        }
        let is_divisible = self.n_heads.is_multiple_of(self.n_kv_heads);
        require(
            is_divisible,
            ConfigErrorKind::HeadsNotDivisible,
            "n_kv_heads",
        )?;
        self.validate_rotation()?;
        self.validate_layers()?;
        self.validate_sizes()
    }

    /// Elements of each head that are rotated.
    pub fn rotary_dim(&self) -> usize {
        (self.head_dim as f64 * self.rotary_fraction) as usize
    }

    fn validate_rotation(&self) -> Result<(), ConfigError> {
        let is_rotated = self.position_kind == PositionKind::Rope;
        let exact = self.head_dim as f64 * self.rotary_fraction;
        let rotary_dim = self.rotary_dim();
        let is_even = rotary_dim > 0 && rotary_dim.is_multiple_of(2);
        let is_exact = rotary_dim as f64 == exact;
        let key = if self.rotary_fraction == 1.0 {
            "head_dim"
        } else {
            "rotary_fraction"
        };
        require(
            !is_rotated || (is_even && is_exact),
            ConfigErrorKind::RotaryDim,
            key,
        )?;

        let thetas = &self.rope_theta_per_layer;
        let key = "rope_theta_per_layer";
        if !thetas.is_empty() {
            require(
                thetas.len() == self.n_layers,
                ConfigErrorKind::LayerList,
                key,
            )?;
            let in_range = thetas.iter().all(|theta| (1.0..=1e12).contains(theta));
            require(in_range, ConfigErrorKind::Range, key)?;
            let differs = thetas.iter().any(|theta| *theta != self.rope_theta);
            require(is_rotated && differs, ConfigErrorKind::NoEffect, key)?;
        }
        let is_scaled = self.rope_scaling_kind != RopeScalingKind::None;
        let no_effect = ConfigErrorKind::NoEffect;
        require(is_rotated || !is_scaled, no_effect, "rope_scaling_kind")?;
        require(
            is_rotated || self.rotary_fraction == 1.0,
            no_effect,
            "rotary_fraction",
        )?;
        require(
            is_rotated || self.rope_theta == 10000.0,
            no_effect,
            "rope_theta",
        )?;
        self.validate_rope_scaling()
    }

    fn validate_rope_scaling(&self) -> Result<(), ConfigError> {
        let kind = self.rope_scaling_kind;
        let is_scaled = kind != RopeScalingKind::None;
        let no_effect = ConfigErrorKind::NoEffect;
        let has_factor = self.rope_scaling_factor != 1.0;
        require(is_scaled || !has_factor, no_effect, "rope_scaling_factor")?;
        let has_params = !self.rope_scaling_params.is_empty();
        require(is_scaled || !has_params, no_effect, "rope_scaling_params")?;
        let original = 1.0..=1e9;
        let are_params_right = match (kind, self.rope_scaling_params.as_slice()) {
            (RopeScalingKind::None | RopeScalingKind::Linear, []) => true,
            (RopeScalingKind::Llama3, [low, high, original_len]) => {
                *low > 0.0 && low < high && *high <= 1e6 && original.contains(original_len)
            }
            (RopeScalingKind::Yarn, [fast, slow, original_len, factor, is_whole]) => {
                let are_turns = *slow > 0.0 && slow <= fast && *fast <= 1e6;
                let is_factor = *factor > 0.0 && *factor <= 1e3;
                let is_flag = *is_whole == 0.0 || *is_whole == 1.0;
                are_turns && original.contains(original_len) && is_factor && is_flag
            }
            _ => false,
        };
        let range = ConfigErrorKind::Range;
        require(are_params_right, range, "rope_scaling_params")?;
        // YaRN divides by the logarithm of the base.
        let mut thetas = (0..self.n_layers).map(|layer_idx| self.layer_rope_theta(layer_idx));
        let has_logarithm = kind != RopeScalingKind::Yarn || thetas.all(|theta| theta > 1.0);
        require(has_logarithm, range, "rope_theta")?;

        let (layers, key) = (&self.rope_scaling_layers, "rope_scaling_layers");
        if !layers.is_empty() {
            let is_whole = layers.len() == self.n_layers;
            require(is_whole, ConfigErrorKind::LayerList, key)?;
            require(layers.iter().all(|layer| *layer <= 1), range, key)?;
            let differs = layers.contains(&0) && layers.contains(&1);
            require(is_scaled && differs, no_effect, key)?;
        }
        Ok(())
    }

    fn validate_layers(&self) -> Result<(), ConfigError> {
        let kinds = &self.attention_kinds;
        if !kinds.is_empty() {
            let key = "attention_kinds";
            require(
                kinds.len() == self.n_layers,
                ConfigErrorKind::LayerList,
                key,
            )?;
            require(
                kinds.iter().all(|kind| *kind <= 1),
                ConfigErrorKind::Range,
                key,
            )?;
            require(kinds.contains(&1), ConfigErrorKind::NoEffect, key)?;
            require(
                self.sliding_window > 0,
                ConfigErrorKind::Range,
                "sliding_window",
            )?;
        } else {
            require(
                self.sliding_window == 0,
                ConfigErrorKind::NoEffect,
                "sliding_window",
            )?;
        }
        Ok(())
    }

    /// Each matrix that follows from the sizes has fewer than 2^31 elements.
    fn validate_sizes(&self) -> Result<(), ConfigError> {
        let q_dim = self.n_heads as u64 * self.head_dim as u64;
        let is_learned = self.position_kind == PositionKind::Learned;
        let n_learned = if is_learned { self.context_len } else { 0 };
        for (d_out, d_in, key) in [
            (self.vocab_size as u64, self.d_model as u64, "vocab_size"),
            (self.d_ff as u64, self.d_model as u64, "d_ff"),
            (q_dim, self.d_model as u64, "head_dim"),
            (n_learned as u64, self.d_model as u64, "context_len"),
        ] {
            let n_elements = d_out.checked_mul(d_in);
            let fits = n_elements.is_some_and(|n| n < limits::DIM_LIMIT);
            require(fits, ConfigErrorKind::TooLarge, key)?;
        }
        Ok(())
    }

    /// Whether the engine runs this configuration; names the first option that it does not run.
    ///
    /// Valid configurations that are not supported are parsed and described, not executed. Every
    /// option runs at every valid value, but for the combinations below, which no known model has.
    pub fn check_supported(&self) -> Result<(), ConfigError> {
        let is_plain_place = self.norm_place == NormPlace::Pre;
        let runs = !self.parallel_residual || is_plain_place;
        require(runs, ConfigErrorKind::Unsupported, "parallel_residual")
    }
}

fn require(holds: bool, kind: ConfigErrorKind, key: &'static str) -> Result<(), ConfigError> {
    if holds {
        Ok(())
    } else {
        Err(ConfigError { kind, key })
    }
}
