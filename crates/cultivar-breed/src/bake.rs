//! Baking: a stack is added to a copy of the weights, which becomes a model of its own.
//!
//! Tensor by tensor, a group of rows at a time: decode, add in stack order, store in the chosen
//! format. Tensors that nothing changes keep their bytes. The base is only read, and taking a bake
//! back means opening the base, which the genome names.

use crate::error::{BreedError, BreedRule};
use crate::merge::put_lists;
use crate::rows::{RowReader, bytes_of_rows};
use crate::stack_check::deltas_of;
use crate::step::BreedStep;
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::adapter::{ActiveDelta, Stack, genome};
use cultivar_core::digest::{Digest, Sha256};
use cultivar_core::json::JsonWriter;
use cultivar_core::math::sqrt_f64;
use cultivar_core::memory::filled;
use cultivar_core::package::{
    Entry, FinishedPackage, Head, KeptSection, Metadata, ModelParts, PackageWriter, RecordWriter,
    SectionId, TensorPlan, metadata_key,
};
use cultivar_core::tensor::{Dtype, Format, TensorRef, codec};

/// What a bake is told besides base and stack.
#[derive(Clone, Debug, Default)]
pub struct BakeOptions {
    /// How matrices are stored; `None` keeps each tensor's own format. Norms stay f32, and rows
    /// that are no whole blocks become f16.
    pub format: Option<&'static Format>,
    /// Name in the metadata; empty for the base's name and those of the adapters.
    pub name: String,
    /// Licence in the metadata; empty for what holds where the base's and the adapters' do.
    pub license: String,
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
    reader: RowReader,
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
    /// Of the new file, once it is laid out: length, `weights` and `content`.
    made: Option<(u64, Digest, Digest)>,
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
            metadata: metadata(&base, &stack, &options),
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
            made: None,
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
                reader: RowReader::default(),
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
                self.request = Some(job.reader.range(entry));
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
        let (row, rows) = job.reader.take(&entry, bytes)?;
        let deltas: Vec<ActiveDelta<'_>> = deltas_of(&self.base, &self.stack, &entry).collect();
        let format = format_of(&entry, self.options.format);
        let copies = deltas.is_empty() && format == entry.format;
        let place = bytes_of_rows(format, &entry, row);
        if copies {
            self.output.clear();
            self.output
                .try_reserve_exact(bytes.len())
                .map_err(|_| BreedError::memory(&entry.name))?;
            self.output.extend_from_slice(bytes);
        } else {
            self.output = job.convert((row, rows), format, &deltas, &entry.name)?;
        }
        job.written.update(&self.output);
        let position = self.writer.position(&entry.name).ok_or_else(out_of_order)?;
        let offset = self
            .writer
            .entries()
            .get(position)
            .map_or(0, |new| new.offset)
            + place;
        if job.reader.is_done(&entry) {
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

    /// Head and tail, read back as every user of the file will.
    fn finish(&mut self) -> Result<FinishedPackage, BreedError> {
        let tail: [KeptSection; 2] = [
            (SectionId::CONVERSION_RECORD, self.record().into_bytes()),
            (SectionId::GENOME, self.genome().into_bytes()),
        ];
        let finished = self.writer.finish(&tail)?;
        let head = Head::parse(&finished.head, finished.file_bytes)?;
        let content = head.parse_tail(&finished.tail)?.content;
        self.made = Some((finished.file_bytes, head.identities.weights, content));
        Ok(finished)
    }

    /// `cultivar.bake.v1`: what was made and the error of every tensor; `out` is where it went.
    /// Needs the bake to be done.
    pub fn report(&self, out: Option<&str>) -> String {
        let worst = self.baked.iter().map(|tensor| tensor.relative_error);
        let worst = worst.fold(0.0, |most, error| if error > most { error } else { most });
        let mut json = JsonWriter::new();
        json.begin_object().field_str("schema", "cultivar.bake.v1");
        if let Some(out) = out {
            json.field_str("out", out);
        }
        if let Some((file_bytes, weights, content)) = &self.made {
            json.field_u64("file_bytes", *file_bytes)
                .field_display("weights", weights)
                .field_display("content", content);
        }
        json.field_f64("worst_relative_error", worst);
        self.put_tensors(&mut json);
        json.end_object();
        json.finish()
    }

    fn put_tensors(&self, json: &mut JsonWriter) {
        json.key("tensors").begin_array();
        for tensor in &self.baked {
            json.begin_object()
                .field_str("name", &tensor.name)
                .field_str("format", tensor.format.name)
                .field_f64("max_abs_error", tensor.max_abs_error)
                .field_f64("relative_error", tensor.relative_error)
                .end_object();
        }
        json.end_array();
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
        self.put_tensors(&mut json);
        json.end_object();
        json.finish()
    }

    fn genome(&self) -> String {
        let mut json = genome::begin("bake", genome::stack_parents(&self.base, &self.stack));
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
        (first, rows): (usize, TensorRef<'_>),
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
                active.delta.add_row(out, first + i, active.weight);
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
                if difference.abs() > self.max_abs {
                    self.max_abs = difference.abs();
                }
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

/// The base's metadata under a new name, and under the licence of all that went into it.
fn metadata(base: &Head, stack: &Stack, options: &BakeOptions) -> Metadata {
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
    let parents: Vec<_> = genome::stack_parents(base, stack).collect();
    for parent in parents
        .iter()
        .skip(1)
        .filter(|parent| !parent.name.is_empty())
    {
        made.push_str(" + ");
        made.push_str(parent.name);
    }
    let parts = parents.iter().filter(|parent| parent.weight != Some(0.0));
    let joint = genome::joint_license(parts.map(|parent| parent.license));
    for (key, wanted, own) in [
        (metadata_key::NAME, &options.name, made),
        (metadata_key::LICENSE, &options.license, joint),
    ] {
        let text = if wanted.is_empty() { &own } else { wanted };
        if !text.is_empty() {
            records.text(key, text);
        }
    }
    Metadata::from_records(&records)
}

fn out_of_order() -> BreedError {
    BreedError::new(BreedRule::OutOfOrder, "")
}
