//! `model.safetensors.index.json`: which file of a sharded model holds which tensor.

use crate::error::{ImportError, ImportErrorKind};
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::json::{self, JsonValue};

/// The index of a model in several files.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ShardIndex {
    /// Per tensor the file that holds it.
    pub files: Vec<(String, String)>,
}

impl ShardIndex {
    /// Reads `{"weight_map": {"tensor": "file", …}}`; `FieldMissing` or `FieldValue` otherwise.
    pub fn parse(text: &[u8]) -> Result<ShardIndex, ImportError> {
        let JsonValue::Object(members) = json::parse_unique(text)? else {
            return Err(ImportError::new(ImportErrorKind::FieldMissing).field("weight_map"));
        };
        let map = members.into_iter().find(|(key, _)| key == "weight_map");
        let bad = |kind| ImportError::new(kind).field("weight_map");
        let (_, map) = map.ok_or_else(|| bad(ImportErrorKind::FieldMissing))?;
        let JsonValue::Object(map) = map else {
            return Err(bad(ImportErrorKind::FieldValue));
        };
        let file = |(tensor, file)| match file {
            JsonValue::String(file) => Ok((tensor, file)),
            _ => Err(bad(ImportErrorKind::FieldValue)),
        };
        let files = map.into_iter().map(file).collect::<Result<_, _>>()?;
        Ok(ShardIndex { files })
    }

    /// The file names, each once, in order of first mention.
    pub fn file_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for (_, file) in &self.files {
            if !names.contains(&file.as_str()) {
                names.push(file);
            }
        }
        names
    }
}
