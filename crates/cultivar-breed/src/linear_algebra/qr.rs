//! QR by modified Gram-Schmidt, each column made orthogonal twice ("twice is enough", Giraud,
//! Langou, Rozložník, 2005). Columns that add nothing get no direction of their own.

use super::matrix::{Matrix, add_scaled, dot, norm};

/// What is left of a column, as a part of its norm, below which it counts as dependent.
const DEPENDENT: f64 = 1e-13;

/// `matrix = q r`: `q [n_rows, k]` has orthonormal columns, `r [k, n_columns]`; `k` is the rank.
#[derive(Clone, Debug)]
pub struct Qr {
    /// Orthonormal columns.
    pub q: Matrix,
    /// Coefficients.
    pub r: Matrix,
}

/// Factors a matrix; `None` if memory cannot be had.
pub fn qr(matrix: &Matrix) -> Option<Qr> {
    let (n_rows, n_columns) = (matrix.n_rows(), matrix.n_columns());
    let most = n_rows.min(n_columns);
    let mut q = Matrix::zeros(n_rows, most)?;
    let mut r = Matrix::zeros(most, n_columns)?;
    let mut rank = 0;
    let mut v = cultivar_core::memory::filled(0.0, n_rows)?;
    for column in 0..n_columns {
        v.copy_from_slice(matrix.column(column));
        let before = norm(&v);
        for _ in 0..2 {
            for k in 0..rank {
                let along = dot(q.column(k), &v);
                add_scaled(&mut v, q.column(k), -along);
                if let Some(r) = r.column_mut(column).get_mut(k) {
                    *r += along;
                }
            }
        }
        let left = norm(&v);
        if rank == most || left <= DEPENDENT * before || left == 0.0 {
            continue;
        }
        for (q, v) in q.column_mut(rank).iter_mut().zip(&v) {
            *q = v / left;
        }
        if let Some(r) = r.column_mut(column).get_mut(rank) {
            *r = left;
        }
        rank += 1;
    }
    let r = Matrix::from_fn(rank, n_columns, |row, column| r.at(row, column))?;
    let q = q.first_columns(rank);
    Some(Qr { q, r })
}
