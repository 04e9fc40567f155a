//! The last check before an adapter is used: base plus delta, row by row, as the base's format
//! would store it.
//!
//! A step at a time, because it reads every row of the base that the adapter touches. It only
//! reads.

use super::loaded::LoadedAdapter;
use super::stack_error::{StackError, StackRule};
use crate::memory::filled;
use crate::package::schema::TensorRole;
use crate::tensor::{Format, codec};
use alloc::vec::Vec;

/// Rows of a base, decoded.
pub trait BaseRows {
    /// Writes row `row` of a tensor to `out` and says how it is stored; `None` if there is none.
    fn base_row(
        &self,
        out: &mut [f32],
        target: (TensorRole, Option<usize>),
        row: usize,
    ) -> Option<&'static Format>;
}

/// A check in progress.
#[derive(Debug, Default)]
pub struct FusedCheck {
    delta: usize,
    row: usize,
    /// One row of the base with its delta.
    sum: Vec<f32>,
}

impl FusedCheck {
    /// A check that has seen nothing.
    pub fn new() -> FusedCheck {
        FusedCheck::default()
    }

    /// Checks about `budget_elements` elements; returns whether all are checked.
    ///
    /// Refuses the first row where `base + weight * delta` is not finite, or too large for the
    /// format in which the base stores it ([`codec::magnitude_max`]).
    pub fn step(
        &mut self,
        adapter: &LoadedAdapter,
        weight: f32,
        base: &impl BaseRows,
        budget_elements: usize,
    ) -> Result<bool, StackError> {
        let mut left = budget_elements.max(1);
        while let Some(delta) = adapter.deltas.get(self.delta) {
            if self.row >= delta.d_out {
                (self.delta, self.row) = (self.delta + 1, 0);
                continue;
            }
            if left == 0 {
                return Ok(false);
            }
            let d_in = delta.d_in;
            let memory = || StackError::numbers(StackRule::OutOfMemory, d_in as u64 * 4, 0);
            if self.sum.len() != d_in {
                self.sum = filled(0.0, d_in).ok_or_else(memory)?;
            }
            let out = self.sum.as_mut_slice();
            let missing = || StackError::named(StackRule::NotApplicable, &delta.target);
            let target = (delta.role, delta.layer);
            let format = base.base_row(out, target, self.row).ok_or_else(missing)?;
            delta.add_row(out, self.row, weight);
            FusedCheck::check_row(out, format, (&delta.target, self.row))?;
            self.row += 1;
            left = left.saturating_sub(d_in * delta.rank().max(1));
        }
        Ok(true)
    }

    /// Checks one row of base plus deltas for the format in which the base stores it. `place` is
    /// the tensor's name and the row, for the refusal.
    pub fn check_row(
        values: &[f32],
        format: &'static Format,
        place: (&str, usize),
    ) -> Result<(), StackError> {
        let max = codec::magnitude_max(format);
        // No comparison holds for NaN.
        match values.iter().all(|value| value.abs() <= max) {
            true => Ok(()),
            false => Err(StackError::at_row(StackRule::Fused, place.0, place.1)),
        }
    }
}
