//! The head of an adapter: everything before its tensors, decoded and checked.
//!
//! Needs no base; `check_base` compares with one. The tensors' bytes are not read here.

use super::binding::{BaseFit, Binding};
use super::delta::{Delta, DeltaKind, read_deltas};
use super::error::{AdapterError, AdapterRule};
use crate::digest::Digest;
use crate::package::{
    Container, Directory, Head, Header, KeptSection, Metadata, PackageKind, Records, SectionId,
    SectionTable, Tail, Value, identity, metadata_key, read_directory,
};
use alloc::vec::Vec;

/// An adapter's package without its tensors.
#[derive(Clone, Debug)]
pub struct AdapterHead {
    /// The file's header.
    pub header: Header,
    /// Where everything is.
    pub sections: SectionTable,
    /// The base it was made for.
    pub binding: Binding,
    /// Name, licence, source, notes.
    pub metadata: Metadata,
    /// The tensors: parts of deltas.
    pub directory: Directory,
    /// What is added to which tensor of the base.
    pub deltas: Vec<Delta>,
    /// Optional sections with unknown ids, kept as they are.
    pub unknown: Vec<KeptSection>,
    /// The `weights` identity: binding and tensors.
    pub weights: Digest,
}

impl AdapterHead {
    /// Reads `bytes`, exactly the bytes `[0, head_bytes)` of a file of `file_bytes` bytes.
    pub fn parse(bytes: &[u8], file_bytes: u64) -> Result<AdapterHead, AdapterError> {
        let container = Container::parse(bytes, file_bytes, PackageKind::Adapter)?;
        let (section, offset) = container.required(SectionId::CONFIG)?;
        let binding = Binding::from_records(&Records::parse(SectionId::CONFIG, section, offset)?)?;
        let metadata = match container.section(SectionId::METADATA) {
            Some((section, offset)) => Metadata::parse(section, offset)?,
            None => Metadata::default(),
        };
        let directory = read_directory(&container)?;
        let deltas = read_deltas(&directory)?;
        let weights = identity::weights(PackageKind::Adapter, &container.sections);
        let unknown = container.unknown_sections();
        let Container {
            header, sections, ..
        } = container;
        Ok(AdapterHead {
            header,
            sections,
            binding,
            metadata,
            directory,
            deltas,
            unknown,
            weights,
        })
    }

    /// Reads `tail`, exactly the bytes behind the tensor data.
    pub fn parse_tail(&self, tail: &[u8]) -> Result<Tail, AdapterError> {
        Ok(Tail::parse(&self.header, &self.sections, tail)?)
    }

    /// Whether the adapter may be used with this base: identities, targets and shapes.
    pub fn check_base(&self, base: &Head) -> Result<BaseFit, AdapterError> {
        let fit = self.binding.check_base(base)?;
        self.check_targets(base)?;
        Ok(fit)
    }

    /// Which part of its target's elements the sparse delta of this place has, as its maker says.
    pub fn density(&self, idx: usize) -> Option<f32> {
        let is_sparse = |delta: &&Delta| matches!(delta.kind, DeltaKind::Sparse { .. });
        self.deltas.get(idx).filter(is_sparse)?;
        let place = self.deltas.iter().take(idx).filter(is_sparse).count();
        match self.metadata.value(metadata_key::DENSITY)? {
            Value::F32List(parts) => parts.get(place).map(|part| f32::from_le_bytes(*part)),
            _ => None,
        }
    }

    /// Whether the base has every target in the shape that its delta needs.
    pub fn check_targets(&self, base: &Head) -> Result<(), AdapterError> {
        for delta in &self.deltas {
            let unknown = || AdapterError::rule(AdapterRule::UnknownTarget, &delta.target, 0);
            let target = base.directory.get(&delta.target).ok_or_else(unknown)?;
            delta.check_target(&self.directory, target)?;
        }
        Ok(())
    }
}
