//! How a configuration is stored: one row per option, the same rows for reading and writing.
//!
//! A value equal to its default is absent; a stored default, an unknown option and a missing
//! required one are refused by name. A new option is one field of `ModelConfig` and one row here.

use super::config::{ModelConfig, ModelSize};
use super::config_options::{
    Activation, FfnKind, NormKind, NormPlace, PositionKind, QkNorm, RopeScalingKind,
};
use super::error::{PackageError, PackageErrorKind};
use super::record_writer::{RecordWriter, stored_f64, stored_f64_list, stored_value};
use super::records::{Record, Records};
use super::value::{Value, kind};
use alloc::vec::Vec;

/// A type that options have.
trait Field: Sized {
    /// The value of this type; an error names the rule that the stored value breaks.
    fn read(value: &Value<'_>) -> Result<Self, PackageErrorKind>;
    /// The value as records store it.
    fn stored(&self) -> Vec<u8>;
}

impl Field for usize {
    fn read(value: &Value<'_>) -> Result<Self, PackageErrorKind> {
        let Value::U64(value) = value else {
            return Err(PackageErrorKind::WrongValueKind);
        };
        // Every count has a limit far below 2^31, which `ModelConfig::validate` checks.
        let is_small = *value < super::limits::DIM_LIMIT;
        usize::try_from(*value)
            .ok()
            .filter(|_| is_small)
            .ok_or(PackageErrorKind::ValueRange)
    }

    fn stored(&self) -> Vec<u8> {
        stored_value(kind::U64, &(*self as u64).to_le_bytes())
    }
}

impl Field for f64 {
    fn read(value: &Value<'_>) -> Result<Self, PackageErrorKind> {
        match value {
            Value::F64(value) => Ok(*value),
            _ => Err(PackageErrorKind::WrongValueKind),
        }
    }

    fn stored(&self) -> Vec<u8> {
        stored_f64(*self)
    }
}

impl Field for bool {
    fn read(value: &Value<'_>) -> Result<Self, PackageErrorKind> {
        match value {
            Value::Bool(value) => Ok(*value),
            _ => Err(PackageErrorKind::WrongValueKind),
        }
    }

    fn stored(&self) -> Vec<u8> {
        stored_value(kind::BOOL, &[u8::from(*self)])
    }
}

impl Field for Vec<f64> {
    fn read(value: &Value<'_>) -> Result<Self, PackageErrorKind> {
        match value {
            Value::F64List(list) => Ok(list
                .iter()
                .map(|bytes| f64::from_le_bytes(*bytes))
                .collect()),
            _ => Err(PackageErrorKind::WrongValueKind),
        }
    }

    fn stored(&self) -> Vec<u8> {
        stored_f64_list(self)
    }
}

impl Field for Vec<u32> {
    fn read(value: &Value<'_>) -> Result<Self, PackageErrorKind> {
        match value {
            Value::U32List(list) => Ok(list
                .iter()
                .map(|bytes| u32::from_le_bytes(*bytes))
                .collect()),
            _ => Err(PackageErrorKind::WrongValueKind),
        }
    }

    fn stored(&self) -> Vec<u8> {
        let payload: Vec<u8> = self.iter().flat_map(|value| value.to_le_bytes()).collect();
        stored_value(kind::U32_LIST, &payload)
    }
}

macro_rules! named_fields {
    ($($type:ident)*) => {$(
        impl Field for $type {
            fn read(value: &Value<'_>) -> Result<Self, PackageErrorKind> {
                let name = value.as_text().ok_or(PackageErrorKind::WrongValueKind)?;
                $type::from_name(name).ok_or(PackageErrorKind::UnknownChoice)
            }

            fn stored(&self) -> Vec<u8> {
                stored_value(kind::TEXT, self.name().as_bytes())
            }
        }
    )*};
}

named_fields! { Activation FfnKind NormKind NormPlace PositionKind QkNorm RopeScalingKind }

/// One option: its name and how it moves between a configuration and its stored form.
pub(super) struct ConfigKey {
    /// The key, which is also the field's name.
    pub(super) name: &'static str,
    read: fn(&mut ModelConfig, &Value<'_>) -> Result<(), PackageErrorKind>,
    stored: fn(&ModelConfig) -> Vec<u8>,
}

impl ConfigKey {
    /// Whether two configurations agree in this option.
    pub(super) fn is_equal(&self, a: &ModelConfig, b: &ModelConfig) -> bool {
        (self.stored)(a) == (self.stored)(b)
    }
}

macro_rules! key {
    ($field:ident) => {
        ConfigKey {
            name: stringify!($field),
            read: |config, value| {
                config.$field = Field::read(value)?;
                Ok(())
            },
            stored: |config| config.$field.stored(),
        }
    };
}

/// The options without a default.
const REQUIRED_KEYS: [&str; 6] = [
    "context_len",
    "d_ff",
    "d_model",
    "n_heads",
    "n_layers",
    "vocab_size",
];

/// The option that does not belong to `architecture`: how far a model was trained, not what it is.
const CONTEXT_KEY: &str = "context_len";

/// Every option of a model, ascending by name.
pub(super) const KEYS: &[ConfigKey] = &[
    key!(activation),
    key!(attention_kinds),
    key!(attention_out_bias),
    key!(attention_scale),
    key!(attention_softcap),
    key!(context_len),
    key!(d_ff),
    key!(d_model),
    key!(embedding_scale),
    key!(ffn_bias),
    key!(ffn_kind),
    key!(head_dim),
    key!(logits_softcap),
    key!(n_heads),
    key!(n_kv_heads),
    key!(n_layers),
    key!(norm_eps),
    key!(norm_kind),
    key!(norm_place),
    key!(parallel_residual),
    key!(position_kind),
    key!(qk_norm),
    key!(qkv_bias),
    key!(rope_scaling_factor),
    key!(rope_scaling_kind),
    key!(rope_scaling_layers),
    key!(rope_scaling_params),
    key!(rope_theta),
    key!(rope_theta_per_layer),
    key!(rotary_fraction),
    key!(sliding_window),
    key!(tied_output),
    key!(vocab_size),
];

impl ModelConfig {
    /// The configuration that a config section stores; valid in itself.
    pub fn from_records(records: &Records<'_>) -> Result<ModelConfig, PackageError> {
        let mut config = ModelConfig::new(read_size(records)?);
        let defaults = config.clone();
        for record in records.iter() {
            let key = find_key(&record)
                .ok_or_else(|| records.refuse(PackageErrorKind::UnknownKey, &record))?;
            (key.read)(&mut config, &record.value).map_err(|kind| records.refuse(kind, &record))?;
            let is_default = (key.stored)(&defaults) == record.stored;
            if is_default && !REQUIRED_KEYS.contains(&key.name) {
                return Err(records.refuse(PackageErrorKind::RedundantDefault, &record));
            }
        }
        config.validate().map_err(|error| {
            let offset = records
                .get(error.key)
                .map_or(records.offset(), |record| record.offset);
            let kind = PackageErrorKind::Config(error.kind);
            PackageError::within(kind, records.section(), offset).named(error.key)
        })?;
        Ok(config)
    }

    /// The configuration as a config section stores it.
    pub fn to_records(&self) -> RecordWriter {
        let defaults = ModelConfig::new(self.size());
        let mut records = RecordWriter::new();
        for key in KEYS {
            if REQUIRED_KEYS.contains(&key.name) || !key.is_equal(self, &defaults) {
                records.stored(key.name, (key.stored)(self));
            }
        }
        records
    }

    /// The options that change the function, in stored form: all but `context_len`.
    pub(super) fn function_records(&self) -> RecordWriter {
        let mut records = self.to_records();
        records.remove(CONTEXT_KEY);
        records
    }
}

/// The required options, from which the defaults of others follow.
fn read_size(records: &Records<'_>) -> Result<ModelSize, PackageError> {
    let count = |key| {
        let record = records.require(key)?;
        <usize as Field>::read(&record.value).map_err(|kind| records.refuse(kind, &record))
    };
    Ok(ModelSize {
        d_model: count("d_model")?,
        d_ff: count("d_ff")?,
        n_layers: count("n_layers")?,
        n_heads: count("n_heads")?,
        vocab_size: count("vocab_size")?,
        context_len: count("context_len")?,
    })
}

fn find_key(record: &Record<'_>) -> Option<&'static ConfigKey> {
    let idx = KEYS.binary_search_by(|key| key.name.cmp(record.key)).ok()?;
    KEYS.get(idx)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::SectionId;

    fn small() -> ModelConfig {
        let mut config = ModelConfig::new(ModelSize {
            d_model: 8,
            d_ff: 16,
            n_layers: 2,
            n_heads: 4,
            vocab_size: 32,
            context_len: 64,
        });
        config.n_kv_heads = 2;
        config
    }

    fn there_and_back(config: &ModelConfig) -> Result<ModelConfig, PackageError> {
        let bytes = config.to_records().finish();
        ModelConfig::from_records(&Records::parse(SectionId::CONFIG, &bytes, 0)?)
    }

    #[test]
    fn keys_ascend_and_are_complete() {
        assert!(KEYS.array_windows().all(|[a, b]| a.name < b.name));
        assert_eq!(KEYS.len(), 33);
        assert!(
            REQUIRED_KEYS
                .iter()
                .all(|name| KEYS.iter().any(|key| key.name == *name))
        );
    }

    #[test]
    fn every_option_survives() {
        let mut config = small();
        assert_eq!(there_and_back(&config), Ok(config.clone()));
        config.head_dim = 16;
        config.norm_kind = NormKind::Layer;
        config.norm_place = NormPlace::PreAndPost;
        config.norm_eps = 1e-6;
        config.activation = Activation::GeluTanh;
        config.ffn_kind = FfnKind::Plain;
        config.rope_theta = 1e6;
        config.rope_theta_per_layer = [1e6, 1e4].into();
        config.rope_scaling_kind = RopeScalingKind::Llama3;
        config.rope_scaling_factor = 8.0;
        config.rope_scaling_params = [1.0, 4.0, 8192.0].into();
        config.rope_scaling_layers = [1, 0].into();
        config.rotary_fraction = 0.5;
        config.attention_kinds = [0, 1].into();
        config.sliding_window = 16;
        config.attention_scale = 0.25;
        config.attention_softcap = 50.0;
        config.logits_softcap = 30.0;
        config.qk_norm = QkNorm::Head;
        config.qkv_bias = true;
        config.attention_out_bias = true;
        config.ffn_bias = true;
        config.parallel_residual = true;
        config.embedding_scale = 2.5;
        config.tied_output = true;
        assert_eq!(there_and_back(&config), Ok(config.clone()));
        assert_eq!(
            config.check_supported().map_err(|error| error.key),
            Err("parallel_residual")
        );
        assert_eq!(small().check_supported(), Ok(()));
    }

    #[test]
    fn every_option_of_a_plain_model_is_absent_but_the_six() {
        let mut config = small();
        config.n_kv_heads = 4;
        let bytes = config.to_records().finish();
        let records = Records::parse(SectionId::CONFIG, &bytes, 0);
        let keys = records.map(|records| records.iter().map(|r| r.key).collect::<Vec<_>>());
        assert_eq!(keys, Ok(REQUIRED_KEYS.to_vec()));
    }
}
