//! Baking: a stack is added to a copy of the weights, which becomes a model of its own.
//!
//! Tensor by tensor, a group of rows at a time: decode, add in stack order, store in the chosen
//! format. Tensors that nothing changes keep their bytes. The base is only read, and taking a bake
//! back means opening the base, which the genome names.

use crate::error::{BreedError, BreedRule};
use crate::genome::{self, Parent};
use crate::merge::put_lists;
use crate::step::BreedStep;
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::adapter::{ActiveDelta, Stack};
use cultivar_core::digest::Sha256;
use cultivar_core::json::JsonWriter;
use cultivar_core::math::sqrt_f64;
use cultivar_core::memory::filled;
use cultivar_core::package::schema::{ExpectedTensor, expected_tensors};
use cultivar_core::package::{
    Entry, FinishedPackage, Head, KeptSection, Metadata, ModelParts, PackageWriter, RecordWriter,
    SectionId, TensorPlan, metadata_key,
};
use cultivar_core::tensor::{Dtype, Format, TensorRef, codec};

/// Bytes of the base that are read at once, about; a group of four rows at least.
const CHUNK_BYTES: u64 = 1 << 20;

/// What a bake is told besides base and stack.
#[derive(Clone, Debug, Default)]
pub struct BakeOptions {
    /// How matrices are stored; `None` keeps each tensor's own format. Norms stay f32, and rows
    /// that are no whole blocks become f16.
    pub format: Option<&'static Format>,
    /// Name in the metadata; empty for the base's name and those of the adapters.
    pub name: String,
}

/// How far a stored tensor is from base plus deltas.
#[derive(Clone, Debug)]
pub struct BakedTensor {
    /// Its name.
    pub name: String,
    /// Its format.
    pub format: &'static Format,
    /// Largest difference of an element.
    pub max_abs_error: f64,
    /// Frobenius norm of the differences, as a part of the norm of the tensor.
    pub relative_error: f64,
}

/// The tensor under way.
struct Job {
    /// Place among the base's tensors.
    idx: usize,
    /// Rows done.
    row: usize,
    read: Sha256,
    written: Sha256,
    max_abs: f64,
    lost_squared: f64,
    norm_squared: f64,
}

/// A bake in progress. Source 0 is the base's package.
pub struct Baker {
    base: Head,
    stack: Stack,
    options: BakeOptions,
    writer: PackageWriter,
    job: Option<Job>,
    next_tensor: usize,
    request: Option<(u64, u64)>,
    output: Vec<u8>,
    output_offset: Option<u64>,
    finished: Option<FinishedPackage>,
    head_is_written: bool,
    baked: Vec<BakedTensor>,
}

impl Baker {
    /// Lays the new model out. Every adapter of the stack must fit `base`, which
    /// `Engine::load_adapter` or `LoadedAdapter::new` has checked.
    pub fn new(base: Head, stack: Stack, options: BakeOptions) -> Result<Baker, BreedError> {
        if stack.entries().is_empty() {
            return Err(BreedError::new(BreedRule::NoAdapters, ""));
        }
        if let Some(format) = options.format.filter(|format| format.dtype == Dtype::U32) {
            return Err(BreedError::new(BreedRule::Format, format.name));
        }
        let plans = base.directory.entries().iter().map(|entry| TensorPlan {
            name: entry.name.clone(),
            format: format_of(entry, options.format),
            shape: entry.shape.clone(),
        });
        let parts = ModelParts {
            config: base.config.clone(),
            tokenizer: base.tokenizer.clone(),
            chat_template: base.chat_template.clone(),
            metadata: metadata(&base, &stack, &options.name),
            unknown: base.unknown.clone(),
        };
        let tail_ids = [SectionId::CONVERSION_RECORD, SectionId::GENOME];
        let writer = PackageWriter::model(&parts, plans.collect(), &tail_ids)?;
        Ok(Baker {
            base,
            stack,
            options,
            writer,
            job: None,
            next_tensor: 0,
            request: None,
            output: Vec::new(),
            output_offset: None,
            finished: None,
            head_is_written: false,
            baked: Vec::new(),
        })
    }

    /// Says what the caller does next.
    pub fn step(&mut self) -> Result<BreedStep, BreedError> {
        if let Some((offset, len)) = self.request {
            let source = 0;
            return Ok(BreedStep::Read {
                source,
                offset,
                len,
            });
        }
        if let Some(offset) = self.output_offset.take() {
            return Ok(BreedStep::Write { offset });
        }
        if let Some(finished) = &mut self.finished {
            if !self.head_is_written {
                self.head_is_written = true;
                self.output = core::mem::take(&mut finished.head);
                return Ok(BreedStep::Write { offset: 0 });
            }
            self.output = core::mem::take(&mut finished.tail);
            let offset = finished.tail_offset;
            return match self.output.is_empty() {
                true => Ok(BreedStep::Done),
                false => Ok(BreedStep::Write { offset }),
            };
        }
        let entries = self.base.directory.entries();
        if self.job.is_none() && self.next_tensor < entries.len() {
            self.job = Some(Job {
                idx: self.next_tensor,
                row: 0,
                read: Sha256::new(),
                written: Sha256::new(),
                max_abs: 0.0,
                lost_squared: 0.0,
                norm_squared: 0.0,
            });
            self.next_tensor += 1;
        }
        match &self.job {
            Some(job) => {
                let entry = entries.get(job.idx).ok_or_else(out_of_order)?;
                let (start, n_rows) = (job.row, rows_at_once(entry, job.row));
                let offset = entry.offset + bytes_of_rows(entry.format, entry, start);
                let len = bytes_of_rows(entry.format, entry, start + n_rows)
                    - bytes_of_rows(entry.format, entry, start);
                self.request = Some((offset, len));
            }
            None => self.finished = Some(self.finish()?),
        }
        self.step()
    }

    /// Takes the bytes that the last step asked to read.
    pub fn supply(&mut self, bytes: &[u8]) -> Result<(), BreedError> {
        let (_, len) = self.request.take().ok_or_else(out_of_order)?;
        if bytes.len() as u64 != len {
            return Err(out_of_order());
        }
        let mut job = self.job.take().ok_or_else(out_of_order)?;
        let entry = self.base.directory.entries().get(job.idx);
        let entry = entry.ok_or_else(out_of_order)?.clone();
        job.read.update(bytes);
        let expected = expected_tensors(&self.base.config);
        let expected = { expected }.find(|tensor| tensor.name.as_str() == entry.name);
        let deltas = match &expected {
            Some(tensor) => active_deltas(&self.stack, tensor),
            None => Vec::new(),
        };
        let n_rows = rows_at_once(&entry, job.row);
        let format = format_of(&entry, self.options.format);
        let copies = deltas.is_empty() && format == entry.format;
        let place = bytes_of_rows(format, &entry, job.row);
        if copies {
            self.output.clear();
            self.output
                .try_reserve_exact(bytes.len())
                .map_err(|_| BreedError::memory(&entry.name))?;
            self.output.extend_from_slice(bytes);
        } else {
            let view = TensorRef {
                format: entry.format,
                d_out: n_rows,
                d_in: entry.d_in(),
                bytes,
            };
            self.output = job.convert(view, format, &deltas, &entry.name)?;
        }
        job.written.update(&self.output);
        job.row += n_rows;
        let position = self.writer.position(&entry.name).ok_or_else(out_of_order)?;
        let offset = self
            .writer
            .entries()
            .get(position)
            .map_or(0, |new| new.offset)
            + place;
        if job.row >= entry.d_out() {
            if core::mem::take(&mut job.read).finish() != entry.digest {
                return Err(BreedError::new(BreedRule::Digest, &entry.name));
            }
            let digest = core::mem::take(&mut job.written).finish();
            self.writer.set_digest(position, digest);
            // The zeros up to the next tensor go with the last rows.
            if let Some(next) = self.writer.entries().get(position + 1) {
                self.output.resize((next.offset - offset) as usize, 0);
            }
            self.baked.push(job.outcome(&entry.name, format));
        } else {
            self.job = Some(job);
        }
        self.output_offset = Some(offset);
        Ok(())
    }

    /// The bytes that the last step asked to write.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// Tensors done, in the order of the file.
    pub fn baked(&self) -> &[BakedTensor] {
        &self.baked
    }

    /// Tensors in all.
    pub fn n_tensors(&self) -> usize {
        self.base.directory.entries().len()
    }

    fn finish(&self) -> Result<FinishedPackage, BreedError> {
        let tail: [KeptSection; 2] = [
            (SectionId::CONVERSION_RECORD, self.record().into_bytes()),
            (SectionId::GENOME, self.genome().into_bytes()),
        ];
        Ok(self.writer.finish(&tail)?)
    }

    fn record(&self) -> String {
        let mut json = JsonWriter::new();
        json.begin_object()
            .field_str("schema", "cultivar.conversion.v1")
            .field_str(
                "importer",
                concat!("cultivar-breed ", env!("CARGO_PKG_VERSION")),
            )
            .field_str("kind", "bake")
            .field_display("base", self.base.identities.weights);
        json.key("tensors").begin_array();
        for tensor in &self.baked {
            json.begin_object()
                .field_str("name", &tensor.name)
                .field_str("format", tensor.format.name)
                .field_f64("max_abs_error", tensor.max_abs_error)
                .field_f64("relative_error", tensor.relative_error)
                .end_object();
        }
        json.end_array().end_object();
        json.finish()
    }

    fn genome(&self) -> String {
        let base = Parent {
            role: "base",
            weights: self.base.identities.weights,
            name: self
                .base
                .metadata
                .text(metadata_key::NAME)
                .unwrap_or_default(),
            weight: None,
        };
        let adapters = self.stack.entries().iter().map(|entry| Parent {
            role: "adapter",
            weights: entry.adapter().weights,
            name: &entry.adapter().name,
            weight: Some(entry.weight()),
        });
        let mut json = genome::begin("bake", core::iter::once(base).chain(adapters));
        let format = self.options.format.map_or("keep", |format| format.name);
        json.field_str("format", format);
        put_lists(&mut json, &self.stack);
        genome::finish(json)
    }
}

impl Job {
    /// Rows of the base plus their deltas, stored anew.
    fn convert(
        &mut self,
        rows: TensorRef<'_>,
        format: &'static Format,
        deltas: &[ActiveDelta<'_>],
        name: &str,
    ) -> Result<Vec<u8>, BreedError> {
        let (n_rows, d_in) = (rows.d_out, rows.d_in);
        let memory = || BreedError::memory(name);
        let mut values = filled(0.0, n_rows * d_in).ok_or_else(memory)?;
        for (i, out) in values.chunks_exact_mut(d_in).enumerate() {
            codec::decode_row(out, rows, i);
            for active in deltas {
                active.delta.add_row(out, self.row + i, active.weight);
            }
        }
        let n_bytes = format.stored_bytes(n_rows as u64, d_in as u64);
        let n_bytes = n_bytes.ok_or_else(|| BreedError::new(BreedRule::Format, format.name))?;
        let mut stored = filled(0, n_bytes as usize).ok_or_else(memory)?;
        codec::encode_rows(&mut stored, format, &values, n_rows, d_in)
            .map_err(|_| BreedError::new(BreedRule::NotFinite, name))?;
        let view = TensorRef {
            format,
            d_out: n_rows,
            d_in,
            bytes: &stored,
        };
        let mut back = filled(0.0, d_in).ok_or_else(memory)?;
        for (i, wanted) in values.chunks_exact(d_in).enumerate() {
            codec::decode_row(&mut back, view, i);
            for (wanted, stored) in wanted.iter().zip(&back) {
                let difference = f64::from(*wanted) - f64::from(*stored);
                self.max_abs = self.max_abs.max(difference.abs());
                self.lost_squared += difference * difference;
                self.norm_squared += f64::from(*wanted) * f64::from(*wanted);
            }
        }
        Ok(stored)
    }

    fn outcome(&self, name: &str, format: &'static Format) -> BakedTensor {
        let relative = match self.norm_squared > 0.0 {
            true => sqrt_f64(self.lost_squared / self.norm_squared),
            false => 0.0,
        };
        BakedTensor {
            name: name.into(),
            format,
            max_abs_error: self.max_abs,
            relative_error: relative,
        }
    }
}

fn active_deltas<'a>(stack: &'a Stack, tensor: &ExpectedTensor) -> Vec<ActiveDelta<'a>> {
    stack.of_target(tensor.role, tensor.layer).collect()
}

/// The format of a tensor of the new model.
fn format_of(entry: &Entry, wanted: Option<&'static Format>) -> &'static Format {
    let Some(wanted) = wanted.filter(|_| entry.shape.len() > 1) else {
        return entry.format;
    };
    let fits = wanted.stored_bytes(1, entry.d_in() as u64).is_some();
    match fits {
        true => wanted,
        false => Format::by_name("f16").unwrap_or(entry.format),
    }
}

/// Rows to do at once from `row` on: whole tiles, about [`CHUNK_BYTES`].
fn rows_at_once(entry: &Entry, row: usize) -> usize {
    let left = entry.d_out() - row;
    let row_bytes = (entry.bytes / entry.d_out().max(1) as u64).max(entry.d_in() as u64 * 4);
    let n_rows = (CHUNK_BYTES / row_bytes.max(1)) as usize / 4 * 4;
    left.min(n_rows.max(4))
}

/// Bytes of the first `n_rows` rows, whole tiles except at the end.
fn bytes_of_rows(format: &Format, entry: &Entry, n_rows: usize) -> u64 {
    let bytes = format.stored_bytes(n_rows.min(entry.d_out()) as u64, entry.d_in() as u64);
    bytes.unwrap_or(0)
}

/// The base's metadata under a new name.
fn metadata(base: &Head, stack: &Stack, name: &str) -> Metadata {
    let mut records = RecordWriter::new();
    for record in base
        .metadata
        .records()
        .iter()
        .flat_map(|records| records.iter())
    {
        if let Some(text) = record.value.as_text() {
            records.text(record.key, text);
        }
    }
    let own = base.metadata.text(metadata_key::NAME).unwrap_or_default();
    let mut made = String::from(own);
    for entry in stack
        .entries()
        .iter()
        .filter(|entry| !entry.adapter().name.is_empty())
    {
        made.push_str(" + ");
        made.push_str(&entry.adapter().name);
    }
    let name = if name.is_empty() { made.as_str() } else { name };
    if !name.is_empty() {
        records.text(metadata_key::NAME, name);
    }
    Metadata::from_records(&records)
}

fn out_of_order() -> BreedError {
    BreedError::new(BreedRule::OutOfOrder, "")
}
