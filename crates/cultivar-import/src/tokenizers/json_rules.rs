//! The normalizer, pre-tokenizer and decoder of a tokenizer.json as steps of a record.
//!
//! Expressions are told by their text: there is no engine for any other. A step that is not in
//! these tables is refused by its name.

use super::json_fields::{bad, flag, kind, missing, present, steps, text, unsupported};
use super::{charsmap, text_maps};
use crate::error::ImportError;
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::json::JsonValue;
use cultivar_core::tokenizer::TokenizerRecord;

const SPACE_MARK: &str = "\u{2581}";

/// Expressions of `Split` steps, and the pre-tokenizer steps that they are.
const EXPRESSIONS: &[(&str, &str)] = &[
    (
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        "gpt2_words",
    ),
    (
        concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}",
            r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        ),
        "llama3_words",
    ),
    (
        concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
            r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        ),
        "qwen2_words",
    ),
    (r"[\p{P}\$\+<=>\^~\|`]+", "ascii_symbol_runs"),
    (r"[\p{P}\$\+<=>\^~\|]+", "ascii_symbol_runs_but_backtick"),
    ("[0-9][0-9][0-9]", "digit_triples"),
    ("[\r\n]", "line_breaks"),
    (r"[\r\n]", "line_breaks"),
    (r"\s?\p{L}+", "letter_words"),
    (r"\s?\p{P}+", "punctuation_words"),
    (r"\s+$", "trailing_space"),
    (r"\p{N}", "numbers"),
    (r"\p{N}+", "number_runs"),
    ("[一-龥ࠀ-一가-\u{D7FF}]+", "cjk_runs"),
    (r"\s?[!-/:-~！-／：-～‘-‟　-。]+", "deepseek_punctuation"),
];

/// The expression that a pre-tokenizer step is, if it is short enough to have been kept.
pub(crate) fn expression_of(step: &str) -> Option<&'static str> {
    let row = EXPRESSIONS.iter().find(|(_, name)| *name == step);
    row.map(|(expression, _)| *expression)
}

/// How DeepSeek's list of letters begins and ends; in between stand 80 more ranges.
const DEEPSEEK_LETTERS: (&str, &str) = (r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿ", "\u{1E900}-\u{1E943}]+");

/// What the rules of a file say about its vocabulary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    /// Pieces are written in byte-level BPE's alphabet.
    pub is_byte_level: bool,
    /// Pieces hold U+2581 for spaces.
    pub has_space_mark: bool,
}

/// Sets the record's steps from the file and says how its pieces are written.
pub(super) fn read_rules(
    record: &mut TokenizerRecord,
    file: &JsonValue,
) -> Result<Style, ImportError> {
    let mut style = Style::default();
    for step in steps(present(file, "normalizer"), "normalizers")? {
        read_normalizer(record, &mut style, step)?;
    }
    for step in steps(present(file, "pre_tokenizer"), "pretokenizers")? {
        read_splitter(record, &mut style, step)?;
    }
    for step in steps(present(file, "decoder"), "decoders")? {
        read_decoder(record, &mut style, step)?;
    }
    Ok(style)
}

fn push(list: &mut Vec<String>, step: &str) {
    list.push(String::from(step));
}

fn read_normalizer(
    record: &mut TokenizerRecord,
    style: &mut Style,
    step: &JsonValue,
) -> Result<(), ImportError> {
    let normalizer = &mut record.normalizer;
    match kind(step)? {
        "NFC" => push(normalizer, "nfc"),
        "NFKC" => {
            text_maps::add(record, super::compatibility::pairs(), "NFKC")?;
            push(&mut record.normalizer, "nfc");
        }
        "Precompiled" => {
            const TABLE: &str = "precompiled_charsmap";
            let table = text(step, TABLE)?.ok_or_else(|| missing(TABLE))?;
            let table = charsmap::base64(table).ok_or_else(|| bad(TABLE))?;
            text_maps::add(record, charsmap::pairs(&table, TABLE)?, TABLE)?;
        }
        "Prepend" => {
            if text(step, "prepend")? != Some(SPACE_MARK) {
                return Err(unsupported("Prepend"));
            }
            record.add_space_prefix = true;
        }
        "Replace" => {
            let content = text(step, "content")?.unwrap_or_default();
            match (string_pattern(step)?, expression(step)?) {
                (Some(" "), _) if content == SPACE_MARK => style.has_space_mark = true,
                (_, Some(" {2,}")) if content == SPACE_MARK || content == " " => {
                    push(normalizer, "collapse_spaces");
                }
                (Some(from), _)
                    if !from.is_empty()
                        && !from.contains(SPACE_MARK)
                        && !content.contains(SPACE_MARK) =>
                {
                    let pair = (from.as_bytes().to_vec(), content.as_bytes().to_vec());
                    text_maps::add(record, Vec::from([pair]), "Replace")?;
                }
                _ => return Err(unsupported("Replace")),
            }
        }
        "Strip" => {
            if flag(step, "strip_left", false)? {
                push(normalizer, "strip_left");
            }
            if flag(step, "strip_right", false)? {
                push(normalizer, "strip_right");
            }
        }
        other => return Err(unsupported(other)),
    }
    Ok(())
}

/// The pattern of a step, if it is a plain text.
fn string_pattern(step: &JsonValue) -> Result<Option<&str>, ImportError> {
    text(
        step.get("pattern").ok_or_else(|| missing("pattern"))?,
        "String",
    )
}

/// The pattern of a step, if it is a regular expression.
fn expression(step: &JsonValue) -> Result<Option<&str>, ImportError> {
    text(
        step.get("pattern").ok_or_else(|| missing("pattern"))?,
        "Regex",
    )
}

fn read_splitter(
    record: &mut TokenizerRecord,
    style: &mut Style,
    step: &JsonValue,
) -> Result<(), ImportError> {
    let is_first = record.pre_tokenizer.is_empty();
    let splitters = &mut record.pre_tokenizer;
    match kind(step)? {
        "ByteLevel" => {
            style.is_byte_level = true;
            if flag(step, "add_prefix_space", true)? {
                if !is_first {
                    return Err(unsupported("ByteLevel.add_prefix_space behind other steps"));
                }
                push(&mut record.normalizer, "prefix_space");
            }
            if flag(step, "use_regex", true)? {
                push(splitters, "gpt2_words");
            }
        }
        "Split" => {
            if let Some(step) = split_step(step, style)? {
                push(splitters, step);
            }
        }
        "Digits" => {
            let single = flag(step, "individual_digits", false)?;
            push(splitters, if single { "numbers" } else { "number_runs" });
        }
        "Punctuation" => match text(step, "behavior")?.unwrap_or("Isolated") {
            "Contiguous" => push(splitters, "ascii_symbol_runs"),
            "Isolated" => push(splitters, "ascii_symbols"),
            _ => return Err(unsupported("Punctuation.behavior")),
        },
        "Metaspace" => read_metaspace(record, style, step)?,
        other => return Err(unsupported(other)),
    }
    Ok(())
}

/// The step that a `Split` is; none where it can never match.
fn split_step(step: &JsonValue, style: &Style) -> Result<Option<&'static str>, ImportError> {
    let behavior = text(step, "behavior")?.unwrap_or_default();
    let is_inverted = flag(step, "invert", false)?;
    if let Some(pattern) = string_pattern(step)? {
        // Spaces were replaced by then.
        let never_matches = pattern == " " && style.has_space_mark;
        return if never_matches {
            Ok(None)
        } else {
            Err(unsupported("Split"))
        };
    }
    let pattern = expression(step)?.ok_or_else(|| bad("pattern"))?;
    let known = EXPRESSIONS.iter().find(|(known, _)| *known == pattern);
    let (first, last) = DEEPSEEK_LETTERS;
    let name = match known {
        Some((_, name)) => *name,
        None if pattern.starts_with(first) && pattern.ends_with(last) => "deepseek_letters",
        None => return Err(unsupported(pattern)),
    };
    // Where nothing lies between matches, keeping matches alone is the same.
    let covers_all = name.ends_with("2_words") || name == "llama3_words";
    match (behavior, is_inverted) {
        ("Isolated", false) => Ok(Some(name)),
        ("Removed", true) if covers_all => Ok(Some(name)),
        _ => Err(unsupported("Split.behavior")),
    }
}

fn read_metaspace(
    record: &mut TokenizerRecord,
    style: &mut Style,
    step: &JsonValue,
) -> Result<(), ImportError> {
    if text(step, "replacement")?.unwrap_or(SPACE_MARK) != SPACE_MARK {
        return Err(unsupported("Metaspace.replacement"));
    }
    style.has_space_mark = true;
    let old = flag(step, "add_prefix_space", true)?;
    let scheme = text(step, "prepend_scheme")?.unwrap_or(if old { "always" } else { "never" });
    match scheme {
        "always" => push(&mut record.normalizer, "prefix_space"),
        "first" => push(&mut record.normalizer, "prefix_space_first"),
        "never" => {}
        _ => return Err(bad("prepend_scheme")),
    }
    if flag(step, "split", true)? {
        push(&mut record.pre_tokenizer, "space_words");
    }
    Ok(())
}

fn read_decoder(
    record: &mut TokenizerRecord,
    style: &mut Style,
    step: &JsonValue,
) -> Result<(), ImportError> {
    match kind(step)? {
        "ByteLevel" => style.is_byte_level = true,
        // Pieces are bytes and spaces already, and text is joined as bytes.
        "ByteFallback" | "Fuse" => {}
        "Replace" => {
            let to_space = text(step, "content")? == Some(" ");
            if string_pattern(step)? != Some(SPACE_MARK) || !to_space {
                return Err(unsupported("Replace"));
            }
        }
        "Strip" => {
            let count = |key: &str| step.get(key).and_then(JsonValue::as_u64);
            let strips_one = count("start") == Some(1) && count("stop") == Some(0);
            if text(step, "content")? != Some(" ") || !strips_one {
                return Err(unsupported("Strip"));
            }
            record.remove_leading_space = true;
        }
        "Metaspace" => {
            let old = flag(step, "add_prefix_space", true)?;
            let scheme = text(step, "prepend_scheme")?;
            let scheme = scheme.unwrap_or(if old { "always" } else { "never" });
            record.remove_leading_space = scheme != "never";
        }
        other => return Err(unsupported(other)),
    }
    Ok(())
}
