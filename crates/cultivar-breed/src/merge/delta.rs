//! The delta of one tensor of a new adapter, and how it becomes parts of a package.

use super::truncate::Loss;
use crate::error::{BreedError, BreedRule};
use crate::linear_algebra::{Matrix, qr};
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::adapter::Part;
use cultivar_core::memory::{filled, reserved};
use cultivar_core::package::TensorPlan;
use cultivar_core::package::limits::RANK_MAX;
use cultivar_core::tensor::{Format, TensorRef, codec};

/// What is added to one tensor of the base.
#[derive(Clone, Debug)]
pub enum NewDelta {
    /// `lora_a [rank, d_in]` and `lora_b [d_out, rank]` row by row, one scale per component.
    LowRank {
        /// Row after row.
        a: Vec<f32>,
        /// Row after row.
        b: Vec<f32>,
        /// One per component.
        scales: Vec<f32>,
        /// How both factors are stored: `f16` only where every value is one, or chosen. With
        /// `q8_0`, `lora_b` is stored with rows and columns exchanged.
        formats: [&'static str; 2],
    },
    /// Every element, row after row.
    Raw(Vec<f32>),
    /// Ascending flat indices and their values; not empty.
    Sparse(Vec<u32>, Vec<f32>),
}

/// The parts of a new adapter: tensors with their bytes.
pub type NewTensors = Vec<(TensorPlan, Vec<u8>)>;

impl NewDelta {
    /// Whether it changes nothing and is better left out.
    pub fn is_empty(&self) -> bool {
        match self {
            NewDelta::LowRank { scales, .. } => scales.is_empty(),
            NewDelta::Raw(values) => values.iter().all(|value| *value == 0.0),
            NewDelta::Sparse(indices, _) => indices.is_empty(),
        }
    }

    /// Stores low-rank factors in another format, f16 where rows are no whole blocks, and says
    /// what that loses; nothing of the other kinds.
    pub fn store_as(
        &mut self,
        format: &'static str,
        d_out: usize,
        d_in: usize,
    ) -> Result<Loss, BreedError> {
        let NewDelta::LowRank {
            a,
            b,
            scales,
            formats,
        } = self
        else {
            return Ok(Loss::default());
        };
        let memory = || BreedError::memory("factors");
        let rank = scales.len();
        let fits = |n: usize| format_of(format).map(|f| n.is_multiple_of(f.block_len));
        let of_a = if fits(d_in)? { format } else { "f16" };
        let of_b = if fits(d_out)? { format } else { "f16" };
        *formats = [of_a, of_b];
        let (rounded_a, columns) = (rounded(a, of_a, d_in)?, transposed(b, rank));
        let rounded_b = rounded(&columns, of_b, d_out)?;
        // Difference and whole as products of factors, so that their norms need no dense matrix.
        let scale = |j: usize| f64::from(scales.get(j % rank.max(1)).copied().unwrap_or(0.0));
        let left = |row: usize, j: usize| match j < rank {
            true => scale(j) * f64::from(columns[j * d_out + row]),
            false => -scale(j) * f64::from(rounded_b[(j - rank) * d_out + row]),
        };
        let right = |row: usize, j: usize| match j < rank {
            true => f64::from(a[j * d_in + row]),
            false => f64::from(rounded_a[(j - rank) * d_in + row]),
        };
        let norm = |n: usize| {
            let left = qr(&Matrix::from_fn(d_out, n, left)?)?.r;
            let right = qr(&Matrix::from_fn(d_in, n, right)?)?.r;
            Some(left.times_transposed(&right)?.norm())
        };
        let (whole, lost) = (
            norm(rank).ok_or_else(memory)?,
            norm(2 * rank).ok_or_else(memory)?,
        );
        Ok(Loss {
            norm_squared: whole * whole,
            lost_squared: lost * lost,
        })
    }

    /// Appends the parts of this delta of `target`, whose shape is `shape`.
    pub fn put(
        self,
        tensors: &mut NewTensors,
        target: &str,
        shape: &[u64],
    ) -> Result<(), BreedError> {
        let mut put = |part: Part, format: &str, shape: &[u64], values: &[f32]| {
            tensors.push(stored(part.of(target), format, shape, values)?);
            Ok::<(), BreedError>(())
        };
        match self {
            NewDelta::LowRank {
                a,
                b,
                scales,
                formats,
            } => {
                let rank = scales.len() as u64;
                let [d_out, d_in] = *shape else {
                    return Err(BreedError::new(BreedRule::Parameter, target));
                };
                if rank > RANK_MAX {
                    return Err(BreedError::new(BreedRule::TooManyComponents, target));
                }
                let [a_format, b_format] = formats;
                put(Part::LoraA, a_format, &[rank, d_in], &a)?;
                match b_format {
                    "q8_0" => {
                        let columns = transposed(&b, scales.len());
                        put(Part::LoraBt, b_format, &[rank, d_out], &columns)?;
                    }
                    _ => put(Part::LoraB, b_format, &[d_out, rank], &b)?,
                }
                put(Part::Scales, "f32", &[rank], &scales)
            }
            NewDelta::Raw(values) => put(Part::Delta, "f32", shape, &values),
            NewDelta::Sparse(indices, values) => {
                let n = [values.len() as u64];
                put(Part::Values, "f32", &n, &values)?;
                let bytes = indices.iter().flat_map(|idx| idx.to_le_bytes()).collect();
                let plan = TensorPlan {
                    name: Part::Indices.of(target),
                    format: format_of("u32")?,
                    shape: n.to_vec(),
                };
                tensors.push((plan, bytes));
                Ok(())
            }
        }
    }
}

/// Rows of `n_columns` turned into columns.
fn transposed(values: &[f32], n_columns: usize) -> Vec<f32> {
    let column = |j: usize| values.iter().skip(j).step_by(n_columns.max(1)).copied();
    (0..n_columns).flat_map(column).collect()
}

/// The format of this name.
pub fn format_of(name: &str) -> Result<&'static Format, BreedError> {
    Format::by_name(name).ok_or_else(|| BreedError::new(BreedRule::Format, name))
}

/// Rows of `width` values as this format gives them back.
fn rounded(values: &[f32], format: &str, width: usize) -> Result<Vec<f32>, BreedError> {
    let n_rows = values.len() / width.max(1);
    let shape = [n_rows as u64, width as u64];
    let (plan, bytes) = stored(String::from("factors"), format, &shape, values)?;
    let view = TensorRef {
        format: plan.format,
        d_out: n_rows,
        d_in: width,
        bytes: &bytes,
    };
    let mut back = filled(0.0, values.len()).ok_or_else(|| BreedError::memory("factors"))?;
    for (row, out) in back.chunks_exact_mut(width.max(1)).enumerate() {
        codec::decode_row(out, view, row);
    }
    Ok(back)
}

/// Values as a tensor of this format and shape.
fn stored(
    name: String,
    format: &str,
    shape: &[u64],
    values: &[f32],
) -> Result<(TensorPlan, Vec<u8>), BreedError> {
    let format = format_of(format)?;
    let (d_in, outer) = shape.split_last().unwrap_or((&0, &[]));
    let d_out: u64 = outer.iter().product();
    let n_bytes = format.stored_bytes(d_out, *d_in).unwrap_or(u64::MAX);
    let n_bytes = usize::try_from(n_bytes).unwrap_or(usize::MAX);
    let mut bytes = filled(0, n_bytes).ok_or_else(|| BreedError::memory(&name))?;
    codec::encode_rows(&mut bytes, format, values, d_out as usize, *d_in as usize)
        .map_err(|_| BreedError::new(BreedRule::NotFinite, &name))?;
    let plan = TensorPlan {
        name,
        format,
        shape: shape.to_vec(),
    };
    Ok((plan, bytes))
}

/// Entries of several sparse deltas of one tensor in stack order, added where they meet.
pub fn sparse_sum(parts: &[(&[u32], &[f32], f32)], target: &str) -> Result<NewDelta, BreedError> {
    let n = parts.iter().map(|(indices, ..)| indices.len()).sum();
    let memory = || BreedError::memory(target);
    let mut entries: Vec<(u32, f32)> = reserved(n).ok_or_else(memory)?;
    for (indices, values, weight) in parts {
        let pairs = indices.iter().zip(*values);
        entries.extend(pairs.map(|(idx, value)| (*idx, weight * value)));
    }
    // Stable: entries of one index stay in stack order.
    cultivar_core::sorting::sort_by_key(&mut entries, |(idx, _)| *idx);
    let mut indices: Vec<u32> = reserved(n).ok_or_else(memory)?;
    let mut values: Vec<f32> = reserved(n).ok_or_else(memory)?;
    for (idx, value) in entries {
        match (indices.last(), values.last_mut()) {
            (Some(last), Some(sum)) if *last == idx => *sum += value,
            _ => {
                indices.push(idx);
                values.push(value);
            }
        }
    }
    Ok(NewDelta::Sparse(indices, values))
}
