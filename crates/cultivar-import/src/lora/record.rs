//! The conversion record of an imported adapter, canonical JSON of schema `cultivar.conversion.v1`,
//! and its genome.
//!
//! It holds no time, no folder and no host: the same files and base give the same bytes.

use super::{ForeignAdapter, LoraFile, LoraOptions};
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::adapter::{Adapter, genome};
use cultivar_core::digest::sha256;
use cultivar_core::json::JsonWriter;
use cultivar_core::package::{Head, TensorPlan};

/// `cultivar.import.v1` of an adapter that was imported for `base`; `out` is where it went.
pub fn adapter_report(
    adapter: &Adapter<'_>,
    file_bytes: u64,
    base: &Head,
    out: Option<&str>,
) -> String {
    let mut json = JsonWriter::new();
    json.begin_object()
        .field_str("schema", "cultivar.import.v1");
    if let Some(out) = out {
        json.field_str("out", out);
    }
    json.field_str("kind", "adapter")
        .field_u64("file_bytes", file_bytes)
        .field_u64("n_targets", adapter.head.deltas.len() as u64);
    json.key("identities").begin_object();
    json.field_display("content", adapter.tail.content)
        .field_display("weights", adapter.head.weights)
        .field_display("base_weights", base.identities.weights)
        .end_object();
    json.key("conversion_record")
        .raw(adapter.tail.conversion_record.as_deref().unwrap_or("null"));
    json.end_object();
    json.finish()
}

/// Writes the record.
pub(super) fn to_json(
    files: &[LoraFile<'_>],
    foreign: &ForeignAdapter,
    tensors: &[(TensorPlan, Vec<u8>)],
) -> String {
    let mut json = JsonWriter::new();
    json.begin_object()
        .field_str("schema", "cultivar.conversion.v1")
        .field_str(
            "importer",
            concat!("cultivar-import ", env!("CARGO_PKG_VERSION")),
        )
        .field_str("kind", foreign.kind);
    put_sources(&mut json, files);
    json.key("modules").begin_array();
    for delta in &foreign.deltas {
        json.begin_object()
            .field_str("module", &delta.module)
            .field_u64("rank", delta.a.n_rows)
            .field_f32("scale", delta.scale)
            .end_object();
    }
    json.end_array();
    json.field_u64("n_tensors", tensors.len() as u64);
    json.end_object();
    json.finish()
}

/// The genome: the base that the files were bound to, and what they were.
pub(super) fn genome(
    files: &[LoraFile<'_>],
    foreign: &ForeignAdapter,
    base: &Head,
    options: &LoraOptions,
) -> String {
    let parents = core::iter::once(genome::of_model("base", base));
    let mut json = genome::begin("import_adapter", parents);
    json.field_str("kind", foreign.kind)
        .field_bool("exact_base", options.exact_base);
    put_sources(&mut json, files);
    genome::finish(json)
}

/// The files by name, each with its digest.
fn put_sources(json: &mut JsonWriter, files: &[LoraFile<'_>]) {
    let mut files: Vec<&LoraFile<'_>> = files.iter().collect();
    cultivar_core::sorting::sort_by(&mut files, |a, b| a.name.cmp(b.name));
    json.key("sources").begin_array();
    for file in files {
        json.begin_object()
            .field_str("name", file.name)
            .field_u64("bytes", file.bytes.len() as u64)
            .field_display("sha256", sha256(file.bytes))
            .end_object();
    }
    json.end_array();
}
