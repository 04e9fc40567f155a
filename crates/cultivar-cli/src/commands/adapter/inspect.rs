//! `cultivar adapter inspect`: every delta of an adapter, what it is bound to, how it was made.

use super::only_file;
use crate::adapter_files::read;
use crate::arguments::Arguments;
use crate::commands::human_bytes;
use crate::failure::Failure;
use crate::output::Report;
use cultivar_core::adapter::{Adapter, Delta, DeltaKind};
use cultivar_core::json::JsonWriter;
use cultivar_core::package::{SectionId, metadata_key};
use cultivar_core::tensor::TensorRef;
use std::fmt::Write;

pub fn run(given: &Arguments) -> Result<Report, Failure> {
    let path = only_file(given)?;
    let bytes = read(path)?;
    let adapter = Adapter::parse(&bytes).map_err(|error| Failure::from(error).about(path))?;
    Ok(Report::new(to_json(&adapter, &bytes), to_text(&adapter)))
}

/// A delta's kind and the numbers that go with it.
struct Line<'a> {
    target: &'a str,
    kind: &'static str,
    /// Rank, or entries, or elements.
    size: u64,
    format: &'static str,
    bytes: u64,
}

impl<'a> Line<'a> {
    fn new(adapter: &Adapter<'_>, delta: &'a Delta) -> Line<'a> {
        let part = |idx: usize| adapter.tensor(idx);
        let elements = |tensor: Option<TensorRef<'_>>| {
            tensor.map_or(0, |tensor| tensor.d_out as u64 * tensor.d_in as u64)
        };
        let (kind, size, idx, parts) = match delta.kind {
            DeltaKind::Raw { delta } => ("raw", elements(part(delta)), delta, vec![delta]),
            DeltaKind::Sparse { indices, values } => (
                "sparse",
                elements(part(values)),
                values,
                vec![indices, values],
            ),
            DeltaKind::LowRank {
                lora_a,
                lora_b,
                scales,
                rank,
                ..
            } => (
                "low_rank",
                rank as u64,
                lora_a,
                vec![lora_a, lora_b, scales],
            ),
        };
        let stored = |idx: &usize| part(*idx).map_or(0, |tensor| tensor.bytes.len() as u64);
        Line {
            target: &delta.target,
            kind,
            size,
            format: part(idx).map_or("", |tensor| tensor.format.name),
            bytes: parts.iter().map(stored).sum(),
        }
    }
}

fn to_json(adapter: &Adapter<'_>, bytes: &[u8]) -> String {
    let head = &adapter.head;
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field_str("schema", "cultivar.adapter.v1");
    json.field_str("name", head.metadata.text(metadata_key::NAME).unwrap_or(""));
    json.field_u64("file_bytes", bytes.len() as u64);
    json.field_display("weights", head.weights);
    json.field_display("content", adapter.tail.content);
    json.key("binding").begin_object();
    json.field_display("architecture", head.binding.base_architecture);
    json.field_display("tokenizer", head.binding.base_tokenizer);
    json.field_display("tensor_schema", head.binding.base_tensor_schema);
    if let Some(weights) = head.binding.base_weights {
        json.field_display("weights", weights);
    }
    json.field_bool("exact_base", head.binding.exact_base);
    json.end_object();
    json.key("deltas").begin_array();
    for delta in &head.deltas {
        let line = Line::new(adapter, delta);
        let size_key = match line.kind {
            "low_rank" => "rank",
            "sparse" => "n_entries",
            _ => "n_elements",
        };
        json.begin_object()
            .field_str("target", line.target)
            .field_str("kind", line.kind)
            .field_u64(size_key, line.size)
            .field_str("format", line.format)
            .field_u64("bytes", line.bytes)
            .end_object();
    }
    json.end_array();
    match genome(adapter) {
        Some(text) => json.field_str("genome", text),
        None => json.key("genome").null(),
    };
    json.end_object();
    json.finish()
}

/// The genome as text, if it is one.
fn genome<'a>(adapter: &'a Adapter<'_>) -> Option<&'a str> {
    std::str::from_utf8(adapter.tail.section(SectionId::GENOME)?).ok()
}

fn to_text(adapter: &Adapter<'_>) -> String {
    let mut text = String::new();
    let name = adapter.head.metadata.text(metadata_key::NAME).unwrap_or("");
    // Control characters of a stranger's text must not reach a terminal.
    let plain: String = name.chars().filter(|c| !c.is_control()).collect();
    let _ = writeln!(text, "{:<14} {plain}", "name");
    let _ = writeln!(text, "{:<14} {}", "weights", adapter.head.weights);
    for delta in &adapter.head.deltas {
        let line = Line::new(adapter, delta);
        let _ = writeln!(
            text,
            "{:<28} {:<8} {:>9} {:<5} {}",
            line.target,
            line.kind,
            line.size,
            line.format,
            human_bytes(line.bytes)
        );
    }
    if let Some(genome) = genome(adapter) {
        let plain: String = genome.chars().filter(|c| !c.is_control()).collect();
        let _ = writeln!(text, "{:<14} {plain}", "genome");
    }
    text
}
