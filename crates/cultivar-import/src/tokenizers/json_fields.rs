//! Fields of tokenizer JSON files, asked for by type; what has another type is refused by name.

use crate::error::{ImportError, ImportErrorKind};
use alloc::vec::Vec;
use cultivar_core::json::JsonValue;

/// A field that has a value of the wrong type or out of range.
pub(super) fn bad(field: &str) -> ImportError {
    ImportError::new(ImportErrorKind::FieldValue).field(field)
}

/// A field that must be there.
pub(super) fn missing(field: &str) -> ImportError {
    ImportError::new(ImportErrorKind::FieldMissing).field(field)
}

/// A step or option that this version lacks.
pub(super) fn unsupported(step: &str) -> ImportError {
    ImportError::new(ImportErrorKind::TokenizerStep).field(step)
}

/// The value of a key that is there and not null.
pub(super) fn present<'a>(object: &'a JsonValue, key: &str) -> Option<&'a JsonValue> {
    object.get(key).filter(|value| !value.is_null())
}

/// The truth value of a key, or `default` where it is absent.
pub(super) fn flag(object: &JsonValue, key: &str, default: bool) -> Result<bool, ImportError> {
    match present(object, key) {
        Some(value) => value.as_bool().ok_or_else(|| bad(key)),
        None => Ok(default),
    }
}

/// The text of a key, if it is there.
pub(super) fn text<'a>(object: &'a JsonValue, key: &str) -> Result<Option<&'a str>, ImportError> {
    match present(object, key) {
        Some(value) => value.as_str().map(Some).ok_or_else(|| bad(key)),
        None => Ok(None),
    }
}

/// The `type` of a step.
pub(super) fn kind(object: &JsonValue) -> Result<&str, ImportError> {
    text(object, "type")?.ok_or_else(|| missing("type"))
}

/// The steps of a component that may be absent, one, or a `Sequence` of others whose list is
/// called `list_key`; sequences within sequences are opened too.
pub(super) fn steps<'a>(
    component: Option<&'a JsonValue>,
    list_key: &str,
) -> Result<Vec<&'a JsonValue>, ImportError> {
    let mut found = Vec::new();
    let mut waiting: Vec<&JsonValue> = component.into_iter().collect();
    while let Some(step) = waiting.pop() {
        if kind(step)? != "Sequence" {
            found.push(step);
            continue;
        }
        let list = step.get(list_key).and_then(JsonValue::as_array);
        waiting.extend(list.ok_or_else(|| bad(list_key))?.iter().rev());
    }
    Ok(found)
}
