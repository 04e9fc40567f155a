//! What happens to text before it is split: named steps, in the record's order.
//!
//! Steps see the text between special pieces, one stretch at a time. None of them runs on what a
//! special piece was made from, and none can fail but for a lack of memory.

use super::error::{TokenizerError, TokenizerErrorKind};
use super::record::TokenizerRecord;
use super::text_map::TextMap;
use super::unicode::Composer;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// One way to change text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Canonical composition.
    Nfc,
    /// The longest texts of the record's list become others.
    Map,
    /// One space before a text that does not begin with one.
    PrefixSpace,
    /// The same before the first stretch alone.
    PrefixSpaceFirst,
    /// Runs of spaces become one.
    CollapseSpaces,
    /// White space at the beginning goes.
    StripLeft,
    /// White space at the end goes.
    StripRight,
    /// Spaces at both ends go, other white space stays.
    StripSpaces,
}

/// Every step by the name that records use, ascending. `docs/package-format.md` repeats the table.
const STEPS: &[(&str, Step)] = &[
    ("collapse_spaces", Step::CollapseSpaces),
    ("map", Step::Map),
    ("nfc", Step::Nfc),
    ("prefix_space", Step::PrefixSpace),
    ("prefix_space_first", Step::PrefixSpaceFirst),
    ("strip_left", Step::StripLeft),
    ("strip_right", Step::StripRight),
    ("strip_spaces", Step::StripSpaces),
];

/// Whether this version knows a normalizer step of that name.
pub fn is_normalizer_step(name: &str) -> bool {
    STEPS.iter().any(|(known, _)| *known == name)
}

/// The steps of one tokenizer, ready to use.
#[derive(Clone, Debug)]
pub(super) struct Normalizer {
    steps: Vec<Step>,
    composer: Option<Composer>,
    map: TextMap,
}

impl Normalizer {
    /// The record's steps; `None` if one is unknown.
    pub(super) fn new(record: &TokenizerRecord) -> Option<Normalizer> {
        let step_of = |name: &String| STEPS.iter().find(|(known, _)| known == name);
        let steps: Option<Vec<Step>> = record
            .normalizer
            .iter()
            .map(|name| step_of(name).map(|(_, step)| *step))
            .collect();
        let steps = steps?;
        let composer = steps.contains(&Step::Nfc).then(Composer::new);
        Some(Normalizer {
            steps,
            composer,
            map: TextMap::new(record),
        })
    }

    /// The stretch as it is to be split; `is_first` tells the beginning of the whole text.
    pub(super) fn normalize<'a>(
        &self,
        record: &TokenizerRecord,
        text: &'a str,
        is_first: bool,
    ) -> Result<Cow<'a, str>, TokenizerError> {
        let mut text = Cow::Borrowed(text);
        for step in &self.steps {
            let changed = match step {
                Step::Map => self.map.replaced(record, &text)?,
                Step::Nfc => self.composed(&text)?,
                Step::PrefixSpaceFirst if !is_first => None,
                Step::PrefixSpace | Step::PrefixSpaceFirst => prefixed(&text)?,
                Step::CollapseSpaces => collapsed(&text)?,
                Step::StripLeft => stripped(&text, text.trim_start())?,
                Step::StripRight => stripped(&text, text.trim_end())?,
                Step::StripSpaces => stripped(&text, text.trim_matches(' '))?,
            };
            if let Some(changed) = changed {
                text = Cow::Owned(changed);
            }
        }
        Ok(text)
    }

    fn composed(&self, text: &str) -> Result<Option<String>, TokenizerError> {
        let Some(composer) = &self.composer else {
            return Ok(None);
        };
        match composer.compose(text).ok_or(NO_MEMORY)? {
            Cow::Owned(text) => Ok(Some(text)),
            Cow::Borrowed(_) => Ok(None),
        }
    }
}

const NO_MEMORY: TokenizerError = TokenizerError::new(TokenizerErrorKind::OutOfMemory, 0);

/// An empty text with room for so many bytes.
fn room(n_bytes: usize) -> Result<String, TokenizerError> {
    let mut text = String::new();
    text.try_reserve(n_bytes).map_err(|_| NO_MEMORY)?;
    Ok(text)
}

fn prefixed(text: &str) -> Result<Option<String>, TokenizerError> {
    if text.is_empty() || text.starts_with(' ') {
        return Ok(None);
    }
    let mut out = room(text.len() + 1)?;
    out.push(' ');
    out.push_str(text);
    Ok(Some(out))
}

fn collapsed(text: &str) -> Result<Option<String>, TokenizerError> {
    // As bytes: the library's search of text is five kilobytes of the module.
    if !text.as_bytes().windows(2).any(|pair| pair == b"  ") {
        return Ok(None);
    }
    let mut out = room(text.len())?;
    for character in text.chars() {
        if character != ' ' || !out.ends_with(' ') {
            out.push(character);
        }
    }
    Ok(Some(out))
}

fn stripped(text: &str, part: &str) -> Result<Option<String>, TokenizerError> {
    if part.len() == text.len() {
        return Ok(None);
    }
    let mut out = room(part.len())?;
    out.push_str(part);
    Ok(Some(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of these steps that maps `b` to `c`.
    fn record(steps: &[&str]) -> TokenizerRecord {
        let mut record = TokenizerRecord::empty(crate::tokenizer::TokenizerKind::Unigram);
        assert!(record.map_from.push(b"b") && record.map_to.push(b"c"));
        record.normalizer = steps.iter().copied().map(String::from).collect();
        record
    }

    #[test]
    fn every_step_does_what_its_name_says() {
        for (name, text, first, later) in [
            ("map", "abba", "acca", "acca"),
            ("nfc", "e\u{301}", "é", "é"),
            ("prefix_space", "a", " a", " a"),
            ("prefix_space", " a", " a", " a"),
            ("prefix_space", "", "", ""),
            ("prefix_space_first", "a", " a", "a"),
            ("collapse_spaces", "  a   b c ", " a b c ", " a b c "),
            ("strip_left", " \n a ", "a ", "a "),
            ("strip_right", " a \u{3000}", " a", " a"),
            ("strip_spaces", "  \na\u{a0} ", "\na\u{a0}", "\na\u{a0}"),
        ] {
            let record = record(&[name]);
            let normalizer = Normalizer::new(&record).unwrap();
            let normalized = |is_first| normalizer.normalize(&record, text, is_first).unwrap();
            assert_eq!(normalized(true), first, "{name}");
            assert_eq!(normalized(false), later, "{name}");
        }
        assert!(Normalizer::new(&record(&["nfx"])).is_none());
        assert!(STEPS.is_sorted_by_key(|(name, _)| name));
    }

    #[test]
    fn steps_follow_one_another() {
        let names = [
            "collapse_spaces",
            "strip_left",
            "strip_right",
            "prefix_space",
        ];
        let record = record(&names);
        let normalizer = Normalizer::new(&record).unwrap();
        let normalized = normalizer.normalize(&record, "  a  b ", true);
        assert_eq!(normalized.unwrap(), " a b");
    }
}
