//! A whole model package in memory: head, tensors and tail over one slice.
//!
//! For tests, the command line and small files; a page streams instead (`Head`, then tensors,
//! then `Tail`). Parsing checks everything but the tensors' bytes, which `verify_tensors` reads.

use super::container::{KeptSection, check_zero, slice};
use super::directory::{Directory, Entry, TensorPlan};
use super::error::{PackageError, PackageErrorKind};
use super::head::Head;
use super::header::Header;
use super::section_table::SectionId;
use super::tail::Tail;
use super::writer::{ModelParts, PackageWriter};
use crate::digest::sha256;
use crate::tensor::{TensorRef, payload};
use alloc::vec;
use alloc::vec::Vec;

/// A model's package, wholly in memory.
#[derive(Clone, Debug)]
pub struct Package<'a> {
    /// Everything before the tensor data.
    pub head: Head,
    /// Everything behind it.
    pub tail: Tail,
    bytes: &'a [u8],
}

impl<'a> Package<'a> {
    /// Reads a whole file. Tensors' digests are left to [`Package::verify_tensors`].
    pub fn parse(bytes: &'a [u8]) -> Result<Package<'a>, PackageError> {
        let file_bytes = bytes.len() as u64;
        let header = Header::of_file(bytes, file_bytes)?;
        let head_bytes = u64::from(header.head_bytes);
        let head = Head::parse(slice(bytes, 0, 0, head_bytes), file_bytes)?;
        check_data_padding(&head.directory, bytes)?;
        let tail = head.parse_tail(slice(bytes, 0, head.tail_offset(), file_bytes))?;
        Ok(Package { head, tail, bytes })
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<TensorRef<'a>> {
        let entry = self.head.directory.get(name)?;
        entry.tensor(self.tensor_bytes(entry))
    }

    /// The stored bytes of a tensor.
    pub fn tensor_bytes(&self, entry: &Entry) -> &'a [u8] {
        slice(self.bytes, 0, entry.offset, entry.end())
    }

    /// Whether every tensor has its digest, finite values and zero padding.
    pub fn verify_tensors(&self) -> Result<(), PackageError> {
        let entries = self.head.directory.entries();
        entries
            .iter()
            .try_for_each(|entry| verify_tensor(entry, self.tensor_bytes(entry)))
    }

    /// The package written anew: the same bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PackageError> {
        let Head {
            config,
            tokenizer,
            chat_template,
            metadata,
            unknown,
            directory,
            ..
        } = self.head.clone();
        let parts = ModelParts {
            config,
            tokenizer,
            chat_template,
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
        write_model(&parts, tensors.collect(), &self.tail.sections())
    }
}

/// Whether the stored bytes of a tensor have its digest, finite values and zero padding.
pub fn verify_tensor(entry: &Entry, bytes: &[u8]) -> Result<(), PackageError> {
    let refuse = |kind| {
        let error = PackageError::within(kind, SectionId::TENSOR_DATA, entry.offset);
        Err(error.named(entry.name.as_str()))
    };
    if sha256(bytes) != entry.digest {
        return refuse(PackageErrorKind::TensorDigest);
    }
    let Some(tensor) = entry.tensor(bytes) else {
        return refuse(PackageErrorKind::TensorBytes);
    };
    match payload::check(tensor, 0, usize::MAX) {
        Ok(_) => Ok(()),
        Err(error) => refuse(PackageErrorKind::Payload(error)),
    }
}

/// Whether the gaps between tensors are zero; `bytes` are the whole file.
pub fn check_data_padding(directory: &Directory, bytes: &[u8]) -> Result<(), PackageError> {
    for (place, len) in directory.paddings() {
        check_zero(
            slice(bytes, 0, place, place + len),
            place,
            SectionId::TENSOR_DATA,
        )?;
    }
    Ok(())
}

/// A whole model package, for what fits memory: each tensor with its stored bytes.
pub fn write_model(
    parts: &ModelParts,
    tensors: Vec<(TensorPlan, &[u8])>,
    tail: &[KeptSection],
) -> Result<Vec<u8>, PackageError> {
    let plans = tensors.iter().map(|(plan, _)| plan.clone()).collect();
    let tail_ids: Vec<SectionId> = tail.iter().map(|(id, _)| *id).collect();
    let writer = PackageWriter::model(parts, plans, &tail_ids)?;
    fill(writer, &tensors, tail)
}

/// Writes tensors, head and tail of a laid-out package of either kind into one buffer.
pub fn fill(
    mut writer: PackageWriter,
    tensors: &[(TensorPlan, &[u8])],
    tail: &[KeptSection],
) -> Result<Vec<u8>, PackageError> {
    let mut out = vec![0; writer.tail_offset() as usize];
    for (plan, bytes) in tensors {
        let idx = writer.position(&plan.name).unwrap_or(usize::MAX);
        let refuse =
            |kind| PackageError::within(kind, SectionId::TENSOR_DATA, 0).named(plan.name.as_str());
        let entry = writer
            .entries()
            .get(idx)
            .ok_or_else(|| refuse(PackageErrorKind::UnexpectedTensor))?;
        let place = entry.offset as usize..entry.end() as usize;
        let room = out.get_mut(place).filter(|room| room.len() == bytes.len());
        room.ok_or_else(|| refuse(PackageErrorKind::TensorBytes))?
            .copy_from_slice(bytes);
        writer.set_digest(idx, sha256(bytes));
    }
    let finished = writer.finish(tail)?;
    // The head ends where the tensor data begins, which is inside the buffer.
    out.splice(..finished.head.len(), finished.head);
    out.extend_from_slice(&finished.tail);
    Ok(out)
}
