//! Replaces texts by others: at every place the longest text of the list, front to back, what was
//! put in being passed over. SentencePiece's normalization tables (`nmt_nfkc`), the compatibility
//! part of NFKC and plain replacements are such lists; the package carries the one it needs.

use super::TEXT_BYTES_MAX;
use super::error::{TokenizerError, TokenizerErrorKind};
use super::record::{Pieces, TokenizerRecord};
use alloc::string::String;
use alloc::vec::Vec;

/// A list as a record has it: texts in strictly ascending order of their bytes, and per text what
/// stands for it.
pub(super) fn check(record: &TokenizerRecord) -> Result<(), TokenizerError> {
    let (from, to) = (&record.map_from, &record.map_to);
    let refuse = |place: usize| TokenizerError::new(TokenizerErrorKind::MapBroken, place as u32);
    let is_used = record.normalizer.iter().any(|step| step == "map");
    if from.len() != to.len() || is_used == from.is_empty() {
        return Err(refuse(0));
    }
    let mut last: &[u8] = b"";
    for (place, (text, other)) in from.iter().zip(to.iter()).enumerate() {
        let is_text = core::str::from_utf8(text).is_ok() && core::str::from_utf8(other).is_ok();
        if text <= last || !is_text {
            return Err(refuse(place));
        }
        last = text;
    }
    Ok(())
}

/// Where in a list the texts of each first byte begin.
#[derive(Clone, Debug)]
pub(super) struct TextMap {
    /// 257 places.
    starts: Vec<usize>,
}

impl TextMap {
    /// Indexes the record's list.
    pub(super) fn new(record: &TokenizerRecord) -> TextMap {
        let mut starts = Vec::from([0; 257]);
        for text in record.map_from.iter() {
            let first = text.first().map_or(0, |byte| usize::from(*byte));
            if let Some(count) = starts.get_mut(first + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        TextMap { starts }
    }

    /// The text with every listed part replaced; nothing if it has none.
    pub(super) fn replaced(
        &self,
        record: &TokenizerRecord,
        text: &str,
    ) -> Result<Option<String>, TokenizerError> {
        let mut out = String::new();
        // What precedes `done` is in `out` already.
        let (mut at, mut done) = (0, 0);
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let Some((place, len)) = self.longest(&record.map_from, rest.as_bytes()) else {
                at += rest.chars().next().map_or(1, char::len_utf8);
                continue;
            };
            let other = record.map_to.get(place).unwrap_or_default();
            append(&mut out, text.get(done..at).unwrap_or_default())?;
            append(&mut out, core::str::from_utf8(other).unwrap_or_default())?;
            at += len;
            done = at;
        }
        if done == 0 {
            return Ok(None);
        }
        append(&mut out, text.get(done..).unwrap_or_default())?;
        Ok(Some(out))
    }

    /// The place in the list of the longest text that `text` begins with, and its length: the
    /// range of those that share the first n bytes is narrowed byte by byte.
    fn longest(&self, from: &Pieces, text: &[u8]) -> Option<(usize, usize)> {
        let byte_at = |place: usize, depth: usize| from.get(place).and_then(|text| text.get(depth));
        let bound = |mut low: usize, mut high: usize, is_below: &dyn Fn(usize) -> bool| {
            while low < high {
                let middle = low.midpoint(high);
                if is_below(middle) {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            low
        };
        let first = text.first().map_or(0, |byte| usize::from(*byte));
        let start = |byte: usize| self.starts.get(byte).copied().unwrap_or_default();
        let (mut low, mut high) = (start(first), start(first + 1));
        let mut best = None;
        for (depth, byte) in text.iter().enumerate() {
            if depth > 0 {
                low = bound(low, high, &|place| byte_at(place, depth) < Some(byte));
                high = bound(low, high, &|place| byte_at(place, depth) <= Some(byte));
            }
            if low == high {
                break;
            }
            // What ends here sorts first among those that share these bytes.
            if byte_at(low, depth + 1).is_none() {
                best = Some((low, depth + 1));
            }
        }
        best
    }
}

/// Adds text to what may grow far beyond what it was made from.
fn append(out: &mut String, text: &str) -> Result<(), TokenizerError> {
    if out.len() + text.len() > TEXT_BYTES_MAX {
        return Err(TokenizerError::new(TokenizerErrorKind::TextTooLong, 0));
    }
    out.try_reserve(text.len())
        .map_err(|_| TokenizerError::new(TokenizerErrorKind::OutOfMemory, 0))?;
    out.push_str(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::TokenizerKind;

    fn record(pairs: &[(&str, &str)]) -> TokenizerRecord {
        let mut record = TokenizerRecord::empty(TokenizerKind::Unigram);
        record.map_from = pairs.iter().map(|(from, _)| from.as_bytes()).collect();
        record.map_to = pairs.iter().map(|(_, to)| to.as_bytes()).collect();
        record
    }

    #[test]
    fn the_longest_part_at_every_place_is_replaced_once() {
        let pairs = [
            ("a", "b"),
            ("abc", ""),
            ("b", "aa"),
            ("ﬁ", "fi"),
            ("ﬁx", "F"),
        ];
        let record = record(&pairs);
        let map = TextMap::new(&record);
        for (text, expected) in [
            ("", None),
            ("xyz é\0\u{10FFFF}", None),
            ("a", Some("b")),
            ("ab", Some("baa")),
            ("abc", Some("")),
            ("xabcabx", Some("xbaax")),
            ("ﬁﬁxé", Some("fiFé")),
            ("é\u{FB00}b", Some("é\u{FB00}aa")),
        ] {
            let found = map.replaced(&record, text).unwrap();
            assert_eq!(found.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_text_may_not_grow_without_bound() {
        let long = "x".repeat(1024);
        let record = record(&[("a", &long)]);
        let map = TextMap::new(&record);
        let text = "a".repeat(TEXT_BYTES_MAX / 1024);
        assert!(map.replaced(&record, &text).unwrap().is_some());
        let error = map.replaced(&record, &(text + "a")).unwrap_err();
        assert_eq!(error.kind, TokenizerErrorKind::TextTooLong);
    }
}
