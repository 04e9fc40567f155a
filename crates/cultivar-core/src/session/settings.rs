//! Settings of a session: fields, defaults, ranges, and their JSON form.

use super::drafts::DRAFT_TOKENS_MAX;
use super::error::SessionError;
use crate::grammar::GrammarSource;
use crate::json::{self, JsonValue, JsonWriter};
use crate::kv_cache::KvFormat;
use crate::sampler::{RandomStream, SamplerSettings, TOP_LOGPROBS_MAX};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Most stop strings, and most stop tokens beside the model's own.
pub const STOPS_MAX: usize = 16;

/// Bytes of the longest stop string.
pub const STOP_STRING_BYTES_MAX: usize = 256;

/// How a session samples, stops and stores.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Positions that the session can hold; 0 stands for the model's context.
    pub context_len: u32,
    /// Storage of keys and values.
    pub kv_format: KvFormat,
    /// Tokens produced after a prompt at most: 1 or more.
    pub max_tokens: u32,
    /// How tokens are chosen.
    pub sampling: SamplerSettings,
    /// Go on past the model's own stop tokens.
    pub ignore_stop: bool,
    /// Tokens that end the output, beside the model's own: up to 16.
    pub stop_tokens: Vec<u32>,
    /// Texts that end the output and are no part of it: up to 16, of 1 to 256 bytes.
    pub stop_strings: Vec<String>,
    /// When the context is full, keep so many of the first tokens, drop half of the others and
    /// read the rest again; `None` stops instead.
    pub context_shift: Option<u32>,
    /// Tokens of a draft that is looked up in what came before and verified in one batch: 0 (off)
    /// to 16. Changes speed alone.
    pub prompt_lookup: u32,
    /// Whether log-probabilities are computed, and of how many alternatives: up to 20.
    pub logprobs: Option<u32>,
    /// What the output must be a text of.
    pub constraint: Option<GrammarSource>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            context_len: 0,
            kv_format: KvFormat::F32,
            max_tokens: 256,
            sampling: SamplerSettings::default(),
            ignore_stop: false,
            stop_tokens: Vec::new(),
            stop_strings: Vec::new(),
            context_shift: None,
            prompt_lookup: 0,
            logprobs: None,
            constraint: None,
        }
    }
}

impl Settings {
    /// Refuses a field outside its range, by name.
    pub fn check(&self) -> Result<(), SessionError> {
        let refuse = |(field, rule)| Err(SessionError::setting(field, rule));
        let is_text = |text: &String| (1..=STOP_STRING_BYTES_MAX).contains(&text.len());
        let rules = [
            (self.max_tokens >= 1, ("max_tokens", "must be at least 1")),
            (
                self.stop_tokens.len() <= STOPS_MAX,
                ("stop_tokens", "must be up to 16 tokens"),
            ),
            (
                self.stop_strings.len() <= STOPS_MAX && self.stop_strings.iter().all(is_text),
                ("stop_strings", "must be up to 16 texts of 1 to 256 bytes"),
            ),
            (
                self.prompt_lookup as usize <= DRAFT_TOKENS_MAX,
                ("prompt_lookup", "must be 0 to 16"),
            ),
            (
                self.logprobs.unwrap_or(0) as usize <= TOP_LOGPROBS_MAX,
                ("logprobs", "must be 0 to 20"),
            ),
        ];
        if let Some(broken) = rules.iter().find(|rule| !rule.0) {
            return refuse(broken.1);
        }
        self.sampling.broken_rule().map_or(Ok(()), refuse)
    }

    /// Refuses a field that does not go with this vocabulary or context.
    pub(super) fn check_for(
        &self,
        vocab_size: usize,
        context_len: usize,
    ) -> Result<(), SessionError> {
        if self
            .context_shift
            .is_some_and(|n| n as usize + 2 > context_len)
        {
            let rule = "must leave at least 2 positions of the context";
            return Err(SessionError::setting("context_shift", rule));
        }
        if self.stop_tokens.iter().any(|id| *id as usize >= vocab_size) {
            let rule = "names a token outside the vocabulary";
            return Err(SessionError::setting("stop_tokens", rule));
        }
        let broken = self.sampling.broken_for(vocab_size);
        broken.map_or(Ok(()), |(field, rule)| {
            Err(SessionError::setting(field, rule))
        })
    }

    /// Reads a JSON object whose fields replace defaults; unknown fields are refused by name.
    pub fn from_json(text: &str) -> Result<Self, SessionError> {
        Self::from_value(&json::parse_unique(text.as_bytes())?)
    }

    /// The same of a value that was read before.
    pub fn from_value(value: &JsonValue) -> Result<Self, SessionError> {
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

    /// Replaces one field; its range is not checked. The seed may be a string of decimal digits,
    /// because JSON numbers of many hosts stop at 2^53. Lists of tokens may come in any order.
    pub fn set(&mut self, field: &str, value: &JsonValue) -> Result<(), SessionError> {
        let wrong = |rule| SessionError::setting(field, rule);
        let count = || {
            value
                .as_u32()
                .ok_or_else(|| wrong("must be a whole number below 2^32"))
        };
        let number = || {
            let number = value.as_f64().ok_or_else(|| wrong("must be a number"));
            number.map(|v| v as f32)
        };
        let ids = || {
            let ids = value
                .as_array()
                .map(|ids| ids.iter().map(JsonValue::as_u32));
            let mut ids: Vec<u32> = ids
                .and_then(Iterator::collect)
                .ok_or_else(|| wrong("must be a list of token ids"))?;
            crate::sorting::sort(&mut ids);
            Ok::<_, SessionError>(ids)
        };
        let sampling = &mut self.sampling;
        match field {
            "context_len" => self.context_len = count()?,
            "max_tokens" => self.max_tokens = count()?,
            "top_k" => sampling.top_k = count()?,
            "penalty_window" => sampling.penalty_window = count()?,
            "temperature" => sampling.temperature = number()?,
            "top_p" => sampling.top_p = number()?,
            "typical_p" => sampling.typical_p = number()?,
            "min_p" => sampling.min_p = number()?,
            "repetition_penalty" => sampling.repetition_penalty = number()?,
            "frequency_penalty" => sampling.frequency_penalty = number()?,
            "presence_penalty" => sampling.presence_penalty = number()?,
            "banned_tokens" => sampling.banned_tokens = ids()?,
            "stop_tokens" => self.stop_tokens = ids()?,
            "logit_bias" => sampling.logit_bias = biases(value).ok_or_else(|| wrong(BIAS_RULE))?,
            "stop_strings" => {
                let texts = texts(value);
                self.stop_strings =
                    texts.ok_or_else(|| wrong("must be a text or a list of texts"))?;
            }
            "prompt_lookup" => self.prompt_lookup = count()?,
            "context_shift" if value.is_null() => self.context_shift = None,
            "context_shift" => self.context_shift = Some(count()?),
            "logprobs" if value.is_null() => self.logprobs = None,
            "logprobs" => self.logprobs = Some(count()?),
            "constraint" if value.is_null() => self.constraint = None,
            "constraint" => {
                let source =
                    GrammarSource::from_value(value).ok_or_else(|| wrong(GrammarSource::RULE))?;
                self.constraint = Some(source);
            }
            "random_stream" => {
                sampling.random_stream = match value.as_str() {
                    Some("session") => RandomStream::Session,
                    Some("prompt") => RandomStream::Prompt,
                    _ => return Err(wrong("must be session or prompt")),
                };
            }
            "kv" => {
                let format = value.as_str().and_then(KvFormat::by_name);
                self.kv_format = format.ok_or_else(|| wrong("must be f32, f16 or q8"))?;
            }
            "seed" => {
                let seed = value.as_u64().or_else(|| value.as_str()?.parse().ok());
                sampling.seed = seed.ok_or_else(|| wrong("must be a whole number below 2^64"))?;
            }
            "ignore_stop" => {
                let given = value.as_bool();
                self.ignore_stop = given.ok_or_else(|| wrong("must be true or false"))?;
            }
            _ => return Err(wrong("is not a setting")),
        }
        Ok(())
    }

    /// Writes all fields as an object that [`Settings::from_value`] reads back.
    pub fn write_json(&self, json: &mut JsonWriter) {
        let sampling = &self.sampling;
        json.begin_object();
        json.field_u64("context_len", u64::from(self.context_len));
        json.field_str("kv", self.kv_format.name());
        json.field_u64("max_tokens", u64::from(self.max_tokens));
        json.field_f32("temperature", sampling.temperature);
        json.field_u64("top_k", u64::from(sampling.top_k));
        json.field_f32("top_p", sampling.top_p);
        json.field_f32("typical_p", sampling.typical_p);
        json.field_f32("min_p", sampling.min_p);
        json.field_f32("repetition_penalty", sampling.repetition_penalty);
        json.field_f32("frequency_penalty", sampling.frequency_penalty);
        json.field_f32("presence_penalty", sampling.presence_penalty);
        json.field_u64("penalty_window", u64::from(sampling.penalty_window));
        json.key("logit_bias").begin_object();
        for (id, bias) in &sampling.logit_bias {
            json.field_f32(&id.to_string(), *bias);
        }
        json.end_object();
        json.field_u32s("banned_tokens", &sampling.banned_tokens);
        // Text, because many JSON readers keep integers only up to 2^53.
        json.field_display("seed", sampling.seed);
        json.field_str("random_stream", sampling.random_stream.name());
        json.field_bool("ignore_stop", self.ignore_stop);
        json.field_u32s("stop_tokens", &self.stop_tokens);
        json.key("stop_strings").begin_array();
        for text in &self.stop_strings {
            json.string(text);
        }
        json.end_array();
        let optional = [
            ("context_shift", self.context_shift),
            ("logprobs", self.logprobs),
        ];
        for (field, value) in optional {
            match value {
                Some(n) => json.field_u64(field, u64::from(n)),
                None => json.key(field).null(),
            };
        }
        json.field_u64("prompt_lookup", u64::from(self.prompt_lookup));
        json.key("constraint");
        match &self.constraint {
            Some(source) => source.write_json(json),
            None => {
                json.null();
            }
        }
        json.end_object();
    }
}

const BIAS_RULE: &str = "must be an object of token ids and numbers";

/// `{"id": bias, …}` by ascending id, without zeros.
fn biases(value: &JsonValue) -> Option<Vec<(u32, f32)>> {
    let fields = value.as_object()?.iter();
    let pairs = fields.map(|(id, bias)| Some((id.parse().ok()?, bias.as_f64()? as f32)));
    let mut pairs: Vec<(u32, f32)> = pairs.collect::<Option<_>>()?;
    pairs.retain(|(_, bias)| *bias != 0.0);
    crate::sorting::sort_by_key(&mut pairs, |(id, _)| *id);
    Some(pairs)
}

fn texts(value: &JsonValue) -> Option<Vec<String>> {
    if let Some(text) = value.as_str() {
        return Some(Vec::from([String::from(text)]));
    }
    let texts = value.as_array()?.iter();
    texts.map(|text| text.as_str().map(String::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_replaces_defaults() {
        let text = r#"{"temperature": 0.5, "top_k": 7, "seed": "18446744073709551615",
            "kv": "f16", "ignore_stop": true, "max_tokens": 3, "top_p": 1, "context_len": 64,
            "typical_p": 0.75, "min_p": 0.125, "repetition_penalty": 1.5, "logprobs": 3,
            "frequency_penalty": -0.5, "presence_penalty": 2, "penalty_window": 0,
            "logit_bias": {"9": 1, "3": -1.5, "4": 0}, "banned_tokens": [5, 2],
            "stop_tokens": [8, 7], "stop_strings": ["a", "\n\n"], "random_stream": "prompt",
            "constraint": {"json": true}, "context_shift": 4, "prompt_lookup": 8}"#;
        let settings = Settings::from_json(text).unwrap();
        let expected = Settings {
            context_len: 64,
            kv_format: KvFormat::F16,
            max_tokens: 3,
            sampling: SamplerSettings {
                logit_bias: Vec::from([(3, -1.5), (9, 1.0)]),
                banned_tokens: Vec::from([2, 5]),
                penalty_window: 0,
                repetition_penalty: 1.5,
                frequency_penalty: -0.5,
                presence_penalty: 2.0,
                temperature: 0.5,
                top_k: 7,
                typical_p: 0.75,
                top_p: 1.0,
                min_p: 0.125,
                seed: u64::MAX,
                random_stream: RandomStream::Prompt,
            },
            ignore_stop: true,
            stop_tokens: Vec::from([7, 8]),
            stop_strings: Vec::from(["a".into(), "\n\n".into()]),
            context_shift: Some(4),
            prompt_lookup: 8,
            logprobs: Some(3),
            constraint: Some(GrammarSource::Json),
        };
        assert_eq!(settings, expected);
        assert_eq!(Settings::from_json("{}").unwrap(), Settings::default());
        for settings in [settings, Settings::default()] {
            let mut json = JsonWriter::new();
            settings.write_json(&mut json);
            assert_eq!(Settings::from_json(&json.finish()), Ok(settings));
        }
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
            (r#"{"typical_p": 2}"#, "typical_p must be above 0, up to 1"),
            (r#"{"min_p": -0.5}"#, "min_p must be 0 to 1"),
            (
                r#"{"repetition_penalty": 0}"#,
                "repetition_penalty must be above 0, up to 100",
            ),
            (
                r#"{"frequency_penalty": 101}"#,
                "frequency_penalty must be -100 to 100",
            ),
            (
                r#"{"presence_penalty": -101}"#,
                "presence_penalty must be -100 to 100",
            ),
            (
                r#"{"logit_bias": {"1": 2000}}"#,
                "logit_bias must be up to 1024 tokens, each once, with a bias of -1000 to 1000",
            ),
            (
                r#"{"constraint": {"json": false}}"#,
                "constraint must be {\"json\": true}, {\"json_schema\": ...} or {\"gbnf\": text}, \
                 up to 1 MiB",
            ),
            (
                r#"{"logit_bias": {"x": 1}}"#,
                "logit_bias must be an object of token ids and numbers",
            ),
            (
                r#"{"banned_tokens": [1, 1]}"#,
                "banned_tokens must be up to 1024 tokens, each once",
            ),
            (
                r#"{"banned_tokens": [-1]}"#,
                "banned_tokens must be a list of token ids",
            ),
            (
                r#"{"stop_tokens": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}"#,
                "stop_tokens must be up to 16 tokens",
            ),
            (
                r#"{"stop_strings": [""]}"#,
                "stop_strings must be up to 16 texts of 1 to 256 bytes",
            ),
            (
                r#"{"stop_strings": 7}"#,
                "stop_strings must be a text or a list of texts",
            ),
            (r#"{"prompt_lookup": 17}"#, "prompt_lookup must be 0 to 16"),
            (r#"{"logprobs": 21}"#, "logprobs must be 0 to 20"),
            (
                r#"{"random_stream": "x"}"#,
                "random_stream must be session or prompt",
            ),
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
            assert_eq!(error.to_string(), message);
        }
        assert!(Settings::from_json("{").is_err());
    }
}
