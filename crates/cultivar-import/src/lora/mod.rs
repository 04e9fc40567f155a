//! Adapters of others into `.sla` packages: PEFT folders and GGUF LoRA files, bound to a base.
//!
//! Adapters are small, so files come whole and a package goes out whole; no IO happens here. Values
//! are kept as they are stored; names, row order and scale become the package's. What cannot be
//! applied exactly is refused by name.

mod config;
mod error;
mod factor;
mod gguf_lora;
mod module_pattern;
mod modules;
mod peft;
mod record;

pub use error::{LoraError, LoraFault, LoraRule};
pub use record::adapter_report;

use crate::model_files::license_of;
use crate::source::SourceKind;
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::adapter::{Adapter, AdapterParts, Binding, Part, write_adapter};
use cultivar_core::package::schema::{TensorRole, tensor_name};
use cultivar_core::package::{Head, Metadata, RecordWriter, SectionId, TensorPlan, metadata_key};
use cultivar_core::tensor::Format;
use factor::Factor;
use modules::{Split, targets};

/// A file of an adapter: its name, for messages and the record, and its bytes.
#[derive(Clone, Copy, Debug)]
pub struct LoraFile<'a> {
    /// The file's name without folders.
    pub name: &'a str,
    /// All of it.
    pub bytes: &'a [u8],
}

/// What an import is told besides files and base.
#[derive(Clone, Debug, Default)]
pub struct LoraOptions {
    /// Name in the metadata; empty for none.
    pub name: String,
    /// Licence in the metadata; empty for the one that the files state, if they do.
    pub license: String,
    /// Where it comes from, for the metadata; may be empty.
    pub source: String,
    /// Anything else, for the metadata; may be empty.
    pub notes: String,
    /// Whether only the very weights of this base will do.
    pub exact_base: bool,
}

/// A delta of one module of the foreign file.
struct ForeignDelta {
    /// As the file calls it.
    module: String,
    layer: Option<usize>,
    split: Split,
    /// `[rank, d_in]`
    a: Factor,
    /// `[rows of the module, rank]`
    b: Factor,
    scale: f32,
}

/// What a foreign file holds.
struct ForeignAdapter {
    kind: &'static str,
    base_name: String,
    license: String,
    deltas: Vec<ForeignDelta>,
}

/// The files of one adapter, told apart by content: a GGUF file alone, or a configuration with
/// safetensors; beside them a `README.md`, whose head may state the licence. The package is valid
/// and fits `base`.
pub fn import_adapter(
    files: &[LoraFile<'_>],
    base: &Head,
    options: &LoraOptions,
) -> Result<Vec<u8>, LoraError> {
    let (mut config, mut weights, mut gguf, mut readme) = (None, None, None, None);
    for file in files {
        let first = file.bytes.trim_ascii_start().first();
        let slot = if file.bytes.starts_with(b"GGUF") {
            &mut gguf
        } else if is_safetensors(file.bytes) {
            &mut weights
        } else if first == Some(&b'{') {
            &mut config
        } else if file.name == SourceKind::ModelCard.name() && files.len() > 1 {
            &mut readme
        } else {
            return Err(LoraError::new(LoraRule::Unrecognised, "").file(file.name));
        };
        if slot.replace(file).is_some() {
            return Err(LoraError::new(LoraRule::TwoOfAKind, "").file(file.name));
        }
    }
    let at = |file: &LoraFile<'_>| {
        let name = String::from(file.name);
        move |error: LoraError| error.file(&name)
    };
    let mut foreign = match (gguf, config, weights) {
        (Some(gguf), None, None) => gguf_lora::read(gguf.bytes).map_err(at(gguf))?,
        (None, Some(config), Some(weights)) => {
            let config = config::LoraConfig::parse(config.bytes).map_err(at(config))?;
            peft::read(&config, weights.bytes).map_err(at(weights))?
        }
        (None, None, Some(weights)) => {
            return Err(LoraError::new(LoraRule::NoConfig, "").file(weights.name));
        }
        (None, Some(config), None) => {
            return Err(LoraError::new(LoraRule::NoWeights, "").file(config.name));
        }
        (None, None, None) => return Err(LoraError::new(LoraRule::NoFile, "")),
        (Some(gguf), ..) => return Err(LoraError::new(LoraRule::TwoOfAKind, "").file(gguf.name)),
    };
    if let Some(stated) = readme.and_then(|readme| license_of(readme.bytes)) {
        foreign.license = stated;
    }
    // What does not fit the base stands in the file of the factors.
    let name = gguf.or(weights).map_or("", |file| file.name);
    write(files, &foreign, base, options).map_err(|error| error.file(name))
}

/// Whether a file begins with the length of a JSON object that it holds. (As text, the eight bytes
/// of a length would be a number beyond all files.)
fn is_safetensors(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk::<8>().map(|b| u64::from_le_bytes(*b));
    let is_inside = length.is_some_and(|length| length <= bytes.len() as u64);
    is_inside && bytes.get(8) == Some(&b'{')
}

/// Writes the package and reads it back as every user of it will.
fn write(
    files: &[LoraFile<'_>],
    foreign: &ForeignAdapter,
    base: &Head,
    options: &LoraOptions,
) -> Result<Vec<u8>, LoraError> {
    let mut tensors = Vec::new();
    for delta in &foreign.deltas {
        put_delta(&mut tensors, delta, base)?;
    }
    let mut metadata = RecordWriter::new();
    let own_base = base.metadata.text(metadata_key::NAME).unwrap_or_default();
    let base_name = match own_base.is_empty() {
        true => foreign.base_name.as_str(),
        false => own_base,
    };
    let license = match options.license.is_empty() {
        true => foreign.license.as_str(),
        false => options.license.as_str(),
    };
    for (key, text) in [
        (metadata_key::NAME, options.name.as_str()),
        (metadata_key::LICENSE, license),
        (metadata_key::SOURCE, options.source.as_str()),
        (metadata_key::NOTES, options.notes.as_str()),
        (metadata_key::BASE_NAME, base_name),
    ] {
        if !text.is_empty() {
            metadata.text(key, text);
        }
    }
    let parts = AdapterParts {
        binding: Binding::to_base(base, options.exact_base),
        metadata: Metadata::from_records(&metadata),
        unknown: Vec::new(),
    };
    let record = record::to_json(files, foreign, &tensors);
    let genome = record::genome(files, foreign, base, options);
    let tail = [
        (SectionId::CONVERSION_RECORD, record.into_bytes()),
        (SectionId::GENOME, genome.into_bytes()),
    ];
    let stored = tensors
        .iter()
        .map(|(plan, bytes)| (plan.clone(), bytes.as_slice()));
    let bytes = write_adapter(&parts, stored.collect(), &tail)?;
    let adapter = Adapter::parse(&bytes)?;
    adapter.verify_tensors()?;
    adapter.check_base(base)?;
    Ok(bytes)
}

/// The parts of one module's delta, target by target.
fn put_delta(
    tensors: &mut Vec<(TensorPlan, Vec<u8>)>,
    delta: &ForeignDelta,
    base: &Head,
) -> Result<(), LoraError> {
    let misfit = || LoraError::new(LoraRule::FactorShape, &delta.module);
    let is_embedding = |role| matches!(role, TensorRole::TokenEmbedding | TensorRole::Output);
    if let Split::Whole(role) = delta.split
        && is_embedding(role)
        && base.config.tied_output
    {
        return Err(LoraError::new(LoraRule::TiedEmbedding, &delta.module));
    }
    let (targets, n_rows) = targets(delta.split, &base.config);
    let rank = delta.a.n_rows;
    if delta.b.n_rows != n_rows || delta.b.n_columns != rank {
        return Err(misfit());
    }
    for (role, rows) in targets {
        let target = tensor_name(role, delta.layer);
        let entry = base.directory.get(target.as_str());
        let entry = entry.ok_or_else(|| LoraError::new(LoraRule::UnknownTensor, &delta.module))?;
        if entry.shape != [rows.len() as u64, delta.a.n_columns] {
            return Err(misfit());
        }
        let b = delta.b.rows(&rows).ok_or_else(misfit)?;
        let mut put = |part: Part, format, shape, bytes| {
            let plan = TensorPlan {
                name: part.of(target.as_str()),
                format,
                shape,
            };
            tensors.push((plan, bytes));
        };
        let (a_shape, b_shape) = ([rank, delta.a.n_columns], [b.n_rows, rank]);
        put(
            Part::LoraA,
            delta.a.format,
            a_shape.to_vec(),
            delta.a.bytes.clone(),
        );
        put(Part::LoraB, b.format, b_shape.to_vec(), b.bytes);
        let scales = (0..rank).flat_map(|_| delta.scale.to_le_bytes()).collect();
        let f32_format = Format::by_name("f32").ok_or_else(misfit)?;
        put(Part::Scales, f32_format, Vec::from([rank]), scales);
    }
    Ok(())
}
