//! What an importer found in its files: a model's description and where each tensor lies.
//!
//! Formats fill it; the stepper works it off without knowing any of them.

use crate::ggml::GgmlType;
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::package::ModelConfig;
use cultivar_core::package::schema::TensorRole;
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
    /// Each head's rows of several tensors follow one another; ours are one of them.
    OfHeads {
        /// Rows of one head in one tensor.
        head_dim: usize,
        /// Which of the tensors.
        part: usize,
        /// How many there are.
        n_parts: usize,
    },
    /// Our rows are columns of the source, `[d_in, n_columns]`.
    Transposed {
        /// The column that is our row 0.
        first: usize,
        /// Columns of the source.
        n_columns: usize,
    },
}

impl RowOrder {
    /// The name that records use.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            RowOrder::Same => "same",
            RowOrder::Interleaved { .. } => "interleaved",
            RowOrder::OfHeads { .. } => "of_heads",
            RowOrder::Transposed { .. } => "transposed",
        }
    }

    /// Rows that must be converted together, so that every chunk holds whole heads; of `d_out`.
    pub(crate) fn group_rows(self, d_out: usize) -> usize {
        match self {
            RowOrder::Same => 1,
            RowOrder::Interleaved { head_dim } | RowOrder::OfHeads { head_dim, .. } => {
                head_dim.max(1)
            }
            RowOrder::Transposed { .. } => d_out.max(1),
        }
    }

    /// How many rows of the source are read for each of ours.
    pub(crate) fn n_parts(self) -> usize {
        match self {
            RowOrder::OfHeads { n_parts, .. } => n_parts,
            _ => 1,
        }
    }

    /// The row of a chunk of the source that becomes row `row_idx` of the chunk's rows. In a head
    /// of `h` interleaved rows, row `i` below `h / 2` is the source's `2 i`, and row `h / 2 + i`
    /// its `2 i + 1`.
    pub(crate) fn source_row(self, row_idx: usize) -> usize {
        match self {
            RowOrder::Same | RowOrder::Transposed { .. } => row_idx,
            RowOrder::Interleaved { head_dim } => {
                let (first, within) = (row_idx - row_idx % head_dim, row_idx % head_dim);
                let half = head_dim / 2;
                first + 2 * (within % half) + within / half
            }
            RowOrder::OfHeads {
                head_dim,
                part,
                n_parts,
            } => (row_idx / head_dim * n_parts + part) * head_dim + row_idx % head_dim,
        }
    }
}

/// A tensor in the source, to be stored under a name of ours.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TensorSource {
    /// Its name in the package.
    pub name: String,
    /// What it does.
    pub role: TensorRole,
    /// Its layer, if it has one.
    pub layer: Option<usize>,
    /// Its shape in the package, one or two dimensions.
    pub shape: Vec<u64>,
    /// Which file holds it.
    pub source: usize,
    /// Where the rows that are read begin in that file.
    pub offset: u64,
    /// How its elements are stored there.
    pub ggml_type: &'static GgmlType,
    /// How its rows are ordered there.
    pub row_order: RowOrder,
    /// Whether 1 is added to each element (norms that are stored as differences from 1).
    pub adds_one: bool,
}

impl TensorSource {
    /// Elements of one row. A vector is as many rows of one element, so that its elements can
    /// change places as rows do.
    pub(crate) fn d_in(&self) -> usize {
        match self.shape.as_slice() {
            [_, d_in] => *d_in as usize,
            _ => 1,
        }
    }

    /// Rows.
    pub(crate) fn d_out(&self) -> usize {
        self.shape.first().map_or(1, |rows| *rows as usize)
    }

    /// Whether it is a matrix, whose format the caller chooses; a vector stays f32.
    pub(crate) fn is_matrix(&self) -> bool {
        self.shape.len() >= 2
    }

    /// Bytes of one row in the source, and how many rows there are for `n_rows` of ours.
    pub(crate) fn source_rows(&self, n_rows: usize) -> (u64, u64) {
        match self.row_order {
            RowOrder::Transposed { n_columns, .. } => {
                let row_bytes = self.ggml_type.row_bytes(n_columns as u64);
                (row_bytes.unwrap_or_default(), self.d_in() as u64)
            }
            order => {
                let row_bytes = self.ggml_type.row_bytes(self.d_in() as u64);
                (
                    row_bytes.unwrap_or_default(),
                    (n_rows * order.n_parts()) as u64,
                )
            }
        }
    }
}

/// A model found in the sources.
#[derive(Clone, Debug)]
pub(crate) struct ImportPlan {
    /// Its configuration.
    pub config: ModelConfig,
    /// Its vocabulary.
    pub tokenizer: TokenizerRecord,
    /// Its chat template; empty if it has none.
    pub chat_template: String,
    /// What its files say about it: key of the package's metadata and text.
    pub metadata: Vec<(&'static str, String)>,
    /// Its tensors, ascending by file and place.
    pub tensors: Vec<TensorSource>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(order: RowOrder, n: usize) -> Vec<usize> {
        (0..n).map(|row_idx| order.source_row(row_idx)).collect()
    }

    #[test]
    fn interleaved_rows_become_half_split() {
        let order = RowOrder::Interleaved { head_dim: 6 };
        assert_eq!(rows(order, 12), [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
        assert_eq!(RowOrder::Same.source_row(7), 7);
    }

    #[test]
    fn the_parts_of_heads_are_taken_apart() {
        let part = |part| RowOrder::OfHeads {
            head_dim: 2,
            part,
            n_parts: 3,
        };
        assert_eq!(rows(part(0), 4), [0, 1, 6, 7]);
        assert_eq!(rows(part(2), 4), [4, 5, 10, 11]);
        assert_eq!((part(1).group_rows(8), part(1).n_parts()), (2, 3));
    }
}
