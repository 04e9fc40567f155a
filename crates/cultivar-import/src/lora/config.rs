//! `adapter_config.json`: what PEFT says of an adapter, as far as it changes the function.
//!
//! Fields that only training used are ignored; every field that names a variant which is not plain
//! LoRA is looked at, and refused by name where it is in use.

use super::error::{LoraError, LoraRule};
use super::module_pattern::says;
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::json::{self, JsonValue};
use cultivar_core::math::sqrt_f64;

/// Fields that make an adapter something else than `B A` beside a matrix, whenever they are set.
const VARIANTS: &[(&str, &str)] = &[
    ("use_dora", "DoRA"),
    ("use_qalora", "QALoRA"),
    ("use_bdlora", "BD-LoRA"),
    ("lora_bias", "a bias of lora_B"),
    ("modules_to_save", "modules_to_save"),
    ("trainable_token_indices", "trainable_token_indices"),
    ("target_parameters", "target_parameters"),
    ("layer_replication", "layer_replication"),
    ("alora_invocation_tokens", "aLoRA"),
    ("arrow_config", "Arrow"),
    ("kasa_config", "KaSA"),
    ("velora_config", "VeLoRA"),
    ("monteclora_config", "MonteCLoRA"),
];

/// Ways of initializing that change the base's own weights.
const CHANGED_BASES: &[&str] = &["pissa", "olora", "corda", "lora_ga"];

/// How an adapter is scaled.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LoraConfig {
    alpha: f64,
    /// Alphas of modules by expressions that say their names, or what stands behind a dot.
    alpha_pattern: Vec<(String, f64)>,
    uses_rslora: bool,
    /// What the base was called.
    pub base_name: String,
}

impl LoraConfig {
    /// Reads the file.
    pub fn parse(bytes: &[u8]) -> Result<LoraConfig, LoraError> {
        let value = json::parse(bytes)?;
        let text = |key: &str| value.get(key).and_then(JsonValue::as_str);
        match text("peft_type") {
            Some("LORA") => {}
            Some(other) => return Err(LoraError::new(LoraRule::OtherKind, other)),
            None => return Err(LoraError::new(LoraRule::ConfigField, "peft_type")),
        }
        for (field, name) in VARIANTS {
            if value.get(field).is_some_and(is_set) {
                return Err(LoraError::new(LoraRule::Variant, name));
            }
        }
        if text("bias").is_some_and(|bias| bias != "none") {
            return Err(LoraError::new(LoraRule::Variant, "trained biases"));
        }
        let init = text("init_lora_weights").unwrap_or_default();
        if CHANGED_BASES.iter().any(|known| init.starts_with(known)) {
            return Err(LoraError::new(LoraRule::Variant, init));
        }
        let alpha = value.get("lora_alpha").and_then(JsonValue::as_f64);
        let patterns = value.get("alpha_pattern").and_then(JsonValue::as_object);
        let mut alpha_pattern = Vec::new();
        for (key, alpha) in patterns.unwrap_or_default() {
            let refused = || LoraError::new(LoraRule::ConfigField, "alpha_pattern");
            // One name shows whether an expression can be read.
            says(key, "").ok_or_else(refused)?;
            alpha_pattern.push((key.clone(), alpha.as_f64().ok_or_else(refused)?));
        }
        Ok(LoraConfig {
            alpha: alpha.ok_or_else(|| LoraError::new(LoraRule::ConfigField, "lora_alpha"))?,
            alpha_pattern,
            uses_rslora: value.get("use_rslora").is_some_and(is_set),
            base_name: String::from(text("base_model_name_or_path").unwrap_or_default()),
        })
    }

    /// The scale of a module with `rank` components: `alpha / rank`, or `alpha / sqrt(rank)`
    /// (Kalajdzievski, 2023).
    ///
    /// The rank is that of its factors, so `rank_pattern` has nothing left to say. Of the alpha
    /// patterns the first that says the module's name counts, as in PEFT.
    pub fn scale(&self, module: &str, rank: usize) -> f32 {
        let says = |key: &str| says(key, module) == Some(true);
        let own = self.alpha_pattern.iter().find(|(key, _)| says(key));
        let alpha = own.map_or(self.alpha, |(_, alpha)| *alpha);
        let divisor = match self.uses_rslora {
            true => sqrt_f64(rank as f64),
            false => rank as f64,
        };
        (alpha / divisor) as f32
    }
}

/// Whether a field says more than no.
fn is_set(value: &JsonValue) -> bool {
    match value {
        JsonValue::Null | JsonValue::Bool(false) => false,
        JsonValue::Array(items) => !items.is_empty(),
        JsonValue::Object(members) => !members.is_empty(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    fn scale(json: &str, module: &str, rank: usize) -> Result<f32, i32> {
        let config = LoraConfig::parse(json.as_bytes()).map_err(|error| error.code())?;
        Ok(config.scale(module, rank))
    }

    #[test]
    fn scales_follow_the_rules() {
        let plain = r#"{"peft_type":"LORA","lora_alpha":16,"r":8}"#;
        assert_eq!(scale(plain, "model.layers.0.self_attn.q_proj", 8), Ok(2.0));
        assert_eq!(scale(plain, "model.layers.0.self_attn.q_proj", 4), Ok(4.0));
        let rs = r#"{"peft_type":"LORA","lora_alpha":8,"use_rslora":true}"#;
        assert_eq!(scale(rs, "m", 4), Ok(4.0));
        assert_eq!(scale(rs, "m", 8), Ok((8.0 / 8.0_f64.sqrt()) as f32));
        let pattern = r#"{"peft_type":"LORA","lora_alpha":1,
            "alpha_pattern":{"0.mlp.down_proj":6,"^.*\\.down_proj$":3,"proj":5}}"#;
        assert_eq!(scale(pattern, "model.layers.0.mlp.down_proj", 1), Ok(6.0));
        assert_eq!(scale(pattern, "model.layers.10.mlp.down_proj", 1), Ok(3.0));
        assert_eq!(scale(pattern, "model.layers.0.mlp.up_proj", 1), Ok(1.0));
    }

    #[test]
    fn variants_are_refused_by_name() {
        for (field, name) in VARIANTS {
            for value in ["true", "[1]", "\"x\""] {
                let json = format!(r#"{{"peft_type":"LORA","lora_alpha":1,"{field}":{value}}}"#);
                let error = LoraConfig::parse(json.as_bytes()).unwrap_err();
                assert_eq!(error.code(), LoraRule::Variant.code());
                assert!(error.to_string().contains(name), "{error}");
            }
            for value in ["null", "false", "[]", "{}"] {
                let json = format!(r#"{{"peft_type":"LORA","lora_alpha":1,"{field}":{value}}}"#);
                assert!(LoraConfig::parse(json.as_bytes()).is_ok(), "{json}");
            }
        }
        for (json, rule) in [
            (r#"{"peft_type":"IA3"}"#, LoraRule::OtherKind),
            (r#"{"r":8}"#, LoraRule::ConfigField),
            (
                r#"{"peft_type":"LORA","lora_alpha":"8"}"#,
                LoraRule::ConfigField,
            ),
            (
                r#"{"peft_type":"LORA","lora_alpha":8,"bias":"all"}"#,
                LoraRule::Variant,
            ),
            (
                r#"{"peft_type":"LORA","lora_alpha":8,"init_lora_weights":"pissa_niter_4"}"#,
                LoraRule::Variant,
            ),
            (
                r#"{"peft_type":"LORA","lora_alpha":8,"alpha_pattern":{"(?=q)_proj":3}}"#,
                LoraRule::ConfigField,
            ),
        ] {
            let error = LoraConfig::parse(json.as_bytes()).unwrap_err();
            assert_eq!(error.code(), rule.code(), "{json}");
        }
        assert!(LoraConfig::parse(b"{").is_err());
    }
}
