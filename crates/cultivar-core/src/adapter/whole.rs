//! A whole adapter in memory: parsed, verified, compared with a base, written.
//!
//! Verification reads every byte and needs no base, except for the bounds of sparse indices.

use super::binding::{BaseFit, Binding};
use super::delta::{DeltaKind, read_deltas};
use super::error::{AdapterError, AdapterRule};
use super::head::AdapterHead;
use crate::package::{
    Entry, Head, Header, KeptSection, Metadata, PackageKind, PackageWriter, SectionId, Tail,
    TensorPlan, check_data_padding, fill, slice, verify_tensor,
};
use crate::tensor::TensorRef;
use alloc::vec;
use alloc::vec::Vec;

/// What an adapter's package holds beside its tensors.
#[derive(Clone, Debug)]
pub struct AdapterParts {
    /// The base it was made for.
    pub binding: Binding,
    /// Name, licence, source, notes.
    pub metadata: Metadata,
    /// Optional sections before the tensor data with ids that this version does not know.
    pub unknown: Vec<KeptSection>,
}

/// An adapter's package, wholly in memory.
#[derive(Clone, Debug)]
pub struct Adapter<'a> {
    /// Everything before the tensor data.
    pub head: AdapterHead,
    /// Everything behind it.
    pub tail: Tail,
    bytes: &'a [u8],
}

impl<'a> Adapter<'a> {
    /// Reads a whole file. Tensors are left to [`Adapter::verify_tensors`].
    pub fn parse(bytes: &'a [u8]) -> Result<Adapter<'a>, AdapterError> {
        let file_bytes = bytes.len() as u64;
        let header = Header::of_file(bytes, file_bytes)?;
        let head = slice(bytes, 0, 0, u64::from(header.head_bytes));
        let head = AdapterHead::parse(head, file_bytes)?;
        check_data_padding(&head.directory, bytes)?;
        let tail = head.parse_tail(slice(bytes, 0, head.sections.data_end(), file_bytes))?;
        Ok(Adapter { head, tail, bytes })
    }

    /// The tensor at this place of the directory.
    pub fn tensor(&self, idx: usize) -> Option<TensorRef<'a>> {
        let entry = self.head.directory.entries().get(idx)?;
        entry.tensor(self.tensor_bytes(entry))
    }

    /// Whether every tensor has its digest and finite values, and indices ascend.
    pub fn verify_tensors(&self) -> Result<(), AdapterError> {
        for entry in self.head.directory.entries() {
            verify_tensor(entry, self.tensor_bytes(entry))?;
        }
        for delta in &self.head.deltas {
            if let DeltaKind::Sparse { indices, .. } = delta.kind {
                let ascends = self
                    .indices(indices)
                    .array_windows()
                    .all(|[a, b]| u32::from_le_bytes(*a) < u32::from_le_bytes(*b));
                if !ascends {
                    return Err(self.refuse(AdapterRule::IndexOrder, indices));
                }
            }
        }
        Ok(())
    }

    /// Whether the adapter may be used with this base, sparse indices included.
    ///
    /// Needs [`Adapter::verify_tensors`] to have passed: the last index is the greatest.
    pub fn check_base(&self, base: &Head) -> Result<BaseFit, AdapterError> {
        let fit = self.head.binding.check_base(base)?;
        self.check_targets(base)?;
        Ok(fit)
    }

    /// Whether the base has every target in the shape that its delta needs, indices included;
    /// identities are not compared. Needs [`Adapter::verify_tensors`] as above.
    pub fn check_targets(&self, base: &Head) -> Result<(), AdapterError> {
        self.head.check_targets(base)?;
        for delta in &self.head.deltas {
            if let DeltaKind::Sparse { indices, .. } = delta.kind {
                let n_elements = base
                    .directory
                    .get(&delta.target)
                    .map_or(0, Entry::n_elements);
                let last = self
                    .indices(indices)
                    .last()
                    .map_or(0, |idx| u32::from_le_bytes(*idx));
                if u64::from(last) >= n_elements {
                    return Err(self.refuse(AdapterRule::IndexBounds, indices));
                }
            }
        }
        Ok(())
    }

    /// The package written anew: the same bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, AdapterError> {
        let AdapterHead {
            binding,
            metadata,
            unknown,
            directory,
            ..
        } = self.head.clone();
        let parts = AdapterParts {
            binding,
            metadata,
            unknown,
        };
        let tensors = directory.entries().iter().map(|entry| {
            let Entry {
                name,
                format,
                shape,
                ..
            } = entry.clone();
            (
                TensorPlan {
                    name,
                    format,
                    shape,
                },
                self.tensor_bytes(entry),
            )
        });
        write_adapter(&parts, tensors.collect(), &self.tail.sections())
    }

    fn tensor_bytes(&self, entry: &Entry) -> &'a [u8] {
        slice(self.bytes, 0, entry.offset, entry.end())
    }

    fn indices(&self, idx: usize) -> &'a [[u8; 4]] {
        self.tensor(idx)
            .map_or(&[], |tensor| tensor.bytes.as_chunks().0)
    }

    fn refuse(&self, rule: AdapterRule, idx: usize) -> AdapterError {
        let entry = self.head.directory.entries().get(idx);
        let (name, offset) = entry.map_or(("", 0), |entry| (entry.name.as_str(), entry.offset));
        AdapterError::rule(rule, name, offset)
    }
}

/// Lays out an adapter: a streaming writer, whose tensors are parts of deltas.
pub fn adapter_writer(
    parts: &AdapterParts,
    tensors: Vec<TensorPlan>,
    tail_ids: &[SectionId],
) -> Result<PackageWriter, AdapterError> {
    parts.binding.validate()?;
    let mut sections = vec![
        (SectionId::CONFIG, parts.binding.to_records().finish()),
        (SectionId::METADATA, parts.metadata.to_bytes().to_vec()),
    ];
    sections.extend(parts.unknown.iter().cloned());
    let writer = PackageWriter::new(PackageKind::Adapter, sections, tensors, tail_ids)?;
    read_deltas(writer.directory())?;
    Ok(writer)
}

/// A whole adapter package, for what fits memory: each part with its stored bytes.
pub fn write_adapter(
    parts: &AdapterParts,
    tensors: Vec<(TensorPlan, &[u8])>,
    tail: &[KeptSection],
) -> Result<Vec<u8>, AdapterError> {
    let plans = tensors.iter().map(|(plan, _)| plan.clone()).collect();
    let tail_ids: Vec<SectionId> = tail.iter().map(|(id, _)| *id).collect();
    let writer = adapter_writer(parts, plans, &tail_ids)?;
    Ok(fill(writer, &tensors, tail)?)
}
