//! Model families: what their files call options and tensors, and what those are called here.
//!
//! A family is a row of [`FAMILIES`], a mapping of options for each file format, and rows of
//! names. Nothing here reads bytes; nothing decides how a model computes.

mod gguf_config;
mod gguf_fields;
mod gguf_names;
mod hf_config;
mod hf_fields;
mod hf_names;
mod hf_rope;
mod locate;
mod names;
mod rope_factors;

pub(crate) use gguf_config::config_of_gguf;
pub(crate) use gguf_names::names_of_gguf;
pub(crate) use hf_config::config_of_json;
pub(crate) use hf_names::names_of_hf;
pub(crate) use locate::{SourceTensor, locate};
pub(crate) use rope_factors::llama3_divisors;

use crate::error::{ImportError, ImportErrorKind};
use cultivar_core::package::limits;

/// A family of models that share names and the meaning of options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Llama 1 to 3, Mistral, SmolLM, TinyLlama and those that call themselves one of these.
    Llama,
    Qwen2,
    Qwen3,
    Gemma2,
    Gemma3,
    Phi3,
    Gpt2,
    GptNeox,
}

/// A family, its name in GGUF and its classes in `config.json`.
struct FamilyRow {
    family: Family,
    gguf: &'static str,
    classes: &'static [&'static str],
}

const fn row(family: Family, gguf: &'static str, classes: &'static [&'static str]) -> FamilyRow {
    FamilyRow {
        family,
        gguf,
        classes,
    }
}

/// Every family that can be imported.
const FAMILIES: &[FamilyRow] = &[
    row(
        Family::Llama,
        "llama",
        &["LlamaForCausalLM", "MistralForCausalLM"],
    ),
    row(Family::Qwen2, "qwen2", &["Qwen2ForCausalLM"]),
    row(Family::Qwen3, "qwen3", &["Qwen3ForCausalLM"]),
    row(Family::Gemma2, "gemma2", &["Gemma2ForCausalLM"]),
    row(Family::Gemma3, "gemma3", &["Gemma3ForCausalLM"]),
    row(Family::Phi3, "phi3", &["Phi3ForCausalLM"]),
    row(Family::Gpt2, "gpt2", &["GPT2LMHeadModel"]),
    row(Family::GptNeox, "gptneox", &["GPTNeoXForCausalLM"]),
];

impl Family {
    /// The family that GGUF's `general.architecture` names.
    pub(crate) fn of_gguf(name: &str) -> Result<Family, ImportError> {
        let row = FAMILIES.iter().find(|row| row.gguf == name);
        let unknown = || ImportError::new(ImportErrorKind::ArchitectureUnknown).field(name);
        row.map(|row| row.family).ok_or_else(unknown)
    }

    /// The family of a class that `config.json` names.
    pub(crate) fn of_class(name: &str) -> Result<Family, ImportError> {
        let row = FAMILIES.iter().find(|row| row.classes.contains(&name));
        let unknown = || ImportError::new(ImportErrorKind::ArchitectureUnknown).field(name);
        row.map(|row| row.family).ok_or_else(unknown)
    }

    /// The name in GGUF.
    pub(crate) fn gguf_name(self) -> &'static str {
        let row = FAMILIES.iter().find(|row| row.family == self);
        row.map_or("", |row| row.gguf)
    }

    /// The class that `config.json` names first.
    pub(crate) fn class_name(self) -> &'static str {
        let row = FAMILIES.iter().find(|row| row.family == self);
        row.and_then(|row| row.classes.first().copied())
            .unwrap_or("")
    }

    /// Whether norms are stored as differences from 1 in Hugging Face's files.
    pub(crate) fn stores_norms_less_one(self) -> bool {
        matches!(self, Family::Gemma2 | Family::Gemma3)
    }

    /// Whether this is one of the Gemma families.
    pub(crate) fn is_gemma(self) -> bool {
        matches!(self, Family::Gemma2 | Family::Gemma3)
    }
}

/// The names of all supported architectures, for the refusal of others.
pub(crate) const SUPPORTED: &str = "llama (LlamaForCausalLM, MistralForCausalLM), qwen2, qwen3, \
    gemma2, gemma3 (text), phi3, gpt2 and gpt_neox";

/// Refuses more layers than a package may have, before anything is made for each of them.
pub(crate) fn check_layers(n_layers: usize) -> Result<(), ImportError> {
    if n_layers > limits::LAYERS_MAX {
        let error = ImportError::new(ImportErrorKind::CountTooLarge).field("the number of layers");
        return Err(error.numbers(n_layers as u64, limits::LAYERS_MAX as u64));
    }
    Ok(())
}

/// Which layers slide, one in `period` being full: the last of each period.
pub(crate) fn sliding_pattern(n_layers: usize, period: usize) -> alloc::vec::Vec<u32> {
    (0..n_layers)
        .map(|layer_idx| u32::from(period == 0 || (layer_idx + 1) % period != 0))
        .collect()
}
