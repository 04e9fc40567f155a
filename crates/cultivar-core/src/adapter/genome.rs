//! The genome: how a package was made, as canonical JSON of schema `cultivar.genome.v1`.
//!
//! Operator, parameters and parents by identity, in order, so that anybody who has the parents can
//! make the same package again; and the licence that follows from theirs. No time, no host, no
//! folder.

use super::stack::Stack;
use crate::digest::Digest;
use crate::json::JsonWriter;
use crate::package::{Head, metadata_key};
use alloc::string::String;
use alloc::vec::Vec;

/// A parent and its part.
pub struct Parent<'a> {
    /// `base`, `adapter` or `child`.
    pub role: &'static str,
    /// Its `weights`.
    pub weights: Digest,
    /// The name in its metadata; may be empty.
    pub name: &'a str,
    /// The licence in its metadata; may be empty.
    pub license: &'a str,
    /// Its weight, where the operator has weights.
    pub weight: Option<f32>,
}

/// A genome in progress: the operator, then its parents; parameters are put by the caller.
pub fn begin<'a>(operator: &str, parents: impl Iterator<Item = Parent<'a>>) -> JsonWriter {
    let mut json = JsonWriter::new();
    json.begin_object()
        .field_str("schema", "cultivar.genome.v1")
        .field_str("operator", operator);
    json.key("parents").begin_array();
    for parent in parents {
        json.begin_object().field_str("role", parent.role);
        json.field_display("weights", parent.weights);
        for (key, text) in [("name", parent.name), ("license", parent.license)] {
            if !text.is_empty() {
                json.field_str(key, text);
            }
        }
        if let Some(weight) = parent.weight {
            json.field_f32("weight", weight);
        }
        json.end_object();
    }
    json.end_array();
    json.key("parameters").begin_object();
    json
}

/// The base, then the adapters of a stack in order.
pub fn stack_parents<'a>(base: &'a Head, stack: &'a Stack) -> impl Iterator<Item = Parent<'a>> {
    let adapters = stack.entries().iter().map(|entry| {
        let (adapter, text) = (entry.adapter(), |key| entry.adapter().metadata.text(key));
        Parent {
            role: "adapter",
            weights: adapter.weights,
            name: text(metadata_key::NAME).unwrap_or_default(),
            license: text(metadata_key::LICENSE).unwrap_or_default(),
            weight: Some(entry.weight()),
        }
    });
    core::iter::once(of_model("base", base)).chain(adapters)
}

/// A model as a parent.
pub fn of_model<'a>(role: &'static str, model: &'a Head) -> Parent<'a> {
    let text = |key| model.metadata.text(key).unwrap_or_default();
    Parent {
        role,
        weights: model.identities.weights,
        name: text(metadata_key::NAME),
        license: text(metadata_key::LICENSE),
        weight: None,
    }
}

/// Ends what [`begin`] began.
pub fn finish(mut json: JsonWriter) -> String {
    json.end_object().end_object();
    json.finish()
}

/// What holds for something made of parts under these licences: all of them, each once, in order,
/// as an SPDX expression. A part without one counts as `NOASSERTION`, unless none has one.
///
/// Parts are told apart as text, ids whatever their case.
pub fn joint_license<'a>(licenses: impl Iterator<Item = &'a str>) -> String {
    let licenses: Vec<&str> = licenses.map(str::trim_ascii).collect();
    let mut terms: Vec<&str> = Vec::new();
    for license in &licenses {
        // AND binds tighter than OR.
        let own = match is_choice(license) {
            true => alloc::vec![*license],
            false => split(license, " AND "),
        };
        for term in own {
            let term = if term.is_empty() { "NOASSERTION" } else { term };
            if !terms.iter().any(|known| known.eq_ignore_ascii_case(term)) {
                terms.push(term);
            }
        }
    }
    let mut joint = String::new();
    if licenses.iter().all(|license| license.is_empty()) {
        return joint;
    }
    for term in &terms {
        if !joint.is_empty() {
            joint.push_str(" AND ");
        }
        let [open, close] = match terms.len() > 1 && is_choice(term) {
            true => ["(", ")"],
            false => [""; 2],
        };
        for text in [open, term, close] {
            joint.push_str(text);
        }
    }
    joint
}

fn is_choice(license: &str) -> bool {
    split(license, " OR ").len() > 1
}

/// The parts of a text between separators that stand outside all brackets.
fn split<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut parts, mut own, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, letter) in text.bytes().enumerate() {
        match letter {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ if depth > 0 || at < own => {}
            // Separators begin with a space, so that `at` is no place inside a character.
            b' ' if text
                .get(at..)
                .is_some_and(|rest| rest.starts_with(separator)) =>
            {
                parts.extend(text.get(own..at));
                own = at + separator.len();
            }
            _ => {}
        }
    }
    parts.extend(text.get(own..));
    parts
}

#[cfg(test)]
mod tests {
    use super::joint_license;

    #[test]
    fn licences_of_parts_hold_together_each_once_and_one_that_is_unknown_is_said() {
        let cases: &[(&[&str], &str)] = &[
            (&[], ""),
            (&["", ""], ""),
            (&["MIT"], "MIT"),
            (&["MIT", "mit", " MIT "], "MIT"),
            (
                &["MIT", "", "CC0-1.0", ""],
                "MIT AND NOASSERTION AND CC0-1.0",
            ),
            (&["MIT OR Apache-2.0"], "MIT OR Apache-2.0"),
            (
                &["MIT OR Apache-2.0", "CC0-1.0"],
                "(MIT OR Apache-2.0) AND CC0-1.0",
            ),
            // What was joined is not joined twice.
            (
                &[
                    "(MIT OR Apache-2.0) AND CC0-1.0",
                    "CC0-1.0 AND (MIT OR Apache-2.0)",
                ],
                "(MIT OR Apache-2.0) AND CC0-1.0",
            ),
            (&["MIT AND NOASSERTION", ""], "MIT AND NOASSERTION"),
            (&["ask me (é) first", "MIT"], "ask me (é) first AND MIT"),
            (&[") OR (", "MIT"], "() OR () AND MIT"),
        ];
        for (licenses, joint) in cases {
            assert_eq!(
                joint_license(licenses.iter().copied()),
                *joint,
                "{licenses:?}"
            );
        }
    }
}
