//! Attention of one query head over a run of stored positions: scores, then the weighted sum of
//! values (Vaswani et al., 2017). Keys and values are read as they are stored.
//!
//! One call per page of the cache, so that the loops over positions are compiled here, for speed.

use super::elementwise::{self, add_weighted_rows};
use super::{Backend, dot_rows, dot_rows_f16, dot_rows_i8};
use crate::tensor::half::f16_to_f32;

/// Rows of keys or values, `[n, head_dim]`, as the cache stores them.
#[derive(Clone, Copy, Debug)]
pub enum StoredRows<'a> {
    /// f32 elements.
    F32(&'a [f32]),
    /// f16 bits.
    F16(&'a [u16]),
    /// 8-bit codes and the scale of each row.
    Q8 {
        /// `[n, head_dim]`.
        codes: &'a [i8],
        /// `[n]`.
        scales: &'a [f32],
    },
}

/// Weights that are scaled at once for 8-bit rows; more rows are taken in parts.
const SCALED_AT_ONCE: usize = 64;

/// `scores[i] = dot(query, keys[i]) * scale`; with 8-bit keys, `dot * scale of the row * scale`.
///
/// `scores: [n]`, `query: [head_dim]`, which is not empty; rows beyond the shorter of the two are
/// left alone.
pub fn scores(
    backend: Backend,
    scores: &mut [f32],
    query: &[f32],
    keys: StoredRows<'_>,
    scale: f32,
) {
    let n_elements = match keys {
        StoredRows::F32(keys) => keys.len(),
        StoredRows::F16(keys) => keys.len(),
        StoredRows::Q8 { codes, .. } => codes.len(),
    };
    let n = scores.len();
    let scores = &mut scores[..n.min(n_elements / query.len())];
    let end = scores.len() * query.len();
    match keys {
        StoredRows::F32(keys) => dot_rows(backend, scores, query, &keys[..end]),
        StoredRows::F16(keys) => dot_rows_f16(backend, scores, query, &keys[..end]),
        StoredRows::Q8 { codes, scales } => {
            dot_rows_i8(backend, scores, query, &codes[..end]);
            for (score, key_scale) in scores.iter_mut().zip(scales) {
                *score *= key_scale;
            }
        }
    }
    elementwise::scale(scores, scale);
}

/// `out[d] += weights[i] * values[i][d]`, rows ascending for each `d`; with 8-bit values the
/// weight is first multiplied by the scale of the row.
///
/// `out: [head_dim]`, which is not empty, `weights: [n]`.
pub fn add_values(out: &mut [f32], weights: &[f32], values: StoredRows<'_>) {
    match values {
        StoredRows::F32(rows) => add_weighted_rows(out, weights, rows, |v| v),
        StoredRows::F16(rows) => add_weighted_rows(out, weights, rows, f16_to_f32),
        StoredRows::Q8 { codes, scales } => {
            let parts = weights.chunks(SCALED_AT_ONCE);
            let scales = scales.chunks(SCALED_AT_ONCE);
            let codes = codes.chunks(SCALED_AT_ONCE * out.len());
            for ((weights, scales), codes) in parts.zip(scales).zip(codes) {
                let mut scaled = [0.0; SCALED_AT_ONCE];
                for ((scaled, weight), scale) in scaled.iter_mut().zip(weights).zip(scales) {
                    *scaled = weight * scale;
                }
                add_weighted_rows(out, &scaled[..weights.len()], codes, f32::from);
            }
        }
    }
}
