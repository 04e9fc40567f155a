//! The stepper: asks for bytes, gives bytes to write, and never does more than a chunk at once.
//!
//! ```text
//! probe every file → read headers and texts → plan → read the weights front to back, one chunk
//! at a time, each giving a chunk to write → write the head → write the tail → done
//! ```
//! Every source is read to its end and hashed in order; parts of fused tensors are read again.
//! Writes cover each byte of the new file exactly once, in any order. Not stepping is pausing.
//! After an error every call repeats it.

use crate::conversion::Conversion;
use crate::conversion_record::{self, RecordedSource};
use crate::error::{ImportError, ImportErrorKind};
use crate::gguf::{Gguf, Parsed};
use crate::llama2c::checkpoint;
use crate::model_files::{ExtraRead, SourceFile, extra_read, plan};
use crate::options::ImportOptions;
use crate::plan::ImportPlan;
use crate::safetensors::header_bytes;
use crate::source::{PROBE_BYTES, SOURCES_MAX, SourceInfo, SourceKind, recognise};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::digest::Sha256;
use cultivar_core::package::{Metadata, RecordWriter, SectionId, metadata_key};

/// Chunks are at least this long, so that small budgets do not drown in calls.
const CHUNK_BYTES_MIN: u64 = 4096;

/// Chunks are at most this long (or one group of rows), so that memory stays bounded.
const CHUNK_BYTES_MAX: u64 = 16 << 20;

/// What the caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportStep {
    /// Read exactly these bytes of a source and [`Importer::supply`] them.
    Read {
        /// Which source.
        source: usize,
        /// First byte.
        offset: u64,
        /// How many bytes.
        len: u64,
    },
    /// Write [`Importer::output`] at this byte of the new file.
    Write {
        /// First byte.
        offset: u64,
    },
    /// Nothing to do but show how far it is.
    Progress {
        /// Source bytes done.
        done_bytes: u64,
        /// Source bytes in all.
        total_bytes: u64,
    },
    /// Everything is written.
    Done,
}

struct Source {
    info: SourceInfo,
    kind: Option<SourceKind>,
    hash: Sha256,
    /// How much was hashed, from the front.
    hashed_bytes: u64,
    /// The file's first bytes: its header, or all of it if it holds no tensors.
    kept: Vec<u8>,
    /// How many of them the plan needs.
    needed_bytes: u64,
}

enum Stage {
    /// Tell the kind of source `.0`.
    Probe(usize),
    /// Read headers and texts.
    Headers,
    /// Read the few elements that the plan depends on.
    Extra(ExtraRead),
    /// Convert the tensors.
    Convert(Box<Conversion>),
    /// The head is written; the tail comes last.
    Tail { offset: u64, tail: Vec<u8> },
    /// The tail is written.
    End,
}

/// Bytes that were asked for.
#[derive(Clone, Copy)]
struct Request {
    source: usize,
    offset: u64,
    len: u64,
    /// Whether they belong to the tensor under way, not only to the file's digest.
    is_of_job: bool,
}

/// An import in progress.
pub struct Importer {
    sources: Vec<Source>,
    options: ImportOptions,
    stage: Stage,
    request: Option<Request>,
    output: Vec<u8>,
    output_offset: Option<u64>,
    progress_due: bool,
    file_bytes: u64,
    metadata: Metadata,
    plan_json: String,
    record_json: String,
    failed: Option<ImportError>,
}

impl Importer {
    /// An import of these files, in any order. Nothing is read yet.
    pub fn new(sources: Vec<SourceInfo>, options: ImportOptions) -> Result<Importer, ImportError> {
        if sources.is_empty() {
            return Err(ImportError::new(ImportErrorKind::NoSource));
        }
        if sources.len() > SOURCES_MAX {
            let error = ImportError::new(ImportErrorKind::TooManySources);
            return Err(error.numbers(sources.len() as u64, SOURCES_MAX as u64));
        }
        let sources = sources
            .into_iter()
            .map(|info| Source {
                info,
                kind: None,
                hash: Sha256::new(),
                hashed_bytes: 0,
                kept: Vec::new(),
                needed_bytes: 0,
            })
            .collect();
        Ok(Importer {
            sources,
            options,
            stage: Stage::Probe(0),
            request: None,
            output: Vec::new(),
            output_offset: None,
            progress_due: false,
            file_bytes: 0,
            metadata: Metadata::default(),
            plan_json: String::new(),
            record_json: String::new(),
            failed: None,
        })
    }

    /// Says what the caller does next. `budget_bytes` is about how much to read at once.
    pub fn step(&mut self, budget_bytes: u64) -> Result<ImportStep, ImportError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let step = self.next_step(budget_bytes.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX));
        self.failed = step.as_ref().err().cloned();
        step
    }

    /// Takes the bytes that the last step asked to read, and works on them.
    pub fn supply(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let done = self.take(bytes);
        self.failed = done.as_ref().err().cloned();
        done
    }

    /// The bytes that the last step asked to write.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// What is known before a weight is read, memory included, as canonical JSON; empty until all
    /// headers are read. The first step that is a `Progress` says that it is there.
    pub fn plan_json(&self) -> &str {
        &self.plan_json
    }

    /// Source bytes done and in all; the second is 0 until all kinds are known.
    pub fn progress(&self) -> (u64, u64) {
        let used = self.sources.iter().filter(|source| source.kind.is_some());
        let (mut done_bytes, mut total_bytes) = (0, 0);
        for source in used {
            done_bytes += source.hashed_bytes;
            total_bytes += source.info.bytes;
        }
        (done_bytes, total_bytes)
    }

    /// Length of the new file; 0 until the head is about to be written.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// The conversion record (canonical JSON); empty until the head is about to be written.
    pub fn record_json(&self) -> &str {
        &self.record_json
    }

    fn next_step(&mut self, budget_bytes: u64) -> Result<ImportStep, ImportError> {
        if let Some(request) = self.request {
            return Ok(request.step());
        }
        if let Some(offset) = self.output_offset.take() {
            return Ok(ImportStep::Write { offset });
        }
        if core::mem::take(&mut self.progress_due) {
            let (done_bytes, total_bytes) = self.progress();
            return Ok(ImportStep::Progress {
                done_bytes,
                total_bytes,
            });
        }
        match &mut self.stage {
            Stage::Probe(idx) => {
                let idx = *idx;
                match self.sources.get(idx) {
                    Some(source) if source.info.bytes == 0 => {
                        self.probed(idx, &[])?;
                        self.next_step(budget_bytes)
                    }
                    Some(source) => {
                        let len = source.info.bytes.min(PROBE_BYTES);
                        Ok(self.read(idx, 0, len))
                    }
                    None => {
                        self.stage = Stage::Headers;
                        self.next_step(budget_bytes)
                    }
                }
            }
            Stage::Headers => self.header_step(budget_bytes),
            Stage::Extra((source, offset, len)) => {
                let (source, offset, len) = (*source, *offset, *len);
                Ok(self.read(source, offset, len))
            }
            Stage::Convert(_) => self.convert_step(budget_bytes),
            Stage::Tail { offset, tail } => {
                let (offset, tail) = (*offset, core::mem::take(tail));
                self.output = tail;
                self.stage = Stage::End;
                Ok(ImportStep::Write { offset })
            }
            Stage::End => {
                self.output = Vec::new();
                Ok(ImportStep::Done)
            }
        }
    }

    fn read(&mut self, source: usize, offset: u64, len: u64) -> ImportStep {
        let request = Request {
            source,
            offset,
            len,
            is_of_job: false,
        };
        self.request = Some(request);
        request.step()
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        let Some(request) = self.request.take() else {
            return Err(ImportError::new(ImportErrorKind::OutOfOrder));
        };
        let Request { source, offset, .. } = request;
        if bytes.len() as u64 != request.len {
            let error = ImportError::new(ImportErrorKind::SupplyLen);
            let error = error.numbers(request.len, bytes.len() as u64);
            return Err(error.file(self.name(source)));
        }
        match &mut self.stage {
            Stage::Probe(idx) => {
                let idx = *idx;
                self.probed(idx, bytes)
            }
            Stage::Headers => {
                self.hash(source, offset, bytes);
                self.keep(source, bytes)
            }
            Stage::Extra(_) => self.start_conversion(bytes),
            Stage::Convert(conversion) => {
                let mut written = None;
                if let Some(job) = conversion.job.as_mut().filter(|_| request.is_of_job) {
                    let place = job.convert(bytes, &mut self.output);
                    let name = self
                        .sources
                        .get(source)
                        .map_or("", |s| s.info.name.as_str());
                    let place = place.map_err(|error| error.file(name))?;
                    written = Some(conversion.finish_chunk(place, &mut self.output));
                }
                self.progress_due = written.is_some();
                self.output_offset = written;
                self.hash(source, offset, bytes);
                Ok(())
            }
            _ => Err(ImportError::new(ImportErrorKind::OutOfOrder)),
        }
    }

    /// Hashes what of these bytes follows what was hashed before.
    fn hash(&mut self, source_idx: usize, offset: u64, bytes: &[u8]) {
        if let Some(source) = self.sources.get_mut(source_idx)
            && let Some(n_known) = source.hashed_bytes.checked_sub(offset)
            && let Some(new) = bytes.get(n_known as usize..)
        {
            source.hash.update(new);
            source.hashed_bytes += new.len() as u64;
        }
    }

    fn name(&self, source_idx: usize) -> &str {
        self.sources
            .get(source_idx)
            .map_or("", |source| source.info.name.as_str())
    }

    /// Notes the kind of a source; two of a kind are refused where there can be one.
    fn probed(&mut self, idx: usize, probe: &[u8]) -> Result<(), ImportError> {
        self.stage = Stage::Probe(idx + 1);
        let (before, rest) = self.sources.split_at_mut_checked(idx).unwrap_or_default();
        let Some(source) = rest.first_mut() else {
            return Ok(());
        };
        let kind = match recognise(&source.info, probe) {
            Ok(kind) => kind,
            Err(_) if self.options.skip_unrecognised => return Ok(()),
            Err(error) => return Err(error),
        };
        source.kind = Some(kind);
        let (name, bytes) = (&source.info.name, source.info.bytes);
        if kind == SourceKind::Llama2cCheckpoint {
            let header = checkpoint::Header::parse(probe).map_err(|error| error.file(name))?;
            header
                .checked_tensors(bytes, idx)
                .map_err(|error| error.file(name))?;
        }
        if !kind.may_repeat() && before.iter().any(|other| other.kind == Some(kind)) {
            let error = ImportError::new(ImportErrorKind::TwoOfAKind);
            return Err(error.field(kind.name()).file(name));
        }
        source.needed_bytes = match kind {
            _ if !kind.has_tensors() => bytes,
            _ => bytes.min(PROBE_BYTES),
        };
        if !kind.has_tensors() && bytes > kind.bytes_max() {
            let error = ImportError::new(ImportErrorKind::FileTooLarge);
            return Err(error.numbers(kind.bytes_max(), bytes).file(name));
        }
        Ok(())
    }

    /// Asks for the next bytes of a header or a text; plans when all are there.
    fn header_step(&mut self, budget_bytes: u64) -> Result<ImportStep, ImportError> {
        let lacks = |source: &Source| (source.kept.len() as u64) < source.needed_bytes;
        let Some(idx) = self.sources.iter().position(lacks) else {
            return match extra_read(&self.files())? {
                Some(extra) => {
                    self.stage = Stage::Extra(extra);
                    self.next_step(budget_bytes)
                }
                None => {
                    self.start_conversion(&[])?;
                    self.next_step(budget_bytes)
                }
            };
        };
        let source = self.sources.get(idx);
        let (have, needed) = source.map_or((0, 0), |s| (s.kept.len() as u64, s.needed_bytes));
        Ok(self.read(idx, have, (needed - have).min(CHUNK_BYTES_MAX)))
    }

    /// Keeps the next bytes of a header or a text, and finds out whether more are needed.
    fn keep(&mut self, idx: usize, bytes: &[u8]) -> Result<(), ImportError> {
        let Some(source) = self.sources.get_mut(idx) else {
            return Ok(());
        };
        let n_bytes = source.needed_bytes - source.kept.len() as u64;
        let had_room = source.kept.try_reserve_exact(n_bytes as usize).is_ok();
        if !had_room {
            let error = ImportError::new(ImportErrorKind::OutOfMemory);
            return Err(error
                .numbers(source.needed_bytes, 0)
                .file(&source.info.name));
        }
        source.kept.extend_from_slice(bytes);
        if (source.kept.len() as u64) < source.needed_bytes {
            return Ok(());
        }
        let (kept, file_bytes) = (&source.kept, source.info.bytes);
        let needed = match source.kind {
            Some(SourceKind::Gguf) => match Gguf::parse(kept, file_bytes) {
                Ok(Parsed::More(n_bytes)) => Ok(n_bytes),
                Ok(Parsed::Whole(_)) => Ok(source.needed_bytes),
                Err(error) => Err(error),
            },
            Some(SourceKind::Safetensors) => header_bytes(kept, file_bytes),
            _ => Ok(source.needed_bytes),
        };
        let needed = needed.map_err(|error| error.file(&source.info.name))?;
        source.needed_bytes = needed.max(source.needed_bytes);
        Ok(())
    }

    /// The files of known kinds, as the plan needs them.
    fn files(&self) -> Vec<SourceFile<'_>> {
        let sources = self.sources.iter().enumerate();
        let file = |(idx, source)| {
            let source: &Source = source;
            Some(SourceFile {
                idx,
                kind: source.kind?,
                name: &source.info.name,
                bytes: source.info.bytes,
                kept: &source.kept,
            })
        };
        sources.filter_map(file).collect()
    }

    /// Headers and texts are read: lays the package out.
    fn start_conversion(&mut self, extra: &[u8]) -> Result<(), ImportError> {
        let plan = plan(&self.files(), extra)?;
        self.metadata = self.metadata_of(&plan);
        let weights = plan.tensors.first().map_or(0, |tensor| tensor.source);
        let conversion = Conversion::new(plan, &self.options, &self.metadata);
        let conversion = conversion.map_err(|error| error.file(self.name(weights)))?;
        self.plan_json = conversion.plan_json(&self.metadata);
        self.progress_due = true;
        for source in &mut self.sources {
            source.kept = Vec::new();
        }
        self.stage = Stage::Convert(Box::new(conversion));
        Ok(())
    }

    /// What the caller says of the model, else what its files say.
    fn metadata_of(&self, plan: &ImportPlan) -> Metadata {
        let mut records = RecordWriter::new();
        for (key, given) in [
            (metadata_key::AUTHOR, ""),
            (metadata_key::CHAT_TEMPLATE, ""),
            (metadata_key::LICENSE, self.options.license.as_str()),
            (metadata_key::NAME, self.options.name.as_str()),
            (metadata_key::NOTES, self.options.notes.as_str()),
            (metadata_key::SOURCE, self.options.source.as_str()),
        ] {
            let found = plan.metadata.iter().find(|(known, _)| *known == key);
            let found = found.map_or("", |(_, text)| text.as_str());
            let text = if given.is_empty() { found } else { given };
            if !text.is_empty() {
                records.text(key, text);
            }
        }
        Metadata::from_records(&records)
    }

    /// Asks for the next bytes of the weights: a gap to hash, a chunk of a tensor, or what is
    /// left of a file; then lets the head be written.
    fn convert_step(&mut self, budget_bytes: u64) -> Result<ImportStep, ImportError> {
        let Stage::Convert(conversion) = &mut self.stage else {
            return Err(ImportError::new(ImportErrorKind::OutOfOrder));
        };
        conversion.start_job();
        if let Some(job) = &mut conversion.job {
            let source = job.source.source;
            let (offset, len) = job.next_chunk(budget_bytes);
            let hashed = self.sources.get(source).map_or(0, |s| s.hashed_bytes);
            if hashed < offset {
                return Ok(self.read(source, hashed, (offset - hashed).min(budget_bytes)));
            }
            let request = Request {
                source,
                offset,
                len,
                is_of_job: true,
            };
            self.request = Some(request);
            return Ok(request.step());
        }
        let is_left = |s: &Source| s.kind.is_some() && s.hashed_bytes < s.info.bytes;
        if let Some(idx) = self.sources.iter().position(is_left) {
            let source = self.sources.get(idx);
            let (at, end) = source.map_or((0, 0), |s| (s.hashed_bytes, s.info.bytes));
            return Ok(self.read(idx, at, (end - at).min(budget_bytes)));
        }
        self.finish_conversion()
    }

    fn finish_conversion(&mut self) -> Result<ImportStep, ImportError> {
        let stage = core::mem::replace(&mut self.stage, Stage::End);
        let Stage::Convert(conversion) = stage else {
            return Err(ImportError::new(ImportErrorKind::OutOfOrder));
        };
        let mut recorded = Vec::new();
        for source in &mut self.sources {
            let Some(kind) = source.kind else { continue };
            let hash = core::mem::replace(&mut source.hash, Sha256::new());
            let (name, bytes) = (source.info.name.as_str(), source.info.bytes);
            recorded.push(RecordedSource {
                name,
                kind,
                bytes,
                digest: hash.finish(),
            });
        }
        cultivar_core::sorting::sort_by_key(&mut recorded, |source| source.kind.name());
        self.record_json =
            conversion_record::to_json(&self.options, &self.metadata, &recorded, &conversion.done);
        let record = self.record_json.clone().into_bytes();
        let finished = conversion
            .writer
            .finish(&[(SectionId::CONVERSION_RECORD, record)])?;
        self.file_bytes = finished.file_bytes;
        self.output = finished.head;
        self.stage = Stage::Tail {
            offset: finished.tail_offset,
            tail: finished.tail,
        };
        Ok(ImportStep::Write { offset: 0 })
    }
}

impl Request {
    fn step(self) -> ImportStep {
        ImportStep::Read {
            source: self.source,
            offset: self.offset,
            len: self.len,
        }
    }
}
