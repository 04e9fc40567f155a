//! Foreign model formats into Cultivar packages, as resumable steps over bytes the caller reads.
//!
//! Promises: no IO, no clock, no unsafe; kinds are told from content, never from names; memory is
//! bounded by the chunk, not by the model; hostile files give an error that names file, field and
//! reason. A new format is one file that fills a plan and one row where kinds are recognised.
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]

extern crate alloc;

mod architecture;
mod conversion;
mod conversion_record;
mod error;
mod error_text;
mod export;
pub mod ggml;
pub mod gguf;
mod importer;
mod llama2c;
mod lora;
mod model_files;
mod options;
mod plan;
pub mod safetensors;
mod source;
mod tensor_job;
pub mod tokenizers;

pub use error::{ImportError, ImportErrorDetail, ImportErrorKind};
pub use export::{ExportKind, ExportStep, Exporter};
pub use importer::{ImportStep, Importer};
pub use lora::{
    LoraError, LoraFault, LoraFile, LoraOptions, LoraRule, adapter_report, import_adapter,
};
pub use options::{ImportOptions, Requantize, TargetFormat};
pub use source::{SOURCES_MAX, SourceInfo, SourceKind};
