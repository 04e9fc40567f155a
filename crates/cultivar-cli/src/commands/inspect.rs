//! `cultivar inspect`: the card of a package, without reading its weights.

use super::{Command, human_bytes};
use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::Report;
use crate::package_file::PackageFile;
use cultivar_core::adapter::AdapterHead;
use cultivar_core::json::JsonWriter;
use cultivar_core::model::{architecture_label, card_json};
use cultivar_core::package::{Head, Metadata, PackageKind, Tail, metadata_key};
use std::collections::BTreeMap;
use std::fmt::Write;

pub const COMMAND: Command = Command {
    name: "inspect",
    summary: "Show what a package holds",
    usage: &["FILE [--json]"],
    about: "Checks the head and the tail; the weights are neither read nor verified (see verify).",
    flags: &[],
    run,
};

fn run(given: &Arguments) -> Result<Report, Failure> {
    let mut file = PackageFile::open(given.file()?)?;
    let (header, bytes) = file.head_bytes()?;
    match header.kind {
        PackageKind::Model => {
            let head = Head::parse(&bytes, file.file_bytes).map_err(|error| file.about(error))?;
            let tail = file.tail(&head)?;
            Ok(Report::new(
                card_json(&head, Some(&tail)),
                model_text(&head, &tail),
            ))
        }
        PackageKind::Adapter => {
            let head = AdapterHead::parse(&bytes, file.file_bytes);
            let head = head.map_err(|error| file.about(error))?;
            let (offset, end) = (head.sections.data_end(), file.file_bytes);
            let tail = file.bytes(offset, end.saturating_sub(offset))?;
            let tail = head.parse_tail(&tail).map_err(|error| file.about(error))?;
            Ok(Report::new(
                adapter_json(&head, &tail),
                adapter_text(&head, &tail),
            ))
        }
    }
}

fn put_metadata(text: &mut String, metadata: &Metadata) {
    let keys = [
        ("name", metadata_key::NAME),
        ("author", metadata_key::AUTHOR),
        ("license", metadata_key::LICENSE),
        ("source", metadata_key::SOURCE),
        ("base", metadata_key::BASE_NAME),
        ("mask", metadata_key::MASK),
        ("notes", metadata_key::NOTES),
    ];
    for (label, key) in keys {
        if let Some(value) = metadata.text(key) {
            // Control characters of a stranger's text must not reach a terminal.
            let plain: String = value.chars().filter(|c| !c.is_control()).collect();
            let _ = writeln!(text, "{label:<14} {plain}");
        }
    }
}

fn model_text(head: &Head, tail: &Tail) -> String {
    let mut text = String::new();
    let config = &head.config;
    put_metadata(&mut text, &head.metadata);
    let mut formats: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in head.directory.entries() {
        *formats.entry(entry.format.name).or_default() += 1;
    }
    let formats: Vec<String> = formats
        .iter()
        .map(|(name, n)| format!("{n} {name}"))
        .collect();
    let identities = &head.identities;
    let tokenizer = head.tokenizer.kind.name();
    for (label, value) in [
        ("kind", head.header.kind.name().to_string()),
        ("architecture", architecture_label(config)),
        ("parameters", head.directory.n_parameters().to_string()),
        ("tensors", formats.join(", ")),
        ("context", config.context_len.to_string()),
        (
            "tokenizer",
            format!("{tokenizer}, {} ids", config.vocab_size),
        ),
        ("file", human_bytes(head.header.file_bytes)),
        ("content", tail.content.to_string()),
        ("weights", identities.weights.to_string()),
        ("architecture", identities.architecture.to_string()),
        ("tokenizer", identities.tokenizer.to_string()),
        ("tensor_schema", identities.tensor_schema.to_string()),
    ] {
        let _ = writeln!(text, "{label:<14} {value}");
    }
    if let Err(error) = config.check_supported() {
        let _ = writeln!(text, "{:<14} {error}", "not runnable");
    }
    text
}

fn adapter_text(head: &AdapterHead, tail: &Tail) -> String {
    let mut text = String::new();
    put_metadata(&mut text, &head.metadata);
    for (label, value) in [
        ("kind", head.header.kind.name().to_string()),
        ("deltas", head.deltas.len().to_string()),
        ("file", human_bytes(head.header.file_bytes)),
        ("content", tail.content.to_string()),
        ("weights", head.weights.to_string()),
        (
            "for",
            format!("architecture {}", head.binding.base_architecture),
        ),
        ("", format!("tokenizer {}", head.binding.base_tokenizer)),
        (
            "",
            format!("tensor_schema {}", head.binding.base_tensor_schema),
        ),
    ] {
        let _ = writeln!(text, "{label:<14} {value}");
    }
    text
}

fn adapter_json(head: &AdapterHead, tail: &Tail) -> String {
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field_str("schema", "cultivar.card.v1");
    json.field_str("kind", head.header.kind.name());
    for key in [
        metadata_key::NAME,
        metadata_key::LICENSE,
        metadata_key::MASK,
    ] {
        json.field_str(key, head.metadata.text(key).unwrap_or(""));
    }
    json.field_u64("file_bytes", head.header.file_bytes);
    json.key("identities").begin_object();
    json.field_display("content", tail.content);
    json.field_display("weights", head.weights);
    json.end_object();
    json.key("binding").begin_object();
    json.field_display("architecture", head.binding.base_architecture);
    json.field_display("tokenizer", head.binding.base_tokenizer);
    json.field_display("tensor_schema", head.binding.base_tensor_schema);
    json.field_bool("exact_base", head.binding.exact_base);
    json.end_object();
    json.key("targets").begin_array();
    for delta in &head.deltas {
        json.string(&delta.target);
    }
    json.end_array();
    json.key("densities").begin_array();
    for density in (0..head.deltas.len()).filter_map(|idx| head.density(idx)) {
        json.f32(density);
    }
    json.end_array().end_object();
    json.finish()
}
