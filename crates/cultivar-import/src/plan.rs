//! What an importer found in its files: a model's description and where each tensor lies.
//!
//! Formats fill it; the stepper works it off without knowing any of them.

use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::package::ModelConfig;
use cultivar_core::tokenizer::TokenizerRecord;

/// How the rows of a source tensor relate to ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowOrder {
    /// Row for row.
    Same,
    /// Each head's rotary pairs are neighbours; ours are half a head apart.
    Interleaved {
        /// Rows of one head.
        head_dim: usize,
    },
}

impl RowOrder {
    /// Rows that must be converted together, so that every chunk holds whole heads.
    pub(crate) fn group_rows(self) -> usize {
        match self {
            RowOrder::Same => 1,
            RowOrder::Interleaved { head_dim } => head_dim.max(1),
        }
    }

    /// The row of the source that becomes row `row_idx`: in a head of `h` rows, row `i` below
    /// `h / 2` is the source's `2 i`, and row `h / 2 + i` its `2 i + 1`.
    pub(crate) fn source_row(self, row_idx: usize) -> usize {
        match self {
            RowOrder::Same => row_idx,
            RowOrder::Interleaved { head_dim } => {
                let (first, within) = (row_idx - row_idx % head_dim, row_idx % head_dim);
                let half = head_dim / 2;
                first + 2 * (within % half) + within / half
            }
        }
    }
}

/// A tensor of f32 in the source, to be stored under a name of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TensorSource {
    /// Its name in the package.
    pub name: String,
    /// Its shape, one or two dimensions.
    pub shape: Vec<u64>,
    /// Where it begins in the source file.
    pub offset: u64,
    /// How its rows are ordered there.
    pub row_order: RowOrder,
}

impl TensorSource {
    /// How many elements it has.
    pub(crate) fn n_elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Elements of one row; a tensor of one dimension is one row.
    pub(crate) fn d_in(&self) -> usize {
        self.shape.last().map_or(1, |d_in| *d_in as usize)
    }

    /// Rows.
    pub(crate) fn d_out(&self) -> usize {
        if self.shape.len() < 2 {
            1
        } else {
            self.shape.first().map_or(1, |rows| *rows as usize)
        }
    }

    /// Whether it is a matrix, whose format the caller chooses; a vector stays f32.
    pub(crate) fn is_matrix(&self) -> bool {
        self.shape.len() >= 2
    }
}

/// A model found in the sources.
#[derive(Clone, Debug)]
pub(crate) struct ImportPlan {
    /// Its configuration.
    pub config: ModelConfig,
    /// Its vocabulary.
    pub tokenizer: TokenizerRecord,
    /// The file that holds the tensors.
    pub weights_source: usize,
    /// Its tensors, in ascending order of offset.
    pub tensors: Vec<TensorSource>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_rows_become_half_split() {
        let order = RowOrder::Interleaved { head_dim: 6 };
        let rows: Vec<usize> = (0..12).map(|row_idx| order.source_row(row_idx)).collect();
        assert_eq!(rows, [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
        assert_eq!(RowOrder::Same.source_row(7), 7);
    }
}
