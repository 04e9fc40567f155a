//! Identities: SHA-256 names of what a package is, from the narrowest to the widest sense.
//!
//! Each preimage begins with `cultivar.<name>.v1` and a zero byte, so that no two kinds of identity
//! can be confused; integers are little-endian. `docs/package-format.md` writes every preimage
//! down. A preimage never changes: another meaning is another name.

use super::config::ModelConfig;
use super::directory::Directory;
use super::header::PackageKind;
use super::section_table::{SectionId, SectionTable};
use crate::digest::{Digest, Sha256};
use crate::tokenizer::TokenizerRecord;
use alloc::vec::Vec;

/// What a package is called in digests, apart from `content`, which needs the whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identities {
    /// Names and shapes of the tensors.
    pub tensor_schema: Digest,
    /// The options that change the function.
    pub architecture: Digest,
    /// Per id its bytes and type.
    pub tokenizer: Digest,
    /// Everything that computes: config, tokenizer, tensors.
    pub weights: Digest,
}

/// How an adapter takes part in an assembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdapterMode {
    /// Computed beside the base's products.
    Live,
    /// Added to the base's weights.
    Baked,
}

impl AdapterMode {
    /// The number in the preimage of an assembly.
    pub const fn id(self) -> u32 {
        match self {
            AdapterMode::Live => 1,
            AdapterMode::Baked => 2,
        }
    }
}

fn preimage(domain: &str) -> Sha256 {
    let mut hash = Sha256::new();
    hash.update(domain.as_bytes()).update(&[0]);
    hash
}

/// Sorted names and shapes, whatever the formats: which adapters fit.
pub fn tensor_schema(directory: &Directory) -> Digest {
    let mut hash = preimage("cultivar.tensor_schema.v1");
    hash.update(&(directory.entries().len() as u32).to_le_bytes());
    for entry in directory.entries() {
        hash.update(&(entry.name.len() as u16).to_le_bytes())
            .update(entry.name.as_bytes());
        hash.update(&[entry.shape.len() as u8]);
        entry.shape.iter().for_each(|dim| {
            hash.update(&dim.to_le_bytes());
        });
    }
    hash.finish()
}

/// The options that change the function: the config section without `context_len`.
pub fn architecture(config: &ModelConfig) -> Digest {
    let mut hash = preimage("cultivar.architecture.v1");
    hash.update(&config.function_records().finish());
    hash.finish()
}

/// Per id its bytes and type; neither scores, merges nor template.
pub fn tokenizer(record: &TokenizerRecord) -> Digest {
    let mut hash = preimage("cultivar.tokenizer.v1");
    let n_ids = record.vocab_size() as u32;
    hash.update(&n_ids.to_le_bytes());
    for id in 0..n_ids {
        let (piece, piece_type) = record.piece(id).unwrap_or_default();
        hash.update(&(piece.len() as u32).to_le_bytes())
            .update(piece)
            .update(&[piece_type]);
    }
    hash.finish()
}

/// Everything that computes: the config, tokenizer and directory sections, by their digests.
pub fn weights(kind: PackageKind, sections: &SectionTable) -> Digest {
    let mut hash = preimage("cultivar.weights.v1");
    hash.update(&kind.id().to_le_bytes());
    for id in [
        SectionId::CONFIG,
        SectionId::TOKENIZER,
        SectionId::TENSOR_DIRECTORY,
    ] {
        let digest = sections
            .get(id)
            .map_or(Digest::ZERO, |section| section.digest);
        hash.update(&digest.0);
    }
    hash.finish()
}

/// Everything but signatures: id, flags, length and digest of every section.
pub fn content(kind: PackageKind, sections: &SectionTable) -> Digest {
    let mut hash = preimage("cultivar.content.v1");
    hash.update(&kind.id().to_le_bytes());
    for section in sections.sections() {
        if section.id != SectionId::SIGNATURES {
            hash.update(&section.id.0.to_le_bytes())
                .update(&section.flags.to_le_bytes());
            hash.update(&section.len.to_le_bytes())
                .update(&section.digest.0);
        }
    }
    hash.finish()
}

/// How one adapter takes part in an assembly.
#[derive(Clone, Debug, PartialEq)]
pub struct AssemblyPart {
    /// Its `weights`.
    pub weights: Digest,
    /// Its weight.
    pub scale: f32,
    /// How it is applied.
    pub mode: AdapterMode,
    /// The weight of each of its deltas in order, where lists of factors refine the weight; else
    /// empty.
    pub delta_scales: Vec<f32>,
}

/// Added to the mode's number of an adapter whose deltas have weights of their own.
const BY_DELTA: u32 = 0x100;

/// A base with adapters in order: `weights` of each, its scale and mode. Keys caches and replays.
pub fn assembly(base_weights: &Digest, adapters: &[AssemblyPart]) -> Digest {
    let mut hash = preimage("cultivar.assembly.v1");
    hash.update(&base_weights.0);
    hash.update(&(adapters.len() as u32).to_le_bytes());
    for part in adapters {
        hash.update(&part.weights.0);
        hash.update(&part.scale.to_le_bytes());
        if part.delta_scales.is_empty() {
            hash.update(&part.mode.id().to_le_bytes());
            continue;
        }
        hash.update(&(part.mode.id() + BY_DELTA).to_le_bytes());
        hash.update(&(part.delta_scales.len() as u32).to_le_bytes());
        part.delta_scales.iter().for_each(|scale| {
            hash.update(&scale.to_le_bytes());
        });
    }
    hash.finish()
}
