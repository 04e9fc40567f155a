//! What a caller writes to constrain an output, before it becomes a table.

use crate::digest::{Digest, Sha256};
use crate::json::{JsonValue, JsonWriter};
use alloc::string::String;

/// Longest text of a grammar or schema.
pub const SOURCE_BYTES_MAX: usize = 1 << 20;

/// How an output is constrained.
#[derive(Clone, Debug, PartialEq)]
pub enum GrammarSource {
    /// A JSON object or array.
    Json,
    /// A JSON text that satisfies this schema.
    Schema(JsonValue),
    /// A text of this grammar in GBNF.
    Gbnf(String),
}

impl GrammarSource {
    /// What [`GrammarSource::from_value`] accepts, as the end of a sentence.
    pub const RULE: &'static str =
        "must be {\"json\": true}, {\"json_schema\": ...} or {\"gbnf\": text}, up to 1 MiB";

    /// Reads `{"json": true}`, `{"json_schema": {…}}` or `{"gbnf": "…"}`; `None` for anything else
    /// and for texts above 1 MiB.
    pub fn from_value(value: &JsonValue) -> Option<Self> {
        let [(key, value)] = value.as_object()? else {
            return None;
        };
        let source = match (key.as_str(), value) {
            ("json", JsonValue::Bool(true)) => Self::Json,
            ("json_schema", JsonValue::Bool(_) | JsonValue::Object(_)) => {
                Self::Schema(value.clone())
            }
            ("gbnf", JsonValue::String(text)) => Self::Gbnf(text.clone()),
            _ => return None,
        };
        (source.text().len() <= SOURCE_BYTES_MAX).then_some(source)
    }

    /// Writes what [`GrammarSource::from_value`] reads.
    pub fn write_json(&self, json: &mut JsonWriter) {
        json.begin_object();
        match self {
            Self::Json => {
                json.field_bool("json", true);
            }
            Self::Schema(schema) => write_value(json.key("json_schema"), schema),
            Self::Gbnf(text) => {
                json.field_str("gbnf", text);
            }
        }
        json.end_object();
    }

    /// A number for the kind, and the text, which together name it.
    pub fn identity(&self) -> (u32, String) {
        let kind = match self {
            Self::Json => 1,
            Self::Schema(_) => 2,
            Self::Gbnf(_) => 3,
        };
        (kind, self.text())
    }

    /// SHA-256 of its identity: the kind (u32 little-endian) and the text. Compiled bytes hold it.
    pub fn digest(&self) -> Digest {
        let (kind, text) = self.identity();
        let mut hash = Sha256::new();
        hash.update(&kind.to_le_bytes());
        hash.update(text.as_bytes());
        hash.finish()
    }

    fn text(&self) -> String {
        match self {
            Self::Json => String::new(),
            Self::Schema(schema) => value_text(schema),
            Self::Gbnf(text) => text.clone(),
        }
    }
}

/// A value written without white space.
fn write_value(json: &mut JsonWriter, value: &JsonValue) {
    match value {
        JsonValue::Null => json.null(),
        JsonValue::Bool(value) => json.bool(*value),
        JsonValue::Unsigned(value) => json.u64(*value),
        JsonValue::Negative(value) => json.i64(*value),
        JsonValue::Float(value) => json.f64(*value),
        JsonValue::String(value) => json.string(value),
        JsonValue::Array(elements) => {
            json.begin_array();
            elements
                .iter()
                .for_each(|element| write_value(json, element));
            json.end_array()
        }
        JsonValue::Object(members) => {
            json.begin_object();
            for (key, value) in members {
                json.key(key);
                write_value(json, value);
            }
            json.end_object()
        }
    };
}

/// The same as a text.
pub(super) fn value_text(value: &JsonValue) -> String {
    let mut json = JsonWriter::new();
    write_value(&mut json, value);
    json.finish()
}
