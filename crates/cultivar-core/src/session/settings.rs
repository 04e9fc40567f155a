//! Settings of a session: fields, defaults, ranges, and their JSON form.

use super::error::SessionError;
use crate::json::{self, JsonValue};
use crate::kv_cache::KvFormat;
use crate::sampler::{SamplerSettings, TOP_K_MAX};

/// How a session samples, stops and stores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Positions that the session can hold; 0 stands for the model's context.
    pub context_len: u32,
    /// Storage of keys and values.
    pub kv_format: KvFormat,
    /// Tokens produced after a prompt at most: 1 or more.
    pub max_tokens: u32,
    /// 0 (greedy) to 100.
    pub temperature: f32,
    /// 1 to 1024 candidates.
    pub top_k: u32,
    /// Above 0, up to 1.
    pub top_p: f32,
    /// Names the random stream.
    pub seed: u64,
    /// Go on past stop tokens.
    pub ignore_stop: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            context_len: 0,
            kv_format: KvFormat::F32,
            max_tokens: 256,
            temperature: 0.0,
            top_k: 40,
            top_p: 0.95,
            seed: 0,
            ignore_stop: false,
        }
    }
}

impl Settings {
    /// Refuses a field outside its range, by name.
    pub fn check(&self) -> Result<(), SessionError> {
        let rules = [
            (self.max_tokens >= 1, "max_tokens", "must be at least 1"),
            (
                (0.0..=100.0).contains(&self.temperature),
                "temperature",
                "must be 0 to 100",
            ),
            (
                (1..=TOP_K_MAX as u32).contains(&self.top_k),
                "top_k",
                "must be 1 to 1024",
            ),
            (
                self.top_p > 0.0 && self.top_p <= 1.0,
                "top_p",
                "must be above 0, up to 1",
            ),
        ];
        match rules.iter().find(|rule| !rule.0) {
            Some((_, field, rule)) => Err(SessionError::setting(field, rule)),
            None => Ok(()),
        }
    }

    /// What the sampler needs of them.
    pub fn sampler(&self) -> SamplerSettings {
        let Self {
            temperature,
            top_k,
            top_p,
            seed,
            ..
        } = *self;
        SamplerSettings {
            temperature,
            top_k,
            top_p,
            seed,
        }
    }

    /// Reads a JSON object whose fields replace defaults:
    /// `{"context_len", "kv", "max_tokens", "temperature", "top_k", "top_p", "seed",
    /// "ignore_stop"}`. The seed may be a string of decimal digits, because JSON numbers of many
    /// hosts stop at 2^53. Unknown fields are refused by name.
    pub fn from_json(text: &str) -> Result<Self, SessionError> {
        let value = json::parse(text.as_bytes())?;
        let Some(fields) = value.as_object() else {
            return Err(SessionError::setting("settings", "must be a JSON object"));
        };
        let mut settings = Self::default();
        for (field, value) in fields {
            settings.set(field, value)?;
        }
        settings.check()?;
        Ok(settings)
    }

    fn set(&mut self, field: &str, value: &JsonValue) -> Result<(), SessionError> {
        let count = || {
            let whole = value.as_u64().and_then(|v| u32::try_from(v).ok());
            whole.ok_or(SessionError::setting(
                field,
                "must be a whole number below 2^32",
            ))
        };
        let number = || {
            let number = value
                .as_f64()
                .ok_or(SessionError::setting(field, "must be a number"));
            number.map(|v| v as f32)
        };
        match field {
            "context_len" => self.context_len = count()?,
            "max_tokens" => self.max_tokens = count()?,
            "top_k" => self.top_k = count()?,
            "temperature" => self.temperature = number()?,
            "top_p" => self.top_p = number()?,
            "kv" => {
                let format = value.as_str().and_then(KvFormat::by_name);
                self.kv_format =
                    format.ok_or(SessionError::setting(field, "must be f32, f16 or q8"))?;
            }
            "seed" => {
                let seed = value.as_u64().or_else(|| value.as_str()?.parse().ok());
                self.seed = seed.ok_or(SessionError::setting(
                    field,
                    "must be a whole number below 2^64",
                ))?;
            }
            "ignore_stop" => {
                self.ignore_stop = value
                    .as_bool()
                    .ok_or(SessionError::setting(field, "must be true or false"))?;
            }
            _ => return Err(SessionError::setting(field, "is not a setting")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_replaces_defaults() {
        let text = r#"{"temperature": 0.5, "top_k": 7, "seed": "18446744073709551615",
            "kv": "f16", "ignore_stop": true, "max_tokens": 3, "top_p": 1, "context_len": 64}"#;
        let settings = Settings::from_json(text).unwrap();
        let expected = Settings {
            context_len: 64,
            kv_format: KvFormat::F16,
            max_tokens: 3,
            temperature: 0.5,
            top_k: 7,
            top_p: 1.0,
            seed: u64::MAX,
            ignore_stop: true,
        };
        assert_eq!(settings, expected);
        assert_eq!(Settings::from_json("{}").unwrap(), Settings::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (r#"{"top_k": 0}"#, "top_k must be 1 to 1024"),
            (r#"{"top_k": 1025}"#, "top_k must be 1 to 1024"),
            (
                r#"{"top_k": -1}"#,
                "top_k must be a whole number below 2^32",
            ),
            (r#"{"top_p": 0}"#, "top_p must be above 0, up to 1"),
            (r#"{"temperature": 1e9}"#, "temperature must be 0 to 100"),
            (r#"{"temperature": "hot"}"#, "temperature must be a number"),
            (r#"{"max_tokens": 0}"#, "max_tokens must be at least 1"),
            (r#"{"seed": 1.5}"#, "seed must be a whole number below 2^64"),
            (r#"{"kv": "q4"}"#, "kv must be f32, f16 or q8"),
            (r#"{"ignore_stop": 1}"#, "ignore_stop must be true or false"),
            (r#"{"colour": 1}"#, "colour is not a setting"),
            ("[]", "settings must be a JSON object"),
        ];
        for (text, message) in cases {
            let error = Settings::from_json(text).unwrap_err();
            assert_eq!(alloc::string::ToString::to_string(&error), message);
        }
        assert!(Settings::from_json("{").is_err());
    }
}
