//! One page: the keys and values of 32 positions, all layers and heads, in one storage format.
//!
//! Inside a page: layer, then key/value head, then keys and values of 32 positions each, so that
//! one head's keys are contiguous.

use crate::kernels::Backend;
use crate::kernels::attention::{self, StoredRows};
use crate::kernels::scalar::quantize;
use crate::memory::filled;
use crate::tensor::half::f32_to_f16;
use alloc::vec::Vec;

/// Positions in a page. A multiple of 16, the number of partial sums of a softmax.
pub const PAGE_LEN: usize = 32;

/// How keys and values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvFormat {
    /// 32-bit floats, unrounded.
    F32,
    /// 16-bit floats, rounded to nearest even.
    F16,
    /// 8-bit codes with one f32 scale per position and key/value head.
    Q8,
}

impl KvFormat {
    /// Every format, in the order of ids.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Q8];

    /// Stable id, part of the run digest.
    pub fn id(self) -> u32 {
        match self {
            Self::F32 => 1,
            Self::F16 => 2,
            Self::Q8 => 3,
        }
    }

    pub(super) fn index(self) -> usize {
        self.id() as usize - 1
    }

    /// The name used in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8 => "q8",
        }
    }

    /// The format of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// The shape of what a position stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvShape {
    /// Layers.
    pub n_layers: usize,
    /// Key/value heads of a layer.
    pub n_kv_heads: usize,
    /// Elements of a key, and of a value.
    pub head_dim: usize,
}

impl KvShape {
    /// Key or value rows in a page; saturates, so that an absurd shape cannot be allocated.
    fn page_rows(&self) -> usize {
        let rows = self.n_layers.saturating_mul(self.n_kv_heads);
        rows.saturating_mul(2 * PAGE_LEN)
    }

    /// Bytes of one page.
    pub fn page_bytes(&self, format: KvFormat) -> u64 {
        let rows = self.page_rows() as u64;
        let row_bytes = match format {
            KvFormat::F32 => 4 * self.head_dim as u64,
            KvFormat::F16 => 2 * self.head_dim as u64,
            KvFormat::Q8 => self.head_dim as u64 + 4,
        };
        rows.saturating_mul(row_bytes)
    }
}

/// Where a run of rows begins: layer, head, keys or values.
#[derive(Clone, Copy)]
pub(super) struct Run {
    /// Layer index.
    pub layer: usize,
    /// Key/value head index.
    pub kv_head: usize,
    /// Values rather than keys.
    pub values: bool,
}

impl Run {
    fn first_row(self, shape: KvShape) -> usize {
        ((self.layer * shape.n_kv_heads + self.kv_head) * 2 + usize::from(self.values)) * PAGE_LEN
    }
}

/// The storage of a page.
pub(super) enum Page {
    /// f32 elements.
    F32(Vec<f32>),
    /// f16 bits.
    F16(Vec<u16>),
    /// 8-bit codes and the scale of each row.
    Q8 {
        /// `[rows, head_dim]`.
        codes: Vec<i8>,
        /// `[rows]`.
        scales: Vec<f32>,
    },
}

impl Page {
    /// A page of zeros; `None` when memory cannot be had.
    pub fn new(shape: KvShape, format: KvFormat) -> Option<Self> {
        let len = shape.page_rows().checked_mul(shape.head_dim)?;
        Some(match format {
            KvFormat::F32 => Self::F32(filled(0.0, len)?),
            KvFormat::F16 => Self::F16(filled(0, len)?),
            KvFormat::Q8 => Self::Q8 {
                codes: filled(0, len)?,
                scales: filled(0.0, shape.page_rows())?,
            },
        })
    }

    /// Takes over the content of another page of the same cache.
    pub fn copy_from(&mut self, other: &Self) {
        match (self, other) {
            (Self::F32(a), Self::F32(b)) => a.copy_from_slice(b),
            (Self::F16(a), Self::F16(b)) => a.copy_from_slice(b),
            (
                Self::Q8 { codes, scales },
                Self::Q8 {
                    codes: from,
                    scales: from_scales,
                },
            ) => {
                codes.copy_from_slice(from);
                scales.copy_from_slice(from_scales);
            }
            _ => debug_assert!(false, "pages of one cache have one format"),
        }
    }

    /// Stores one key or value, `x: [head_dim]`, in row `slot` of a run.
    pub fn write(&mut self, shape: KvShape, run: Run, slot: usize, x: &[f32]) {
        let row = run.first_row(shape) + slot;
        let range = row * shape.head_dim..(row + 1) * shape.head_dim;
        match self {
            Self::F32(elements) => elements[range].copy_from_slice(x),
            Self::F16(elements) => {
                for (element, v) in elements[range].iter_mut().zip(x) {
                    *element = f32_to_f16(*v);
                }
            }
            Self::Q8 { codes, scales } => scales[row] = quantize(&mut codes[range], x),
        }
    }

    /// `scores[i] = dot(query, key_(slot + i)) * scale` for positions of a page from `slot` on.
    pub fn scores(
        &self,
        backend: Backend,
        (shape, run, slot): (KvShape, Run, usize),
        scores: &mut [f32],
        query: &[f32],
        scale: f32,
    ) {
        let keys = self.rows(shape, run.first_row(shape) + slot, scores.len());
        attention::scores(backend, scores, query, keys, scale);
    }

    /// `out[d] += weights[i] * value_(slot + i)[d]` for positions of a page from `slot` on, in
    /// order.
    pub fn add_values(
        &self,
        (shape, run, slot): (KvShape, Run, usize),
        out: &mut [f32],
        weights: &[f32],
    ) {
        let values = self.rows(shape, run.first_row(shape) + slot, weights.len());
        attention::add_values(out, weights, values);
    }

    /// `n` stored rows from `first` on.
    fn rows(&self, shape: KvShape, first: usize, n: usize) -> StoredRows<'_> {
        let elements = first * shape.head_dim..(first + n) * shape.head_dim;
        match self {
            Self::F32(v) => StoredRows::F32(&v[elements]),
            Self::F16(v) => StoredRows::F16(&v[elements]),
            Self::Q8 { codes, scales } => StoredRows::Q8 {
                codes: &codes[elements],
                scales: &scales[first..first + n],
            },
        }
    }
}
