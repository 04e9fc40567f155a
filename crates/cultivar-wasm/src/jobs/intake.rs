//! What a job needs of its sources before it begins: the heads of packages, and small files whole.

use super::JobStep;
use crate::status::Failure;
use alloc::vec::Vec;
use cultivar_breed::{BreedError, BreedRule};
use cultivar_core::package::{HEADER_BYTES, Header, PackageError, PackageErrorKind};
use cultivar_import::SourceInfo;

/// Reads at least so much at once.
const READ_BYTES_MIN: u64 = 1 << 16;

/// Sources on their way in, one after another.
pub struct Intake {
    /// The files.
    pub sources: Vec<SourceInfo>,
    /// The first so many are packages of which only the head is wanted.
    n_heads: usize,
    /// What came in, per source.
    parts: Vec<Vec<u8>>,
    /// Bytes that the last step asked for.
    asked: u64,
}

impl Intake {
    /// Nothing is read yet.
    pub fn new(sources: Vec<SourceInfo>, n_heads: usize) -> Intake {
        Intake {
            sources,
            n_heads,
            parts: Vec::new(),
            asked: 0,
        }
    }

    /// What to read next; `None` when everything is there.
    pub fn step(&mut self, budget_bytes: u64) -> Result<Option<JobStep>, Failure> {
        loop {
            let idx = self.parts.len().saturating_sub(1);
            let Some(info) = self.sources.get(idx) else {
                return Ok(None);
            };
            let named = |error: PackageError| Failure::of_source(&info.name, error.into());
            let have = self.parts.get(idx).map_or(&[][..], Vec::as_slice);
            let wanted = if idx >= self.n_heads {
                info.bytes
            } else if have.len() < HEADER_BYTES {
                info.bytes.min(HEADER_BYTES as u64)
            } else {
                let header = Header::of_file(have, info.bytes).map_err(named)?;
                u64::from(header.head_bytes)
            };
            if wanted > info.bytes {
                let error = PackageError::at(PackageErrorKind::HeadBytes, 32);
                return Err(named(error));
            }
            let offset = have.len() as u64;
            if offset < wanted {
                if self.parts.is_empty() {
                    self.parts.push(Vec::new());
                }
                let left = wanted - offset;
                if let Some(part) = self.parts.last_mut() {
                    reserve(part, left).map_err(|error| Failure::of_source(&info.name, error))?;
                }
                self.asked = left.min(budget_bytes.max(READ_BYTES_MIN));
                return Ok(Some(JobStep::Read {
                    source: idx,
                    offset,
                    len: self.asked,
                }));
            }
            if self.parts.len() >= self.sources.len() {
                return Ok(None);
            }
            self.parts.push(Vec::new());
        }
    }

    /// Takes what the last step asked for.
    pub fn supply(&mut self, bytes: &[u8]) -> Result<(), BreedError> {
        let asked = core::mem::take(&mut self.asked);
        let part = self.parts.last_mut();
        let part = part.filter(|_| asked > 0 && asked == bytes.len() as u64);
        let part = part.ok_or_else(|| BreedError::new(BreedRule::OutOfOrder, ""))?;
        part.extend_from_slice(bytes);
        Ok(())
    }

    /// Hands over what came in.
    pub fn take(&mut self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.parts)
    }
}

/// Room for exactly so many more bytes.
fn reserve(part: &mut Vec<u8>, n_bytes: u64) -> Result<(), BreedError> {
    let n_bytes = usize::try_from(n_bytes).unwrap_or(usize::MAX);
    let reserved = part.try_reserve_exact(n_bytes);
    reserved.map_err(|_| BreedError::new(BreedRule::OutOfMemory, "the file"))
}
