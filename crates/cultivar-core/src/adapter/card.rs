//! The card: what an adapter says of itself, delta by delta, for people who decide to use it.
//!
//! It needs the head, the tail and the formats, never a value. Names in it are a stranger's text.

use super::delta::{Delta, DeltaKind};
use super::whole::Adapter;
use crate::json::JsonWriter;
use crate::package::{SectionId, metadata_key};
use alloc::string::String;

/// A delta in figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeltaFigures {
    /// `raw`, `sparse` or `low_rank`.
    pub kind: &'static str,
    /// What `size` counts: `n_elements`, `n_entries` or `rank`.
    pub size_key: &'static str,
    /// Elements, entries or components.
    pub size: u64,
    /// Format of its values, or of its first factor.
    pub format: &'static str,
    /// Bytes stored.
    pub bytes: u64,
}

impl DeltaFigures {
    /// The figures of one delta of an adapter.
    pub fn new(adapter: &Adapter<'_>, delta: &Delta) -> DeltaFigures {
        let elements = |idx: usize| {
            let tensor = adapter.tensor(idx);
            tensor.map_or(0, |tensor| tensor.d_out as u64 * tensor.d_in as u64)
        };
        let ((kind, size_key), size, parts) = match delta.kind {
            DeltaKind::Raw { delta } => (("raw", "n_elements"), elements(delta), [delta; 3]),
            DeltaKind::Sparse { indices, values } => (
                ("sparse", "n_entries"),
                elements(values),
                [values, indices, indices],
            ),
            DeltaKind::LowRank {
                lora_a,
                lora_b,
                scales,
                rank,
                ..
            } => (("low_rank", "rank"), rank as u64, [lora_a, lora_b, scales]),
        };
        let [first, second, third] = parts;
        let bytes = |idx: usize| adapter.tensor(idx).map_or(0, |t| t.bytes.len() as u64);
        let mut n_bytes = bytes(first);
        // A part that is named twice is one.
        if second != first {
            n_bytes += bytes(second);
        }
        if third != second {
            n_bytes += bytes(third);
        }
        DeltaFigures {
            kind,
            size_key,
            size,
            format: adapter.tensor(first).map_or("", |t| t.format.name),
            bytes: n_bytes,
        }
    }
}

impl Adapter<'_> {
    /// The genome as text: how it was made, if its maker says so.
    pub fn genome(&self) -> Option<&str> {
        core::str::from_utf8(self.tail.section(SectionId::GENOME)?).ok()
    }

    /// `cultivar.adapter.v1`, canonical; `file_bytes` is the whole package's length.
    pub fn card_json(&self, file_bytes: u64) -> String {
        let (head, metadata) = (&self.head, &self.head.metadata);
        let mut json = JsonWriter::new();
        json.begin_object();
        json.field_str("schema", "cultivar.adapter.v1");
        json.field_str("name", metadata.text(metadata_key::NAME).unwrap_or(""));
        for key in [metadata_key::LICENSE, metadata_key::MASK] {
            json.field_str(key, metadata.text(key).unwrap_or(""));
        }
        json.field_u64("file_bytes", file_bytes);
        json.field_display("weights", head.weights);
        json.field_display("content", self.tail.content);
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
        for (idx, delta) in head.deltas.iter().enumerate() {
            let figures = DeltaFigures::new(self, delta);
            json.begin_object()
                .field_str("target", &delta.target)
                .field_str("kind", figures.kind)
                .field_u64(figures.size_key, figures.size)
                .field_str("format", figures.format)
                .field_u64("bytes", figures.bytes);
            if let Some(density) = head.density(idx) {
                json.field_f32("density", density);
            }
            json.end_object();
        }
        json.end_array();
        match self.genome() {
            Some(text) => json.field_str("genome", text),
            None => json.key("genome").null(),
        };
        json.end_object();
        json.finish()
    }
}
