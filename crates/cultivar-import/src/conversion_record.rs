//! The conversion record: what a package was made from and what that lost, as canonical JSON.
//!
//! Schema `cultivar.conversion.v1`. It holds no time, no folder and no host: importing the same
//! files with the same options gives the same bytes. It changes no identity but `content`.

use crate::options::ImportOptions;
use crate::source::SourceKind;
use crate::tensor_job::ConvertedTensor;
use alloc::string::String;
use cultivar_core::digest::Digest;
use cultivar_core::json::JsonWriter;
use cultivar_core::package::{Metadata, metadata_key};

/// A source as recorded.
pub(crate) struct RecordedSource<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: SourceKind,
    pub(crate) bytes: u64,
    pub(crate) digest: Digest,
}

/// Writes the record of a finished conversion.
pub(crate) fn to_json(
    options: &ImportOptions,
    metadata: &Metadata,
    sources: &[RecordedSource<'_>],
    tensors: &[ConvertedTensor],
) -> String {
    let mut json = JsonWriter::new();
    json.begin_object()
        .field_str("schema", "cultivar.conversion.v1")
        .field_str(
            "importer",
            concat!("cultivar-import ", env!("CARGO_PKG_VERSION")),
        )
        .field_str("format", options.format.name())
        .field_str("requantize", options.requantize.name());
    for key in [
        metadata_key::NAME,
        metadata_key::AUTHOR,
        metadata_key::LICENSE,
        metadata_key::SOURCE,
    ] {
        json.field_str(key, metadata.text(key).unwrap_or(""));
    }
    json.key("sources").begin_array();
    for source in sources {
        json.begin_object()
            .field_str("name", source.name)
            .field_str("kind", source.kind.name())
            .field_u64("bytes", source.bytes)
            .field_display("sha256", source.digest)
            .end_object();
    }
    json.end_array();
    json.key("tensors").begin_array();
    for tensor in tensors {
        json.begin_object()
            .field_str("name", &tensor.name)
            .field_str("source_format", tensor.source_format)
            .field_str("format", tensor.format.name)
            .field_str("row_order", tensor.row_order.name())
            .field_f32("max_abs_error", tensor.loss.max_abs)
            .field_f64("rms_error", tensor.loss.rms())
            .field_f64("relative_rms_error", tensor.loss.relative_rms());
        if tensor.has_minus_128 {
            json.field_bool("has_minus_128", true);
        }
        json.end_object();
    }
    json.end_array().end_object();
    json.finish()
}
