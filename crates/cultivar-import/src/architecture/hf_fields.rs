//! Fields of `config.json`: required, or with the default of the model's class.

use crate::error::{ImportError, ImportErrorKind};
use cultivar_core::json::JsonValue;

/// An object whose members are options; null counts as absent.
#[derive(Clone, Copy)]
pub(super) struct HfFields<'a> {
    pub value: &'a JsonValue,
}

impl<'a> HfFields<'a> {
    /// The member, unless it is absent or null.
    pub fn get(&self, key: &str) -> Option<&'a JsonValue> {
        self.value.get(key).filter(|value| !value.is_null())
    }

    fn typed<T>(
        &self,
        key: &str,
        read: impl Fn(&'a JsonValue) -> Option<T>,
    ) -> Result<Option<T>, ImportError> {
        let value = self.get(key);
        let typed = value.map(|value| read(value).ok_or_else(|| bad_value(key)));
        typed.transpose()
    }

    /// A count, if it is there.
    pub fn count(&self, key: &str) -> Result<Option<usize>, ImportError> {
        let small = |value: &JsonValue| value.as_u32().map(|count| count as usize);
        self.typed(key, small)
    }

    /// A count that must be there.
    pub fn required(&self, key: &str) -> Result<usize, ImportError> {
        let missing = || ImportError::new(ImportErrorKind::FieldMissing).field(key);
        self.count(key)?.ok_or_else(missing)
    }

    /// A finite number, if it is there.
    pub fn real(&self, key: &str) -> Result<Option<f64>, ImportError> {
        self.typed(key, JsonValue::as_f64)
    }

    /// A truth value, or its default.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool, ImportError> {
        Ok(self.typed(key, JsonValue::as_bool)?.unwrap_or(default))
    }

    /// A text, if it is there.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>, ImportError> {
        self.typed(key, JsonValue::as_str)
    }

    /// Texts, if they are there.
    pub fn list(&self, key: &str) -> Result<Option<&'a [JsonValue]>, ImportError> {
        self.typed(key, JsonValue::as_array)
    }

    /// An object, if it is there.
    pub fn object(&self, key: &str) -> Option<HfFields<'a>> {
        let value = self.get(key).filter(|value| value.as_object().is_some());
        value.map(|value| HfFields { value })
    }

    /// Refuses the option unless it is absent or false.
    pub fn refuse_if_set(&self, key: &str) -> Result<(), ImportError> {
        if self.flag(key, false)? {
            return Err(unsupported(key));
        }
        Ok(())
    }
}

/// The error of an option that no model of ours has.
pub(super) fn unsupported(key: &str) -> ImportError {
    ImportError::new(ImportErrorKind::OptionUnsupported).field(key)
}

/// The error of a field whose value cannot be.
pub(super) fn bad_value(key: &str) -> ImportError {
    ImportError::new(ImportErrorKind::FieldValue).field(key)
}
