//! What a caller writes to constrain an output, before it becomes a table.

use super::error::GrammarError;
use super::json_rules::{value_text, write_value};
use super::table::Grammar;
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

    fn text(&self) -> String {
        match self {
            Self::Json => String::new(),
            Self::Schema(schema) => value_text(schema),
            Self::Gbnf(text) => text.clone(),
        }
    }

    /// The table.
    pub fn compile(&self) -> Result<Grammar, GrammarError> {
        match self {
            Self::Json => Grammar::json(),
            Self::Schema(schema) => Grammar::from_json_schema(schema),
            Self::Gbnf(text) => Grammar::from_gbnf(text),
        }
    }
}
