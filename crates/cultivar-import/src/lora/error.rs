//! What can be wrong with the files of an adapter's import: the rule, the file, and what it names.
//!
//! Codes 585–599 are stable and listed in `docs/abi.md`; errors of GGUF, safetensors and JSON, and
//! of the adapter that would be written, keep their own.

use crate::error::ImportError;
use alloc::boxed::Box;
use core::fmt;
use cultivar_core::adapter::AdapterError;
use cultivar_core::bytes::ShortText;
use cultivar_core::json::JsonError;

/// The rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoraRule {
    /// No file of an adapter was given.
    NoFile,
    /// safetensors came without their `adapter_config.json`.
    NoConfig,
    /// `adapter_config.json` came without its safetensors.
    NoWeights,
    /// A file is no part of an adapter.
    Unrecognised,
    /// Two files of the same kind.
    TwoOfAKind,
    /// The adapter is of another kind (named) than LoRA.
    OtherKind,
    /// The adapter uses a variant of LoRA (named) that this version cannot apply.
    Variant,
    /// A field of the configuration (named) is missing or has an impossible value.
    ConfigField,
    /// A tensor (named) is no part of a LoRA for a module that this base has.
    UnknownTensor,
    /// A module (named) has only one of its two factors.
    FactorMissing,
    /// The factors of a module (named) do not fit each other or the base.
    FactorShape,
    /// A tensor (named) is stored as numbers that adapters do not hold.
    FactorFormat,
    /// The base's output is its embedding, so a delta of one of them (named) cannot stand alone.
    TiedEmbedding,
    /// The GGUF file was made for an architecture (named) whose row order is not known here.
    GgufArchitecture,
    /// A tensor (named) lies outside its file.
    Truncated,
}

impl LoraRule {
    /// Every rule, in the order of their codes.
    pub const ALL: [LoraRule; 15] = [
        LoraRule::NoFile,
        LoraRule::NoConfig,
        LoraRule::NoWeights,
        LoraRule::Unrecognised,
        LoraRule::TwoOfAKind,
        LoraRule::OtherKind,
        LoraRule::Variant,
        LoraRule::ConfigField,
        LoraRule::UnknownTensor,
        LoraRule::FactorMissing,
        LoraRule::FactorShape,
        LoraRule::FactorFormat,
        LoraRule::TiedEmbedding,
        LoraRule::GgufArchitecture,
        LoraRule::Truncated,
    ];

    /// The stable number, 585 to 599.
    pub fn code(self) -> i32 {
        585 + self as i32
    }
}

/// Why an adapter could not be imported.
#[derive(Clone, Debug, PartialEq)]
pub enum LoraError {
    /// A container's own error.
    Import(ImportError),
    /// The adapter that would be written is not valid, or not for this base.
    Adapter(AdapterError),
    /// A rule of adapters' imports.
    Rule(Box<LoraFault>),
}

/// A broken rule with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoraFault {
    /// The rule.
    pub rule: LoraRule,
    /// The file; empty where none is at fault.
    pub file: ShortText,
    /// What the rule names; empty where nothing.
    pub name: ShortText,
}

impl LoraError {
    /// The rule broken by this name.
    pub fn new(rule: LoraRule, name: &str) -> LoraError {
        LoraError::Rule(Box::new(LoraFault {
            rule,
            file: ShortText::EMPTY,
            name: ShortText::new(name),
        }))
    }

    /// The same error in this file.
    pub fn file(self, file: &str) -> LoraError {
        match self {
            LoraError::Import(error) => LoraError::Import(error.file(file)),
            LoraError::Rule(mut fault) => {
                fault.file = ShortText::new(file);
                LoraError::Rule(fault)
            }
            LoraError::Adapter(_) => self,
        }
    }

    /// The stable number.
    pub fn code(&self) -> i32 {
        match self {
            LoraError::Import(error) => error.code(),
            LoraError::Adapter(error) => error.code(),
            LoraError::Rule(fault) => fault.rule.code(),
        }
    }
}

impl From<ImportError> for LoraError {
    fn from(error: ImportError) -> LoraError {
        LoraError::Import(error)
    }
}

impl From<AdapterError> for LoraError {
    fn from(error: AdapterError) -> LoraError {
        LoraError::Adapter(error)
    }
}

impl From<JsonError> for LoraError {
    fn from(error: JsonError) -> LoraError {
        LoraError::Import(ImportError::from(error))
    }
}

impl fmt::Display for LoraError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = match self {
            LoraError::Import(error) => return error.fmt(f),
            LoraError::Adapter(error) => return error.fmt(f),
            LoraError::Rule(fault) => fault,
        };
        if !fault.file.is_empty() {
            write!(f, "{}: ", fault.file)?;
        }
        let name = fault.name.as_str();
        match fault.rule {
            LoraRule::NoFile => f.write_str(
                "no adapter was given; give adapter_config.json with adapter_model.safetensors, \
                 or a GGUF LoRA",
            ),
            LoraRule::NoConfig => {
                f.write_str("these weights need their adapter_config.json too: it holds the scale")
            }
            LoraRule::NoWeights => {
                f.write_str("this configuration needs its adapter_model.safetensors too")
            }
            LoraRule::Unrecognised => f.write_str(
                "not part of an adapter; known are adapter_config.json, safetensors and GGUF \
                 (adapter_model.bin must be saved as safetensors first)",
            ),
            LoraRule::TwoOfAKind => f.write_str("a second file of this kind; one is enough"),
            LoraRule::OtherKind => write!(f, "{name} adapters cannot be imported, only LoRA"),
            LoraRule::Variant => write!(
                f,
                "the adapter uses {name}, which cannot be applied here; merge it into its model \
                 and extract an adapter from the two models"
            ),
            LoraRule::ConfigField => {
                write!(f, "field {name} is missing or has an impossible value")
            }
            LoraRule::UnknownTensor => write!(
                f,
                "tensor {name} is no low-rank factor of a matrix that this base has"
            ),
            LoraRule::FactorMissing => {
                write!(f, "module {name} has only one of lora_A and lora_B")
            }
            LoraRule::FactorShape => write!(
                f,
                "the factors of {name} fit neither each other nor the base's tensor"
            ),
            LoraRule::FactorFormat => {
                write!(f, "tensor {name} is not stored as 32- or 16-bit floats")
            }
            LoraRule::TiedEmbedding => write!(
                f,
                "module {name} is changed alone, but the base's output and embedding are one \
                 matrix"
            ),
            LoraRule::GgufArchitecture => write!(
                f,
                "GGUF adapters of architecture {name} cannot be imported: their row order is not \
                 known here"
            ),
            LoraRule::Truncated => write!(f, "the bytes of tensor {name} are not in the file"),
        }
    }
}

impl core::error::Error for LoraError {}
