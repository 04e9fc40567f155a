//! What the caller of an import chooses.
//!
//! Formats are a table: one that comes later is refused by its name, not by being unknown.

use crate::error::{ImportError, ImportErrorKind};
use alloc::string::String;
use cultivar_core::tensor::Format;

/// How matrices are stored. Norms stay f32 and rows that are no multiple of 32 become f16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetFormat {
    /// As the source stores them.
    #[default]
    Keep,
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// 8 bits per weight and one scale per 32.
    Q8_0,
    /// 4 bits per weight and one scale per 32.
    Q4_0,
}

/// Formats that have a name but do not work yet.
const LATER_FORMATS: &[&str] = &["q4_k", "q6_k", "q5_0", "bf16"];

impl TargetFormat {
    /// Every format, in the order in which help lists them.
    pub const ALL: [TargetFormat; 5] = [
        TargetFormat::Keep,
        TargetFormat::F32,
        TargetFormat::F16,
        TargetFormat::Q8_0,
        TargetFormat::Q4_0,
    ];

    /// The name that commands and records use.
    pub const fn name(self) -> &'static str {
        match self {
            TargetFormat::Keep => "keep",
            TargetFormat::F32 => "f32",
            TargetFormat::F16 => "f16",
            TargetFormat::Q8_0 => "q8_0",
            TargetFormat::Q4_0 => "q4_0",
        }
    }

    /// The format of a name; a later one and an unknown one are different errors.
    pub fn from_name(name: &str) -> Result<TargetFormat, ImportError> {
        if let Some(format) = Self::ALL.into_iter().find(|format| format.name() == name) {
            return Ok(format);
        }
        let is_later = LATER_FORMATS.contains(&name);
        let kind = if is_later {
            ImportErrorKind::FormatLater
        } else {
            ImportErrorKind::FormatUnknown
        };
        Err(ImportError::new(kind).field(name))
    }

    /// The stored format of a matrix whose rows have `d_in` elements and whose source is f32.
    pub(crate) fn stored(self, d_in: usize) -> Option<&'static Format> {
        let name = match self {
            TargetFormat::Keep => "f32",
            TargetFormat::Q8_0 | TargetFormat::Q4_0 if !d_in.is_multiple_of(32) => "f16",
            _ => self.name(),
        };
        Format::by_name(name)
    }
}

/// What the caller chooses and knows about a model. Texts go into the package's metadata; an
/// empty text is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// How matrices are stored.
    pub format: TargetFormat,
    /// The model's name; if empty, the checkpoint's file name without its ending.
    pub name: String,
    /// Under which licence the model may be used.
    pub license: String,
    /// Where the model comes from.
    pub source: String,
    /// Anything else worth keeping.
    pub notes: String,
    /// Whether files of no known kind are passed over (a folder may hold a readme) or refused.
    pub skip_unrecognised: bool,
}
