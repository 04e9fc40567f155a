//! The check of a whole stack against its base: base plus all weighted deltas, row by row, must be
//! finite and fit the format in which the base stores it.
//!
//! The base is read tensor by tensor, only where something changes; nothing else is held. The core
//! has the same check for one adapter on a base that is loaded.

use crate::error::BreedError;
use crate::rows::RowReader;
use crate::step::BreedStep;
use alloc::vec::Vec;
use cultivar_core::adapter::{ActiveDelta, FusedCheck, Stack};
use cultivar_core::memory::filled;
use cultivar_core::package::schema::{ExpectedTensor, expected_tensors};
use cultivar_core::package::{Entry, Head};
use cultivar_core::tensor::codec;

/// A check in progress. Source 0 is the base's package.
pub struct StackCheck {
    base: Head,
    stack: Stack,
    /// Place of the tensor under way among the base's.
    idx: usize,
    reader: RowReader,
}

impl StackCheck {
    /// Begins. Every adapter of the stack must fit `base`, which `LoadedAdapter::new` has checked.
    pub fn new(base: Head, stack: Stack) -> StackCheck {
        StackCheck {
            base,
            stack,
            idx: 0,
            reader: RowReader::default(),
        }
    }

    /// Says what the caller does next; [`BreedStep::Write`] never comes.
    pub fn step(&mut self) -> BreedStep {
        while let Some(entry) = self.base.directory.entries().get(self.idx) {
            if !self.reader.is_done(entry) && self.deltas(entry).next().is_some() {
                let (offset, len) = self.reader.range(entry);
                let source = 0;
                return BreedStep::Read {
                    source,
                    offset,
                    len,
                };
            }
            self.idx += 1;
            self.reader = RowReader::default();
        }
        BreedStep::Done
    }

    /// Takes the bytes that the last step asked to read; refuses the first row that does not fit.
    pub fn supply(&mut self, bytes: &[u8]) -> Result<(), BreedError> {
        let Some(entry) = self.base.directory.entries().get(self.idx) else {
            return Err(BreedError::new(crate::BreedRule::OutOfOrder, ""));
        };
        let (first, rows) = self.reader.take(entry, bytes)?;
        let deltas: Vec<ActiveDelta<'_>> = deltas_of(&self.base, &self.stack, entry).collect();
        let memory = || BreedError::memory(&entry.name);
        let mut sum = filled(0.0, rows.d_in).ok_or_else(memory)?;
        for i in 0..rows.d_out {
            codec::decode_row(&mut sum, rows, i);
            for active in &deltas {
                active.delta.add_row(&mut sum, first + i, active.weight);
            }
            FusedCheck::check_row(&sum, entry.format, (&entry.name, first + i))?;
        }
        Ok(())
    }

    /// Tensors looked at, and in all.
    pub fn progress(&self) -> (usize, usize) {
        (self.idx, self.base.directory.entries().len())
    }

    fn deltas(&self, entry: &Entry) -> impl Iterator<Item = ActiveDelta<'_>> {
        deltas_of(&self.base, &self.stack, entry)
    }
}

/// The active deltas of a tensor of the base, in stack order.
pub fn deltas_of<'a>(
    base: &Head,
    stack: &'a Stack,
    entry: &Entry,
) -> impl Iterator<Item = ActiveDelta<'a>> {
    let is_it = |tensor: &ExpectedTensor| tensor.name.as_str() == entry.name;
    let tensor = expected_tensors(&base.config).find(is_it);
    let of_target = tensor.map(|tensor| stack.of_target(tensor.role, tensor.layer));
    of_target.into_iter().flatten()
}
