//! A matrix of f64, column after column.

use alloc::vec::Vec;
use cultivar_core::math::sqrt_f64;
use cultivar_core::memory::filled;

/// `[n_rows, n_columns]`, columns one after another.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    n_rows: usize,
    n_columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// All zero; `None` if memory cannot be had.
    pub fn zeros(n_rows: usize, n_columns: usize) -> Option<Matrix> {
        Some(Matrix {
            n_rows,
            n_columns,
            values: filled(0.0, n_rows.checked_mul(n_columns)?)?,
        })
    }

    /// Element (`row`, `column`) from a function; `None` if memory cannot be had.
    pub fn from_fn(
        n_rows: usize,
        n_columns: usize,
        mut value: impl FnMut(usize, usize) -> f64,
    ) -> Option<Matrix> {
        let mut matrix = Matrix::zeros(n_rows, n_columns)?;
        for column in 0..n_columns {
            for (row, out) in matrix.column_mut(column).iter_mut().enumerate() {
                *out = value(row, column);
            }
        }
        Some(matrix)
    }

    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Columns.
    pub fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// A column.
    ///
    /// # Panics
    /// When there is none.
    pub fn column(&self, idx: usize) -> &[f64] {
        &self.values[idx * self.n_rows..(idx + 1) * self.n_rows]
    }

    /// A column to be written.
    ///
    /// # Panics
    /// When there is none.
    pub fn column_mut(&mut self, idx: usize) -> &mut [f64] {
        &mut self.values[idx * self.n_rows..(idx + 1) * self.n_rows]
    }

    /// Two columns to be written, `p` before `q`.
    ///
    /// # Panics
    /// When they are not two columns in that order.
    pub fn two_columns(&mut self, p: usize, q: usize) -> (&mut [f64], &mut [f64]) {
        let (head, tail) = self.values.split_at_mut(q * self.n_rows);
        let start = p * self.n_rows;
        (
            &mut head[start..start + self.n_rows],
            &mut tail[..self.n_rows],
        )
    }

    /// Element (`row`, `column`).
    ///
    /// # Panics
    /// When there is none.
    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.column(column)[row]
    }

    /// Rows and columns exchanged.
    pub fn transposed(&self) -> Option<Matrix> {
        Matrix::from_fn(self.n_columns, self.n_rows, |row, column| {
            self.at(column, row)
        })
    }

    /// The first `n` columns, or all.
    pub fn first_columns(mut self, n: usize) -> Matrix {
        self.n_columns = self.n_columns.min(n);
        self.values.truncate(self.n_columns * self.n_rows);
        self
    }

    /// `self * other`, each column a sum of columns in their order.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn times(&self, other: &Matrix) -> Option<Matrix> {
        assert_eq!(self.n_columns, other.n_rows, "times: shapes");
        let mut out = Matrix::zeros(self.n_rows, other.n_columns)?;
        for column in 0..other.n_columns {
            for (k, factor) in other.column(column).iter().enumerate() {
                add_scaled(out.column_mut(column), self.column(k), *factor);
            }
        }
        Some(out)
    }

    /// `self^T * other`.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn transpose_times(&self, other: &Matrix) -> Option<Matrix> {
        assert_eq!(self.n_rows, other.n_rows, "transpose_times: shapes");
        Matrix::from_fn(self.n_columns, other.n_columns, |row, column| {
            dot(self.column(row), other.column(column))
        })
    }

    /// `self * other^T`, one column of each after another.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn times_transposed(&self, other: &Matrix) -> Option<Matrix> {
        assert_eq!(self.n_columns, other.n_columns, "times_transposed: shapes");
        let mut out = Matrix::zeros(self.n_rows, other.n_rows)?;
        for k in 0..self.n_columns {
            for (column, factor) in other.column(k).iter().enumerate() {
                add_scaled(out.column_mut(column), self.column(k), *factor);
            }
        }
        Some(out)
    }

    /// The Frobenius norm.
    pub fn norm(&self) -> f64 {
        norm(&self.values)
    }
}

/// Sum of products in the order of the elements, as eight sums that are added at the end.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a8, a_rest), (b8, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a8.iter().zip(b8) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    for (sum, (a, b)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *sum += a * b;
    }
    sums.iter().fold(0.0, |total, sum| total + sum)
}

/// `out += factor * x`.
pub(super) fn add_scaled(out: &mut [f64], x: &[f64], factor: f64) {
    for (out, x) in out.iter_mut().zip(x) {
        *out += factor * x;
    }
}

/// The Euclidean norm.
pub(super) fn norm(values: &[f64]) -> f64 {
    sqrt_f64(dot(values, values))
}
