//! Applying a stack to one row beside the base's products; the base stays as it is.
//!
//! Matrices: all low-rank deltas of the stack as one list of components (see
//! `kernels::low_rank`), then raw and sparse deltas in stack order. Vectors and embeddings: rows of
//! deltas are added in stack order. Each row's result depends on its own mix alone, and where no
//! delta is active not a bit changes.

use super::loaded::{DeltaValues, SparseDelta};
use super::stack::Stack;
use crate::kernels::Backend;
use crate::kernels::low_rank::{add_components, component_products};
use crate::package::schema::TensorRole;

/// `y += sum over the active deltas of weight * delta x`; `y: [d_out]`, `x: [d_in]`.
///
/// `products` is room for [`Stack::max_components`] numbers. Raw: `y[r] += weight * dot16(delta[r],
/// x)`. Sparse: `y[r] += weight * sum` of a row's entries in order of columns, from +0.0.
pub fn apply_matrix(
    backend: Backend,
    y: &mut [f32],
    x: &[f32],
    stack: &Stack,
    (role, layer): (TensorRole, Option<usize>),
    products: &mut [f32],
) {
    let active = stack.of_target(role, layer);
    let mut n = 0;
    for (low_rank, scales) in active.clone().filter_map(|d| match &d.delta.values {
        DeltaValues::LowRank(low_rank) => Some((low_rank, d.scales)),
        DeltaValues::Raw(_) | DeltaValues::Sparse(_) => None,
    }) {
        let t = &mut products[n..n + scales.len()];
        component_products(backend, t, low_rank.a.view(), scales, x);
        n += scales.len();
    }
    if n > 0 {
        let products = &products[..n];
        let parts = active.clone().scan(0, move |start, d| {
            let rank = d.scales.len();
            let t = &products[*start..*start + rank];
            *start += rank;
            Some(match &d.delta.values {
                DeltaValues::LowRank(low_rank) => Some((low_rank.b.view(), t)),
                DeltaValues::Raw(_) | DeltaValues::Sparse(_) => None,
            })
        });
        add_components(backend, y, parts.flatten());
    }
    for active in active {
        match &active.delta.values {
            DeltaValues::LowRank(_) => {}
            DeltaValues::Raw(values) => {
                for (row, y) in y.iter_mut().enumerate() {
                    let delta = values.view().part(row * x.len(), x.len());
                    *y += active.weight * delta.dot(backend, x);
                }
            }
            DeltaValues::Sparse(sparse) => apply_sparse(y, x, sparse, active.weight),
        }
    }
}

fn apply_sparse(y: &mut [f32], x: &[f32], sparse: &SparseDelta, weight: f32) {
    for (i, row) in sparse.rows.iter().enumerate() {
        let (columns, values) = sparse.entries(i);
        let mut sum = 0.0;
        for (column, value) in columns.iter().zip(values) {
            sum += value * x[*column as usize];
        }
        y[*row as usize] += weight * sum;
    }
}

/// Adds the active deltas of row `row` of a tensor: of a vector (`row` 0) or an embedding.
pub fn apply_row(
    out: &mut [f32],
    row: usize,
    stack: &Stack,
    (role, layer): (TensorRole, Option<usize>),
) {
    for active in stack.of_target(role, layer) {
        active.delta.add_row(out, row, active.weight);
    }
}

/// Whether a stack changes this tensor now.
pub fn touches(stack: &Stack, (role, layer): (TensorRole, Option<usize>)) -> bool {
    stack.of_target(role, layer).next().is_some()
}
