//! Replacements into the one list that a record has for its step `map`.
//!
//! Two that follow one another become one list only where they cannot meet: a later one sees what
//! an earlier one has written.

use super::json_fields::unsupported;
use crate::error::ImportError;
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::sorting::sort;
use cultivar_core::tokenizer::{Pieces, TokenizerRecord};

/// Adds replacements behind the record's steps. `pairs` ascends; an empty list is no step.
pub(super) fn add(
    record: &mut TokenizerRecord,
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
    name: &str,
) -> Result<(), ImportError> {
    if pairs.is_empty() {
        return Ok(());
    }
    let mut all = pairs;
    if !record.map_from.is_empty() {
        let is_last = record.normalizer.last().is_some_and(|step| step == "map");
        let earlier = record.map_from.iter().zip(record.map_to.iter());
        let earlier: Vec<(Vec<u8>, Vec<u8>)> = earlier
            .map(|(from, to)| (from.to_vec(), to.to_vec()))
            .collect();
        if !is_last || meet(&earlier, &all) {
            return Err(unsupported(name));
        }
        all.extend(earlier);
        sort(&mut all);
        record.normalizer.pop();
    }
    let (mut from, mut to) = (Pieces::new(), Pieces::new());
    for (text, other) in &all {
        if !from.push(text) || !to.push(other) {
            return Err(unsupported(name));
        }
    }
    (record.map_from, record.map_to) = (from, to);
    record.normalizer.push(String::from("map"));
    Ok(())
}

/// Whether some character of a later text stands in an earlier one or in what that becomes.
fn meet(earlier: &[(Vec<u8>, Vec<u8>)], later: &[(Vec<u8>, Vec<u8>)]) -> bool {
    let characters = |text: &[u8]| -> Vec<char> {
        let text = core::str::from_utf8(text).unwrap_or_default();
        text.chars().collect()
    };
    let mut known: Vec<char> = Vec::new();
    for (from, to) in earlier {
        known.extend(characters(from));
        known.extend(characters(to));
    }
    sort(&mut known);
    let is_known = |character: &char| known.binary_search(character).is_ok();
    let mut texts = later.iter();
    texts.any(|(from, _)| characters(from).iter().any(is_known))
}
