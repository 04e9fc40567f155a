//! An adapter in the form that is applied: verified, fitted to its base, decoded once.
//!
//! `lora_a` stays row by row, `lora_b` becomes panels of sixteen rows, so that both are read front
//! to back. 16-bit floats stay where rows are whole groups of 16, raised so that widening them is
//! cheap (`half::raise`); all else becomes f32, exactly. Nothing refers to the file any more, and
//! nothing here changes once it is made.

use super::binding::BaseFit;
use super::delta::{Delta, DeltaKind};
use super::stack_error::{StackError, StackRule};
use super::whole::Adapter;
use crate::digest::Digest;
use crate::kernels::PARTIAL_SUMS;
use crate::kernels::low_rank::{Factors, PANEL_ROWS, panel_at, panel_len};
use crate::memory::{filled, reserved};
use crate::package::schema::{TensorRole, expected_tensors};
use crate::package::{Entry, Head, Metadata};
use crate::tensor::{Dtype, Format, TensorRef, codec, half};
use alloc::string::String;
use alloc::vec::Vec;

/// Values as they are held.
#[derive(Clone, Debug)]
pub enum Values {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 16-bit floats raised by `half::raise`, and its unit.
    F16(Vec<u16>, f32),
}

impl Values {
    /// The view that kernels take.
    #[inline]
    pub fn view(&self) -> Factors<'_> {
        match self {
            Values::F32(values) => Factors::F32(values),
            Values::F16(bits, unit) => Factors::F16(bits, *unit),
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Values::F32(values) => values.len() as u64 * 4,
            Values::F16(bits, _) => bits.len() as u64 * 2,
        }
    }
}

/// A low-rank delta: `sum over j of scales[j] * b[:, j] a[j, :]`.
#[derive(Clone, Debug)]
pub struct LowRankDelta {
    /// `[rank, d_in]`
    pub a: Values,
    /// `[d_out, rank]` in panels: `[d_out / 16][rank][16]`.
    pub b: Values,
    /// `[rank]`
    pub scales: Vec<f32>,
    /// How `a` and `b` are stored in the package; q8_0 by components.
    pub formats: [&'static Format; 2],
}

/// A sparse delta, row by row: only rows that have entries are listed.
#[derive(Clone, Debug)]
pub struct SparseDelta {
    /// Rows with entries, ascending.
    pub rows: Vec<u32>,
    /// `[rows + 1]`: where the entries of each row begin.
    pub starts: Vec<u32>,
    /// Columns of the entries, ascending within a row.
    pub columns: Vec<u32>,
    /// Their values.
    pub values: Vec<f32>,
}

impl SparseDelta {
    /// The entries of the `i`th listed row: columns and values.
    #[inline]
    pub fn entries(&self, i: usize) -> (&[u32], &[f32]) {
        let bound = |i: usize| self.starts.get(i).map_or(0, |start| *start as usize);
        let range = bound(i)..bound(i + 1);
        let columns = self.columns.get(range.clone()).unwrap_or(&[]);
        (columns, self.values.get(range).unwrap_or(&[]))
    }
}

/// What is added to one tensor.
#[derive(Clone, Debug)]
pub enum DeltaValues {
    /// A sum of scaled outer products.
    LowRank(LowRankDelta),
    /// A dense delta, `[d_out, d_in]`.
    Raw(Values),
    /// Some elements.
    Sparse(SparseDelta),
}

/// The delta of one tensor of the base.
#[derive(Clone, Debug)]
pub struct LoadedDelta {
    /// The tensor's name.
    pub target: String,
    /// What the tensor does.
    pub role: TensorRole,
    /// Its layer, if it has one.
    pub layer: Option<usize>,
    /// Rows; 1 for a vector.
    pub d_out: usize,
    /// Columns.
    pub d_in: usize,
    /// What is added.
    pub values: DeltaValues,
}

impl LoadedDelta {
    /// Components of a low-rank delta; 0 for the other kinds.
    pub fn rank(&self) -> usize {
        match &self.values {
            DeltaValues::LowRank(low_rank) => low_rank.scales.len(),
            DeltaValues::Raw(_) | DeltaValues::Sparse(_) => 0,
        }
    }

    /// `out = out + weight * delta[row, :]`; `out: [d_in]`.
    ///
    /// Low-rank: component by component, `(weight * scale_j) * b[row, j]` times `a[j, :]`.
    pub fn add_row(&self, out: &mut [f32], row: usize, weight: f32) {
        debug_assert!(row < self.d_out && out.len() == self.d_in);
        match &self.values {
            DeltaValues::LowRank(low_rank) => {
                let rank = low_rank.scales.len();
                let (a, b) = (low_rank.a.view(), low_rank.b.view());
                for (j, scale) in low_rank.scales.iter().enumerate() {
                    let factor = (weight * scale) * b.get(panel_at(row, j, rank));
                    a.part(j * self.d_in, self.d_in).add_to(out, factor);
                }
            }
            DeltaValues::Raw(values) => {
                let values = values.view().part(row * self.d_in, self.d_in);
                values.add_to(out, weight);
            }
            DeltaValues::Sparse(sparse) => {
                let Ok(i) = sparse.rows.binary_search(&(row as u32)) else {
                    return;
                };
                let (columns, values) = sparse.entries(i);
                for (column, value) in columns.iter().zip(values) {
                    if let Some(out) = out.get_mut(*column as usize) {
                        *out += weight * value;
                    }
                }
            }
        }
    }

    fn bytes(&self) -> u64 {
        match &self.values {
            DeltaValues::LowRank(low_rank) => {
                low_rank.a.bytes() + low_rank.b.bytes() + low_rank.scales.len() as u64 * 4
            }
            DeltaValues::Raw(values) => values.bytes(),
            DeltaValues::Sparse(sparse) => {
                (sparse.rows.len() + sparse.starts.len() + 2 * sparse.columns.len()) as u64 * 4
            }
        }
    }
}

/// An adapter that may be put on a stack.
#[derive(Clone, Debug)]
pub struct LoadedAdapter {
    /// Its `weights` identity.
    pub weights: Digest,
    /// Name, licence, source, notes: a stranger's texts.
    pub metadata: Metadata,
    /// How well the base suits it.
    pub fit: BaseFit,
    /// What is added to which tensor, ascending by name.
    pub deltas: Vec<LoadedDelta>,
    /// Bytes held.
    pub bytes: u64,
}

impl LoadedAdapter {
    /// Verifies an adapter, compares it with its base and decodes it. Changes nothing else.
    ///
    /// `bytes_max` bounds what it may take.
    pub fn new(
        adapter: &Adapter<'_>,
        base: &Head,
        bytes_max: u64,
    ) -> Result<LoadedAdapter, StackError> {
        adapter.verify_tensors()?;
        let fit = adapter.check_base(base)?;
        let needed = decoded_bytes(adapter);
        if needed > bytes_max {
            return Err(StackError::numbers(StackRule::TooLarge, needed, bytes_max));
        }
        let mut deltas = Vec::new();
        for delta in &adapter.head.deltas {
            let loaded = load_delta(adapter, base, delta)?;
            deltas.push(loaded);
        }
        Ok(LoadedAdapter {
            weights: adapter.head.weights,
            metadata: adapter.head.metadata.clone(),
            fit,
            bytes: deltas.iter().map(LoadedDelta::bytes).sum(),
            deltas,
        })
    }
}

/// About the bytes that the decoded tensors take, before any of them is.
fn decoded_bytes(adapter: &Adapter<'_>) -> u64 {
    let bytes = |entry: &Entry| {
        let is_half = entry.format.dtype == Dtype::F16 && entry.d_in().is_multiple_of(PARTIAL_SUMS);
        let element_bytes = if is_half { 2 } else { 4 };
        entry.n_elements().saturating_mul(element_bytes)
    };
    let entries = adapter.head.directory.entries();
    entries.iter().map(bytes).fold(0, u64::saturating_add)
}

fn load_delta(
    adapter: &Adapter<'_>,
    base: &Head,
    delta: &Delta,
) -> Result<LoadedDelta, StackError> {
    let memory = |n_bytes: u64| StackError::numbers(StackRule::OutOfMemory, n_bytes, 0);
    // `check_base` has found the target; a configuration that does not run has no roles.
    let expected = expected_tensors(&base.config).find(|t| t.name.as_str() == delta.target);
    let entry = base.directory.get(&delta.target);
    let (Some(expected), Some(entry)) = (expected, entry) else {
        return Err(StackError::named(StackRule::NotApplicable, &delta.target));
    };
    let (d_out, d_in) = (entry.d_out(), entry.d_in());
    let part = |idx: usize| {
        let missing = || StackError::named(StackRule::NotApplicable, &delta.target);
        adapter.tensor(idx).ok_or_else(missing)
    };
    let values = match delta.kind {
        DeltaKind::Raw { delta } => {
            let tensor = part(delta)?;
            DeltaValues::Raw(decode(tensor).ok_or_else(|| memory(4 * d_out as u64 * d_in as u64))?)
        }
        DeltaKind::Sparse { indices, values } => {
            let (indices, values) = (part(indices)?, part(values)?);
            let n_bytes = values.d_in as u64 * 16;
            DeltaValues::Sparse(
                decode_sparse(indices, values, d_in).ok_or_else(|| memory(n_bytes))?,
            )
        }
        DeltaKind::LowRank {
            lora_a,
            lora_b,
            is_transposed,
            scales,
            rank,
        } => {
            let n_bytes = (d_out + d_in) as u64 * rank as u64 * 4;
            let (lora_a, lora_b) = (part(lora_a)?, part(lora_b)?);
            let a = decode(lora_a).ok_or_else(|| memory(n_bytes))?;
            let b = decode_f32(lora_b).and_then(|b| match is_transposed {
                true => panels(d_out, rank, |row, j| b.get(j * d_out + row).copied()),
                false => panels(d_out, rank, |row, j| b.get(row * rank + j).copied()),
            });
            let b = b.map(|b| held(b, lora_b.format.dtype));
            let mut held = filled(0.0, rank).ok_or_else(|| memory(n_bytes))?;
            codec::decode_row(&mut held, part(scales)?, 0);
            DeltaValues::LowRank(LowRankDelta {
                a,
                b: b.ok_or_else(|| memory(n_bytes))?,
                scales: held,
                formats: [lora_a.format, lora_b.format],
            })
        }
    };
    Ok(LoadedDelta {
        target: delta.target.clone(),
        role: expected.role,
        layer: expected.layer,
        d_out,
        d_in,
        values,
    })
}

/// All values of a tensor, row by row.
fn decode(tensor: TensorRef<'_>) -> Option<Values> {
    let values = decode_f32(tensor)?;
    // Products take 16-bit floats by whole groups.
    Some(match tensor.d_in % PARTIAL_SUMS {
        0 => held(values, tensor.format.dtype),
        _ => Values::F32(values),
    })
}

/// Values as they are held: stored as 16-bit floats they stay such, if all are finite.
fn held(values: Vec<f32>, dtype: Dtype) -> Values {
    let raised = (dtype == Dtype::F16)
        .then(|| half::raise(&values))
        .flatten();
    raised.map_or(Values::F32(values), |(bits, unit)| Values::F16(bits, unit))
}

/// All values of a tensor as f32, row by row.
fn decode_f32(tensor: TensorRef<'_>) -> Option<Vec<f32>> {
    let mut values = filled(0.0, tensor.d_out.checked_mul(tensor.d_in)?)?;
    for (row, out) in values.chunks_exact_mut(tensor.d_in.max(1)).enumerate() {
        codec::decode_row(out, tensor, row);
    }
    Some(values)
}

/// `b(row, component)` arranged as `[d_out / 16][rank][16]`, zeros behind the last row.
fn panels(d_out: usize, rank: usize, b: impl Fn(usize, usize) -> Option<f32>) -> Option<Vec<f32>> {
    let mut out = filled(0.0, panel_len(d_out, rank))?;
    for (panel, out) in out.chunks_exact_mut(PANEL_ROWS * rank).enumerate() {
        let first = panel * PANEL_ROWS;
        for (j, lanes) in out.chunks_exact_mut(PANEL_ROWS).enumerate() {
            for (row, lane) in (first..d_out).zip(lanes) {
                *lane = b(row, j)?;
            }
        }
    }
    Some(out)
}

fn decode_sparse(
    indices: TensorRef<'_>,
    values: TensorRef<'_>,
    d_in: usize,
) -> Option<SparseDelta> {
    let n = values.d_in;
    let (indices, _) = indices.bytes.as_chunks::<4>();
    let mut decoded = filled(0.0, n)?;
    codec::decode_row(&mut decoded, values, 0);
    let mut columns = reserved(n)?;
    let (mut rows, mut starts) = (Vec::new(), Vec::new());
    for (i, index) in indices.iter().enumerate() {
        let index = u32::from_le_bytes(*index) as usize;
        let row = (index / d_in) as u32;
        if rows.last() != Some(&row) {
            rows.try_reserve(1).ok()?;
            starts.try_reserve(2).ok()?;
            rows.push(row);
            starts.push(i as u32);
        }
        columns.push((index % d_in) as u32);
    }
    starts.push(n as u32);
    Some(SparseDelta {
        rows,
        starts,
        columns,
        values: decoded,
    })
}
