//! Factors of a low-rank delta on their way from a foreign file into a package: plain rows of 32-
//! or 16-bit floats, chosen, ordered or turned into columns, without a change of value.

use super::error::{LoraError, LoraRule};
use crate::error::{ImportError, ImportErrorKind};
use alloc::vec::Vec;
use cultivar_core::memory::reserved;
use cultivar_core::tensor::Format;

/// A matrix of plain elements, borrowed or made.
#[derive(Clone, Debug)]
pub(super) struct Factor {
    pub format: &'static Format,
    pub n_rows: u64,
    pub n_columns: u64,
    pub bytes: Vec<u8>,
}

impl Factor {
    /// The factor that a tensor of a file is: its name, format and shape there, and its place.
    ///
    /// # Errors
    /// `FactorFormat`, `Truncated`, `FactorShape`; `NotFinite` with the element's index.
    pub fn read(
        name: &str,
        format: &str,
        shape: &[u64],
        (offset, n_bytes): (u64, u64),
        file: &[u8],
    ) -> Result<Factor, LoraError> {
        let refuse = |rule| LoraError::new(rule, name);
        let format = Some(format).filter(|format| ["f32", "f16", "bf16"].contains(format));
        let format = format.and_then(Format::by_name);
        let format = format.ok_or_else(|| refuse(LoraRule::FactorFormat))?;
        let end = offset.saturating_add(n_bytes);
        let stored = file.get(offset as usize..end as usize);
        let stored = stored.ok_or_else(|| refuse(LoraRule::Truncated))?;
        let mask = if format.name == "f16" { 0x7C00 } else { 0x7F80 };
        // The last two bytes of an element of each format hold its exponent.
        let is_broken = |element: &[u8]| {
            let high = element.last_chunk().map_or(0, |b| u16::from_le_bytes(*b));
            high & mask == mask
        };
        if let Some(idx) = stored.chunks_exact(format.block_bytes).position(is_broken) {
            let error = ImportError::new(ImportErrorKind::NotFinite).field(name);
            return Err(error.numbers(idx as u64, 0).into());
        }
        Factor::new(format, shape, stored).ok_or_else(|| refuse(LoraRule::FactorShape))
    }

    /// A copy of stored bytes; `None` if they have another length or memory cannot be had.
    fn new(format: &'static Format, shape: &[u64], bytes: &[u8]) -> Option<Factor> {
        let [n_rows, n_columns] = *shape else {
            return None;
        };
        let expected = format.stored_bytes(n_rows, n_columns)?;
        if expected != bytes.len() as u64 || expected == 0 {
            return None;
        }
        let mut copy = reserved(bytes.len())?;
        copy.extend_from_slice(bytes);
        Some(Factor {
            format,
            n_rows,
            n_columns,
            bytes: copy,
        })
    }

    /// These rows in this order; `None` if one is not there.
    pub fn rows(&self, rows: &[u32]) -> Option<Factor> {
        let row_bytes = self.n_columns as usize * self.format.block_bytes;
        let mut bytes = reserved(rows.len().checked_mul(row_bytes)?)?;
        for row in rows {
            let start = (*row as usize).checked_mul(row_bytes)?;
            bytes.extend_from_slice(self.bytes.get(start..start.checked_add(row_bytes)?)?);
        }
        Some(Factor {
            n_rows: rows.len() as u64,
            bytes,
            ..*self
        })
    }

    /// Rows and columns exchanged; `None` if memory cannot be had.
    pub fn transposed(&self) -> Option<Factor> {
        let (n_rows, n_columns) = (self.n_rows as usize, self.n_columns as usize);
        let element_bytes = self.format.block_bytes;
        let mut bytes = reserved(self.bytes.len())?;
        for column in 0..n_columns {
            for row in 0..n_rows {
                let at = (row * n_columns + column) * element_bytes;
                bytes.extend_from_slice(self.bytes.get(at..at + element_bytes)?);
            }
        }
        Some(Factor {
            n_rows: self.n_columns,
            n_columns: self.n_rows,
            bytes,
            ..*self
        })
    }
}
