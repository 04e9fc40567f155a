//! A plan being worked off: the laid-out package, the tensor under way, and what is done.
//!
//! It knows places in the new file and nothing of the caller's steps.

use crate::error::{ImportError, ImportErrorKind};
use crate::options::ImportOptions;
use crate::plan::ImportPlan;
use crate::tensor_job::{ConvertedTensor, TensorJob};
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::digest::Digest;
use cultivar_core::json::JsonWriter;
use cultivar_core::kv_cache::KvFormat;
use cultivar_core::model::{Dims, EngineOptions, MemoryEstimate, architecture_label};
use cultivar_core::package::{
    Metadata, ModelParts, PackageWriter, SectionId, TensorPlan, metadata_key,
};
use cultivar_core::tensor::{FORMATS, Format};
use cultivar_core::tokenizer::{TokenizerKind, TokenizerRecord};

/// A package being filled.
pub(crate) struct Conversion {
    pub(crate) plan: ImportPlan,
    pub(crate) writer: PackageWriter,
    /// Formats of the plan's tensors.
    formats: Vec<&'static Format>,
    next_tensor: usize,
    pub(crate) job: Option<TensorJob>,
    pub(crate) done: Vec<ConvertedTensor>,
}

impl Conversion {
    /// Lays the package out. The plan's tokenizer and template move into the layout.
    pub(crate) fn new(
        mut plan: ImportPlan,
        options: &ImportOptions,
        metadata: &Metadata,
    ) -> Result<Conversion, ImportError> {
        let parts = ModelParts {
            config: plan.config.clone(),
            tokenizer: core::mem::replace(
                &mut plan.tokenizer,
                TokenizerRecord::empty(TokenizerKind::Bytes),
            ),
            chat_template: Some(core::mem::take(&mut plan.chat_template))
                .filter(|template| !template.is_empty()),
            metadata: metadata.clone(),
            unknown: Vec::new(),
        };
        let mut formats = Vec::with_capacity(plan.tensors.len());
        let mut plans = Vec::with_capacity(plan.tensors.len());
        for tensor in &plan.tensors {
            let format = match tensor.is_matrix() {
                true => options.format.stored(
                    tensor,
                    options.requantize,
                    plan.config.n_layers,
                    plan.config.tied_output,
                ),
                false => Format::by_name("f32"),
            };
            let unknown = ImportError::new(ImportErrorKind::FormatUnknown);
            let format = format.ok_or_else(|| unknown.field(options.format.name()))?;
            formats.push(format);
            let (name, shape) = (tensor.name.clone(), tensor.shape.clone());
            plans.push(TensorPlan {
                name,
                format,
                shape,
            });
        }
        let writer = PackageWriter::model(&parts, plans, &[SectionId::CONVERSION_RECORD])?;
        Ok(Conversion {
            plan,
            writer,
            formats,
            next_tensor: 0,
            job: None,
            done: Vec::new(),
        })
    }

    /// Begins the next tensor if none is under way.
    pub(crate) fn start_job(&mut self) {
        if self.job.is_none()
            && let Some(source) = self.plan.tensors.get(self.next_tensor)
            && let Some(format) = self.formats.get(self.next_tensor)
        {
            self.job = Some(TensorJob::new(source.clone(), format));
            self.next_tensor += 1;
        }
    }

    /// A chunk is in `output`: returns where it belongs in the file. The zeros up to the next
    /// tensor are written with a tensor's last chunk.
    pub(crate) fn finish_chunk(&mut self, place: u64, output: &mut Vec<u8>) -> u64 {
        let name = self.job.as_ref().map_or("", |job| job.source.name.as_str());
        let position = self.writer.position(name).unwrap_or(usize::MAX);
        let offset = self
            .writer
            .entries()
            .get(position)
            .map_or(0, |entry| entry.offset)
            + place;
        let is_done = self.job.as_ref().is_some_and(TensorJob::is_done);
        if is_done && let Some(job) = self.job.take() {
            let converted = job.finish();
            self.set_digest(position, converted.digest);
            self.done.push(converted);
            if let Some(next) = self.writer.entries().get(position.saturating_add(1)) {
                output.resize((next.offset - offset) as usize, 0);
            }
        }
        offset
    }

    fn set_digest(&mut self, position: usize, digest: Digest) {
        let is_set = self.writer.set_digest(position, digest);
        debug_assert!(is_set, "every planned tensor has an entry");
    }

    /// What is known before a weight is read, as JSON (schema `cultivar.import_plan.v1`): what the
    /// model is, its tensors' formats, and the memory that running it takes.
    pub(crate) fn plan_json(&self, metadata: &Metadata) -> String {
        let config = &self.plan.config;
        let entries = self.writer.entries();
        let weights_bytes = entries.iter().map(|entry| entry.bytes).sum();
        let options = EngineOptions::default();
        let (dims, context_len) = (Dims::new(config), config.context_len);
        let memory =
            MemoryEstimate::new(&dims, weights_bytes, &options, context_len, KvFormat::F32);
        let mut json = JsonWriter::new();
        json.begin_object();
        json.field_str("schema", "cultivar.import_plan.v1");
        for key in [
            metadata_key::NAME,
            metadata_key::LICENSE,
            metadata_key::SOURCE,
        ] {
            json.field_str(key, metadata.text(key).unwrap_or(""));
        }
        json.field_str("architecture", &architecture_label(config));
        json.field_u64("n_parameters", self.writer.directory().n_parameters());
        json.field_u64("context_len", context_len as u64);
        json.field_u64("vocab_size", config.vocab_size as u64);
        json.key("formats").begin_object();
        for format in FORMATS {
            let n = entries
                .iter()
                .filter(|entry| entry.format == format)
                .count();
            if n > 0 {
                json.field_u64(format.name, n as u64);
            }
        }
        json.end_object();
        json.key("memory").begin_object();
        json.field_u64("weights_bytes", memory.weights_bytes);
        json.field_u64("kv_bytes", memory.kv_bytes);
        json.field_u64("workspace_bytes", memory.workspace_bytes);
        json.field_u64("total_bytes", memory.total_bytes());
        json.end_object().end_object();
        json.finish()
    }
}
