//! Keys of one architecture in a GGUF header: required, or with a default.

use crate::error::{ImportError, ImportErrorKind};
use crate::gguf::Gguf;
use alloc::format;
use alloc::string::String;
use cultivar_core::json;

/// The keys that begin with an architecture's name.
pub(super) struct GgufFields<'a, 'b> {
    pub gguf: &'a Gguf<'b>,
    pub architecture: &'a str,
    /// The first dimension of a tensor of the model, if it has that tensor.
    pub rows_of: &'a dyn Fn(&str) -> Option<u64>,
}

impl GgufFields<'_, '_> {
    /// The full key.
    pub fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    /// A count, if it is there.
    pub fn count(&self, key: &str) -> Result<Option<usize>, ImportError> {
        let key = self.key(key);
        let value = self.gguf.u64(&key)?;
        let small = |value: u64| u32::try_from(value).map_err(|_| bad_value(&key));
        Ok(value.map(small).transpose()?.map(|value| value as usize))
    }

    /// A count that must be there.
    pub fn required(&self, key: &str) -> Result<usize, ImportError> {
        let missing = || ImportError::new(ImportErrorKind::FieldMissing).field(&self.key(key));
        self.count(key)?.ok_or_else(missing)
    }

    /// A count that may be written as an array of the same count for every layer.
    pub fn same_in_layers(&self, key: &str) -> Result<Option<usize>, ImportError> {
        let full = self.key(key);
        let Some(array) = self.gguf.value(&full).and_then(|value| value.as_array()) else {
            return self.count(key);
        };
        let mut counts = array.integers().ok_or_else(|| bad_value(&full))?;
        let first = counts.next().ok_or_else(|| bad_value(&full))?;
        if counts.any(|count| count != first) {
            let kind = ImportErrorKind::OptionUnsupported;
            return Err(ImportError::new(kind).field(&full));
        }
        let count = u32::try_from(first).map_err(|_| bad_value(&full))?;
        Ok(Some(count as usize))
    }

    /// A number, if it is there. A 32-bit float is taken for the shortest decimal that rounds to
    /// it, so that 1e-5 is what other files call 1e-5.
    pub fn real(&self, key: &str) -> Result<Option<f64>, ImportError> {
        let value = self.gguf.f64(&self.key(key))?;
        Ok(value.map(shortest))
    }

    /// A truth value, if it is there.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, ImportError> {
        self.gguf.bool(&self.key(key))
    }

    /// Whether the model has a tensor of this name.
    pub fn has_tensor(&self, name: &str) -> bool {
        (self.rows_of)(name).is_some()
    }
}

/// The error of a key whose value cannot be.
pub(super) fn bad_value(key: &str) -> ImportError {
    ImportError::new(ImportErrorKind::FieldValue).field(key)
}

/// The shortest decimal that rounds to the same 32-bit float, if `value` is such a float.
fn shortest(value: f64) -> f64 {
    let single = value as f32;
    if f64::from(single) != value {
        return value;
    }
    let mut text = json::JsonWriter::new();
    text.f32(single);
    let parsed = json::parse(text.finish().as_bytes()).ok();
    parsed.and_then(|number| number.as_f64()).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_of_32_bits_are_what_was_meant() {
        for meant in [1e-5, 1e-6, 5e-7, 10000.0, 0.25, 1e6] {
            assert_eq!(shortest(f64::from(meant as f32)), meant);
        }
        assert_eq!(shortest(0.1), 0.1);
    }
}
