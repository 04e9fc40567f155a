//! The genome: how a package was bred, as canonical JSON of schema `cultivar.genome.v1`.
//!
//! Operator, parameters and parents by identity, in order, so that anybody who has the parents can
//! make the same package again. No time, no host, no folder.

use alloc::string::String;
use cultivar_core::adapter::Stack;
use cultivar_core::digest::Digest;
use cultivar_core::json::JsonWriter;
use cultivar_core::package::{Head, metadata_key};

/// A parent and its part.
pub struct Parent<'a> {
    /// `base`, `adapter` or `child`.
    pub role: &'static str,
    /// Its `weights`.
    pub weights: Digest,
    /// The name in its metadata; may be empty.
    pub name: &'a str,
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
        if !parent.name.is_empty() {
            json.field_str("name", parent.name);
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
    let adapters = stack.entries().iter().map(|entry| Parent {
        role: "adapter",
        weights: entry.adapter().weights,
        name: &entry.adapter().name,
        weight: Some(entry.weight()),
    });
    core::iter::once(of_model("base", base)).chain(adapters)
}

/// A model as a parent.
pub fn of_model<'a>(role: &'static str, model: &'a Head) -> Parent<'a> {
    Parent {
        role,
        weights: model.identities.weights,
        name: model.metadata.text(metadata_key::NAME).unwrap_or_default(),
        weight: None,
    }
}

/// Ends what [`begin`] began.
pub fn finish(mut json: JsonWriter) -> String {
    json.end_object().end_object();
    json.finish()
}
