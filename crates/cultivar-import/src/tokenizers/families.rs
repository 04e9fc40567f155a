//! The pre-tokenizer families that `tokenizer.ggml.pre` names, as steps of a record.
//!
//! Names and splits are llama.cpp's; normalizers are those of the models' own tokenizer.json,
//! which llama.cpp leaves out. A name that is not in the table is refused: another family's split
//! would give other ids without a word.

use super::ImportError;
use crate::error::ImportErrorKind;
use alloc::string::String;
use cultivar_core::tokenizer::TokenizerRecord;

/// One family of byte-level BPE tokenizers.
struct Family {
    /// The names that files use.
    names: &'static [&'static str],
    normalizer: &'static [&'static str],
    pre_tokenizer: &'static [&'static str],
    /// Llama 3's: words that are pieces are taken whole, and a begin marker is added.
    is_llama3: bool,
}

const fn family(
    names: &'static [&'static str],
    normalizer: &'static [&'static str],
    pre_tokenizer: &'static [&'static str],
) -> Family {
    Family {
        names,
        normalizer,
        pre_tokenizer,
        is_llama3: false,
    }
}

const FAMILIES: &[Family] = &[
    family(
        &[
            "gpt-2",
            "phi-2",
            "jina-es",
            "jina-de",
            "gigachat",
            "jina-v2-es",
            "jina-v2-de",
            "exaone4",
            "granite-docling",
            "jais",
            "mellum",
            "trillion",
        ],
        &[],
        &["gpt2_words"],
    ),
    family(&["mpt", "olmo"], &["nfc"], &["gpt2_words"]),
    Family {
        names: &[
            "llama-bpe",
            "llama3",
            "llama-v3",
            "falcon3",
            "falcon-h1",
            "lfm2",
            "midm-2.0",
            "pixtral",
        ],
        normalizer: &[],
        pre_tokenizer: &["llama3_words"],
        is_llama3: true,
    },
    family(&["dbrx", "smaug-bpe"], &[], &["llama3_words"]),
    family(
        &["qwen2", "stablelm2", "deepseek-r1-qwen", "megrez"],
        &["nfc"],
        &["qwen2_words"],
    ),
    family(
        &[
            "smollm",
            "starcoder",
            "refact",
            "codeshell",
            "exaone",
            "minerva-7b",
        ],
        &[],
        &["numbers", "gpt2_words"],
    ),
    family(&["command-r"], &["nfc"], &["numbers", "gpt2_words"]),
    family(
        &["falcon"],
        &[],
        &["ascii_symbol_runs", "gpt2_words", "digit_triples"],
    ),
    family(
        &["deepseek-llm"],
        &[],
        &[
            "line_breaks",
            "deepseek_letters",
            "deepseek_punctuation",
            "trailing_space",
            "cjk_runs",
            "numbers",
        ],
    ),
    family(
        &["deepseek-coder"],
        &[],
        &[
            "line_breaks",
            "letter_words",
            "punctuation_words",
            "cjk_runs",
            "numbers",
        ],
    ),
    family(
        &["default", ""],
        &[],
        &[
            "ascii_symbol_runs_but_backtick",
            "gpt2_words",
            "number_runs",
            "digit_triples",
        ],
    ),
];

/// The name of the family that has just the steps of a record, if there is one.
pub(crate) fn name_of(record: &TokenizerRecord) -> Option<&'static str> {
    let is_it = |family: &&Family| {
        record.normalizer == family.normalizer
            && record.pre_tokenizer == family.pre_tokenizer
            && record.ignore_merges == family.is_llama3
    };
    FAMILIES.iter().find(is_it)?.names.first().copied()
}

/// Sets the steps of the family of that name.
pub(super) fn apply(record: &mut TokenizerRecord, name: &str) -> Result<(), ImportError> {
    let family = FAMILIES.iter().find(|family| family.names.contains(&name));
    let Some(family) = family else {
        let error = ImportError::new(ImportErrorKind::PreTokenizerUnknown);
        return Err(error.field(name));
    };
    let owned = |steps: &[&str]| steps.iter().copied().map(String::from).collect();
    record.normalizer = owned(family.normalizer);
    record.pre_tokenizer = owned(family.pre_tokenizer);
    record.ignore_merges = family.is_llama3;
    record.add_bos = family.is_llama3;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cultivar_core::tokenizer::{TokenizerKind, is_normalizer_step, is_pre_tokenizer_step};

    #[test]
    fn every_family_has_steps_that_exist_and_names_of_its_own() {
        let mut names: alloc::vec::Vec<&str> = alloc::vec::Vec::new();
        for family in FAMILIES {
            assert!(
                family
                    .normalizer
                    .iter()
                    .all(|step| is_normalizer_step(step))
            );
            let mut steps = family.pre_tokenizer.iter();
            assert!(steps.all(|step| is_pre_tokenizer_step(step)));
            names.extend(family.names);
        }
        let n_names = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), n_names);
    }

    #[test]
    fn an_unknown_family_is_named() {
        let mut record = TokenizerRecord::empty(TokenizerKind::ByteBpe);
        let error = apply(&mut record, "viking").unwrap_err();
        assert_eq!(error.kind, ImportErrorKind::PreTokenizerUnknown);
        assert_eq!(error.field.as_str(), "viking");
        // The message lists the families by their first names.
        let message = alloc::format!("{error}");
        for family in FAMILIES {
            let name = family.names.first().copied().unwrap_or_default();
            assert!(message.contains(name), "{name}: {message}");
        }
        assert!(apply(&mut record, "qwen2").is_ok());
        assert_eq!(record.normalizer, ["nfc"]);
    }
}
