//! A parsed JSON value and the questions asked of it.
//!
//! Integers are kept as integers, because a seed or a token id must not pass through a float.

use alloc::string::String;
use alloc::vec::Vec;

/// A JSON value. Objects keep the order of the text.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonValue {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number written without sign, fraction and exponent that fits 64 bits.
    Unsigned(u64),
    /// A negative number written without fraction and exponent that fits 64 bits.
    Negative(i64),
    /// Every other number; always finite.
    Float(f64),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<JsonValue>),
    /// An object, in the order of the text.
    Object(Vec<(String, JsonValue)>),
}

impl JsonValue {
    /// The value of `key`, if this is an object that has it; the last one, should there be several.
    pub fn get(&self, key: &str) -> Option<&JsonValue> {
        self.as_object()?
            .iter()
            .rfind(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, JsonValue::Null)
    }

    /// The truth value, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            JsonValue::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, if it is an integer from 0 to 2^64 - 1, written as one or as `3.0` or `3e0`.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            JsonValue::Unsigned(value) => Some(*value),
            JsonValue::Float(value) => whole_below_2_53(*value).and_then(|n| u64::try_from(n).ok()),
            _ => None,
        }
    }

    /// The number, if it is an integer from 0 to 2^32 - 1.
    pub fn as_u32(&self) -> Option<u32> {
        self.as_u64().and_then(|value| u32::try_from(value).ok())
    }

    /// The number, if it is an integer that fits a signed 64-bit integer.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            JsonValue::Unsigned(value) => i64::try_from(*value).ok(),
            JsonValue::Negative(value) => Some(*value),
            JsonValue::Float(value) => whole_below_2_53(*value),
            _ => None,
        }
    }

    /// The nearest 64-bit float, if this is a number.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            JsonValue::Unsigned(value) => Some(*value as f64),
            JsonValue::Negative(value) => Some(*value as f64),
            JsonValue::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            JsonValue::String(value) => Some(value),
            _ => None,
        }
    }

    /// The elements, if this is an array.
    pub fn as_array(&self) -> Option<&[JsonValue]> {
        match self {
            JsonValue::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The members in the order of the text, if this is an object.
    pub fn as_object(&self) -> Option<&[(String, JsonValue)]> {
        match self {
            JsonValue::Object(members) => Some(members),
            _ => None,
        }
    }
}

/// `value` as an integer, where every integer of that size has its own float.
fn whole_below_2_53(value: f64) -> Option<i64> {
    let whole = value as i64;
    let is_exact = whole as f64 == value && whole.unsigned_abs() < 1 << 53;
    is_exact.then_some(whole)
}
