//! The stepper: asks for bytes, gives bytes to write, and never does more than a chunk at once.
//!
//! ```text
//! probe every file → read the tokenizer whole → read the weights front to back, one chunk at a
//! time, each giving a chunk to write → write the head → write the tail → done
//! ```
//! Behind its first bytes every source is read once and in order, so that its SHA-256 is known at
//! the end. Writes cover each byte of the new file exactly once, in any order. After an error
//! every call repeats it.

use crate::conversion::Conversion;
use crate::conversion_record::{self, RecordedSource};
use crate::error::{ImportError, ImportErrorKind};
use crate::llama2c::{checkpoint, tokenizer_file};
use crate::options::ImportOptions;
use crate::plan::ImportPlan;
use crate::source::{PROBE_BYTES, SOURCES_MAX, SourceInfo, SourceKind, recognise};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::digest::Sha256;
use cultivar_core::package::{Metadata, RecordWriter, SectionId, metadata_key};
use cultivar_core::tokenizer::{Tokenizer, TokenizerRecord};

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
    /// How much was read and hashed, from the front.
    hashed_bytes: u64,
}

enum Stage {
    /// Tell the kind of source `.0`.
    Probe(usize),
    /// Read the tokenizer, source `.0`.
    Tokenizer(usize),
    /// Convert the tensors.
    Convert(Box<Conversion>),
    /// The head is written; the tail comes last.
    Tail { offset: u64, tail: Vec<u8> },
    /// The tail is written.
    End,
}

/// An import in progress.
pub struct Importer {
    sources: Vec<Source>,
    options: ImportOptions,
    stage: Stage,
    /// Header of the checkpoint, kept from its probe: which source, and what it says.
    checkpoint: Option<(usize, checkpoint::Header)>,
    tokenizer_idx: Option<usize>,
    request: Option<(usize, u64, u64)>,
    output: Vec<u8>,
    output_offset: Option<u64>,
    progress_due: bool,
    file_bytes: u64,
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
            })
            .collect();
        Ok(Importer {
            sources,
            options,
            stage: Stage::Probe(0),
            checkpoint: None,
            tokenizer_idx: None,
            request: None,
            output: Vec::new(),
            output_offset: None,
            progress_due: false,
            file_bytes: 0,
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
        if let Some((source, offset, len)) = self.request {
            return Ok(ImportStep::Read {
                source,
                offset,
                len,
            });
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
                    None => self.start_tokenizer(),
                }
            }
            Stage::Tokenizer(idx) => {
                let idx = *idx;
                let len = self.sources.get(idx).map_or(0, |source| source.info.bytes);
                Ok(self.read(idx, 0, len))
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
        self.request = Some((source, offset, len));
        ImportStep::Read {
            source,
            offset,
            len,
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        let Some((source_idx, offset, len)) = self.request.take() else {
            return Err(ImportError::new(ImportErrorKind::OutOfOrder));
        };
        if bytes.len() as u64 != len {
            let error = ImportError::new(ImportErrorKind::SupplyLen);
            return Err(error
                .file(self.name(source_idx))
                .numbers(len, bytes.len() as u64));
        }
        match &mut self.stage {
            Stage::Probe(idx) => {
                let idx = *idx;
                self.probed(idx, bytes)
            }
            Stage::Tokenizer(_) => {
                self.hash(source_idx, bytes);
                self.start_conversion(bytes)
            }
            Stage::Convert(conversion) => {
                let mut written = None;
                if let Some(job) = &mut conversion.job
                    && job.source.offset <= offset
                {
                    let place = job.convert(bytes, &mut self.output);
                    let name = self
                        .sources
                        .get(source_idx)
                        .map_or("", |s| s.info.name.as_str());
                    let place = place.map_err(|error| error.file(name))?;
                    written = Some(conversion.finish_chunk(place, &mut self.output));
                }
                self.progress_due = written.is_some();
                self.output_offset = written;
                self.hash(source_idx, bytes);
                Ok(())
            }
            _ => Err(ImportError::new(ImportErrorKind::OutOfOrder)),
        }
    }

    fn hash(&mut self, source_idx: usize, bytes: &[u8]) {
        if let Some(source) = self.sources.get_mut(source_idx) {
            source.hash.update(bytes);
            source.hashed_bytes += bytes.len() as u64;
        }
    }

    fn name(&self, source_idx: usize) -> &str {
        self.sources
            .get(source_idx)
            .map_or("", |source| source.info.name.as_str())
    }

    /// Notes the kind of a source; two of a kind are refused.
    fn probed(&mut self, idx: usize, probe: &[u8]) -> Result<(), ImportError> {
        self.stage = Stage::Probe(idx + 1);
        let Some(source) = self.sources.get_mut(idx) else {
            return Ok(());
        };
        let kind = match recognise(&source.info, probe) {
            Ok(kind) => kind,
            Err(_) if self.options.skip_unrecognised => return Ok(()),
            Err(error) => return Err(error),
        };
        source.kind = Some(kind);
        let name = &source.info.name;
        let second = ImportError::new(ImportErrorKind::TwoOfAKind)
            .field(kind.name())
            .file(name);
        match kind {
            SourceKind::Llama2cCheckpoint => {
                let header = checkpoint::Header::parse(probe).map_err(|error| error.file(name))?;
                header
                    .checked_tensors(source.info.bytes)
                    .map_err(|error| error.file(name))?;
                let previous = self.checkpoint.replace((idx, header));
                if previous.is_some() {
                    Err(second)
                } else {
                    Ok(())
                }
            }
            SourceKind::Llama2cTokenizer => {
                let previous = self.tokenizer_idx.replace(idx);
                if previous.is_some() {
                    Err(second)
                } else {
                    Ok(())
                }
            }
        }
    }

    /// All kinds are known: says what is missing, or asks for the tokenizer.
    fn start_tokenizer(&mut self) -> Result<ImportStep, ImportError> {
        let refuse = |kind, name: &str| Err(ImportError::new(kind).file(name));
        let tokenizer_idx = match (&self.checkpoint, self.tokenizer_idx) {
            (Some(_), Some(idx)) => idx,
            (Some((idx, _)), None) => {
                return refuse(ImportErrorKind::TokenizerMissing, self.name(*idx));
            }
            (None, Some(idx)) => {
                return refuse(ImportErrorKind::CheckpointMissing, self.name(idx));
            }
            (None, None) => return refuse(ImportErrorKind::NoSource, ""),
        };
        let len = self
            .sources
            .get(tokenizer_idx)
            .map_or(0, |source| source.info.bytes);
        if len > tokenizer_file::FILE_BYTES_MAX {
            let error = ImportError::new(ImportErrorKind::FileTooLarge);
            let error = error.numbers(tokenizer_file::FILE_BYTES_MAX, len);
            return Err(error.file(self.name(tokenizer_idx)));
        }
        self.stage = Stage::Tokenizer(tokenizer_idx);
        Ok(self.read(tokenizer_idx, 0, len))
    }

    /// The tokenizer is read: lays the package out.
    fn start_conversion(&mut self, tokenizer_bytes: &[u8]) -> Result<(), ImportError> {
        let Some((weights_source, header)) = self.checkpoint else {
            return Err(ImportError::new(ImportErrorKind::OutOfOrder));
        };
        let tokenizer_name = self.name(self.tokenizer_idx.unwrap_or_default());
        let tokenizer = read_tokenizer(tokenizer_bytes, header.vocab_size())
            .map_err(|error| error.file(tokenizer_name))?;
        let name = self.name(weights_source);
        let tensors = header
            .checked_tensors(self.sources.get(weights_source).map_or(0, |s| s.info.bytes))
            .map_err(|error| error.file(name))?;
        let config = header.config();
        config
            .validate()
            .map_err(|error| ImportError::from(error).file(name))?;
        config
            .check_supported()
            .map_err(|error| ImportError::from(error).file(name))?;
        let plan = ImportPlan {
            config,
            tokenizer,
            weights_source,
            tensors,
        };
        let conversion = Conversion::new(plan, &self.options, &self.metadata(weights_source));
        let conversion = conversion.map_err(|error| error.file(name))?;
        self.stage = Stage::Convert(Box::new(conversion));
        Ok(())
    }

    fn metadata(&self, weights_source: usize) -> Metadata {
        let file_name = self.name(weights_source);
        let stem = file_name
            .rsplit_once('.')
            .map_or(file_name, |(stem, _)| stem);
        let name = if self.options.name.is_empty() {
            stem
        } else {
            self.options.name.as_str()
        };
        let mut records = RecordWriter::new();
        for (key, text) in [
            (metadata_key::NAME, name),
            (metadata_key::LICENSE, self.options.license.as_str()),
            (metadata_key::SOURCE, self.options.source.as_str()),
            (metadata_key::NOTES, self.options.notes.as_str()),
        ] {
            if !text.is_empty() {
                records.text(key, text);
            }
        }
        Metadata::from_records(&records)
    }

    /// Asks for the next bytes of the weights: a gap to hash, a chunk of a tensor, or the rest;
    /// then lets the head be written.
    fn convert_step(&mut self, budget_bytes: u64) -> Result<ImportStep, ImportError> {
        let Stage::Convert(conversion) = &mut self.stage else {
            return Err(ImportError::new(ImportErrorKind::OutOfOrder));
        };
        let source_idx = conversion.plan.weights_source;
        let source = self.sources.get(source_idx);
        let (at, end) = source.map_or((0, 0), |source| (source.hashed_bytes, source.info.bytes));
        conversion.start_job();
        let next_place = conversion
            .job
            .as_ref()
            .map_or(end, |job| job.next_chunk(budget_bytes).0);
        if at < next_place {
            return Ok(self.read(source_idx, at, (next_place - at).min(budget_bytes)));
        }
        if let Some(job) = &conversion.job {
            let (offset, len) = job.next_chunk(budget_bytes);
            return Ok(self.read(source_idx, offset, len));
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
            conversion_record::to_json(self.options.format, &recorded, &conversion.done);
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

/// The checked vocabulary of a tokenizer file, which must have as many pieces as the checkpoint.
fn read_tokenizer(bytes: &[u8], vocab_size: u64) -> Result<TokenizerRecord, ImportError> {
    let record = tokenizer_file::parse(bytes)?;
    let n_pieces = record.vocab_size() as u64;
    if n_pieces != vocab_size {
        let error = ImportError::new(ImportErrorKind::SizesDisagree).field("vocab_size");
        return Err(error.numbers(n_pieces, vocab_size));
    }
    Ok(Tokenizer::new(record)?.into_record())
}
