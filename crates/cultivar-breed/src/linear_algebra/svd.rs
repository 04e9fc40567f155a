//! Singular values by one-sided Jacobi rotations (Hestenes, 1958), of low-rank products by the QR
//! of their factors, and of large dense matrices by a random sketch with a fixed seed (Halko,
//! Martinsson, Tropp, 2011).

use super::matrix::{Matrix, dot, norm};
use super::qr::qr;
use alloc::vec::Vec;
use cultivar_core::math::sqrt_f64;
use cultivar_core::rng::{self, Purpose};
use cultivar_core::sorting::sort_by;

/// Columns count as orthogonal when their product is below this part of their norms.
const ORTHOGONAL: f64 = 1e-15;

/// Sweeps over all pairs at most; ten is usual.
const SWEEPS_MAX: usize = 60;

/// Directions of a sketch beyond those wanted.
const OVERSAMPLING: usize = 8;

/// Power iterations of a sketch.
const POWER_ITERATIONS: usize = 2;

/// `matrix = u diag(sigma) v^T`, `sigma` descending and above 0.
#[derive(Clone, Debug)]
pub struct Svd {
    /// `[n_rows, k]`, orthonormal columns.
    pub u: Matrix,
    /// `[k]`
    pub sigma: Vec<f64>,
    /// `[n_columns, k]`, orthonormal columns.
    pub v: Matrix,
}

impl Svd {
    /// The part with the `n` largest singular values.
    pub fn truncated(mut self, n: usize) -> Svd {
        self.sigma.truncate(n);
        Svd {
            u: self.u.first_columns(n),
            sigma: self.sigma,
            v: self.v.first_columns(n),
        }
    }
}

/// All singular values of a small matrix; `None` if memory cannot be had.
pub fn svd(matrix: &Matrix) -> Option<Svd> {
    if matrix.n_rows() < matrix.n_columns() {
        let Svd { u, sigma, v } = tall_svd(matrix.transposed()?)?;
        return Some(Svd { u: v, sigma, v: u });
    }
    tall_svd(matrix.clone())
}

fn tall_svd(mut a: Matrix) -> Option<Svd> {
    let n = a.n_columns();
    let mut v = Matrix::from_fn(n, n, |row, column| f64::from(u8::from(row == column)))?;
    for _ in 0..SWEEPS_MAX {
        let mut is_done = true;
        for p in 0..n {
            for q in p + 1..n {
                is_done &= !rotate(&mut a, &mut v, p, q);
            }
        }
        if is_done {
            break;
        }
    }
    let norms: Vec<f64> = (0..n).map(|column| norm(a.column(column))).collect();
    let larger = |max: f64, norm: &f64| if *norm > max { *norm } else { max };
    let largest = norms.iter().fold(0.0, larger);
    let mut order: Vec<usize> = (0..n).filter(|i| norms[*i] > largest * 1e-15).collect();
    sort_by(&mut order, |a, b| norms[*b].total_cmp(&norms[*a]));
    let sigma: Vec<f64> = order.iter().map(|i| norms[*i]).collect();
    Some(Svd {
        u: Matrix::from_fn(a.n_rows(), order.len(), |row, i| {
            a.at(row, order[i]) / sigma[i]
        })?,
        v: Matrix::from_fn(n, order.len(), |row, i| v.at(row, order[i]))?,
        sigma,
    })
}

/// Turns columns `p` and `q` until they are orthogonal; whether that was needed.
fn rotate(a: &mut Matrix, v: &mut Matrix, p: usize, q: usize) -> bool {
    let (x, y) = a.two_columns(p, q);
    let (xx, yy, xy) = (dot(x, x), dot(y, y), dot(x, y));
    if xy == 0.0 || xy.abs() <= ORTHOGONAL * sqrt_f64(xx) * sqrt_f64(yy) {
        return false;
    }
    let tau = (yy - xx) / (2.0 * xy);
    let t = 1.0 / (tau.abs() + sqrt_f64(1.0 + tau * tau));
    let t = if tau < 0.0 { -t } else { t };
    let cosine = 1.0 / sqrt_f64(1.0 + t * t);
    let sine = cosine * t;
    turn(x, y, cosine, sine);
    let (x, y) = v.two_columns(p, q);
    turn(x, y, cosine, sine);
    true
}

fn turn(x: &mut [f64], y: &mut [f64], cosine: f64, sine: f64) {
    for (x, y) in x.iter_mut().zip(y) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
}

/// The singular values of `b a^T`, `b [m, r]`, `a [n, r]`, through the small core between their QR
/// factors.
pub fn low_rank_svd(b: &Matrix, a: &Matrix) -> Option<Svd> {
    let (b, a) = (qr(b)?, qr(a)?);
    let core = svd(&b.r.times_transposed(&a.r)?)?;
    Some(Svd {
        u: b.q.times(&core.u)?,
        v: a.q.times(&core.v)?,
        sigma: core.sigma,
    })
}

/// The `rank` largest singular values of a dense matrix, by a sketch whose directions come from
/// `seed`; exact where the sketch spans the matrix.
pub fn randomized_svd(matrix: &Matrix, rank: usize, seed: u64) -> Option<Svd> {
    let (n_rows, n_columns) = (matrix.n_rows(), matrix.n_columns());
    let width = rank.saturating_add(OVERSAMPLING).min(n_rows).min(n_columns);
    let draw = |row: usize, column: usize| {
        let [high, low, ..] = rng::draw(seed, Purpose::Sketch, (column * n_columns + row) as u64);
        rng::unit_f64(high, low) * 2.0 - 1.0
    };
    let directions = Matrix::from_fn(n_columns, width, draw)?;
    let mut q = qr(&matrix.times(&directions)?)?.q;
    for _ in 0..POWER_ITERATIONS {
        let back = qr(&matrix.transpose_times(&q)?)?.q;
        q = qr(&matrix.times(&back)?)?.q;
    }
    // matrix ~ q (matrix^T q)^T.
    let projected = matrix.transpose_times(&q)?;
    Some(low_rank_svd(&q, &projected)?.truncated(rank))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(n_rows: usize, n_columns: usize, seed: u64) -> Matrix {
        Matrix::from_fn(n_rows, n_columns, |row, column| {
            let index = (row * 1000 + column) as u64;
            let [high, low, ..] = rng::draw(seed, Purpose::TestWeights, index);
            rng::unit_f64(high, low) * 2.0 - 1.0
        })
        .unwrap()
    }

    fn composed(of: &Svd) -> Matrix {
        let scaled = Matrix::from_fn(of.u.n_rows(), of.sigma.len(), |row, k| {
            of.u.at(row, k) * of.sigma[k]
        });
        scaled.unwrap().times_transposed(&of.v).unwrap()
    }

    fn difference(a: &Matrix, b: &Matrix) -> f64 {
        let difference = |row, column| a.at(row, column) - b.at(row, column);
        Matrix::from_fn(a.n_rows(), a.n_columns(), difference)
            .unwrap()
            .norm()
    }

    fn check(matrix: &Matrix, of: &Svd) {
        let n = matrix.norm() + 1e-300;
        assert!(difference(matrix, &composed(of)) / n < 1e-12);
        assert!(of.sigma.array_windows().all(|[a, b]| a >= b));
        for (side, name) in [(&of.u, "u"), (&of.v, "v")] {
            let product = side.transpose_times(side).unwrap();
            let k = product.n_rows();
            let identity = Matrix::from_fn(k, k, |r, c| f64::from(u8::from(r == c))).unwrap();
            assert!(difference(&product, &identity) < 1e-11, "{name}");
        }
    }

    #[test]
    fn singular_values_of_every_shape() {
        for (n_rows, n_columns) in [(1, 1), (5, 3), (3, 5), (8, 8), (40, 17), (7, 1)] {
            let matrix = random(n_rows, n_columns, 3);
            let of = svd(&matrix).unwrap();
            assert_eq!(of.sigma.len(), n_rows.min(n_columns));
            check(&matrix, &of);
        }
        let zero = Matrix::zeros(4, 3).unwrap();
        assert!(svd(&zero).unwrap().sigma.is_empty());
    }

    #[test]
    fn dependent_columns_get_no_direction() {
        // Five columns of which two are independent, and more columns than rows.
        for (n_rows, n_columns) in [(9, 5), (3, 7)] {
            let matrix = random(n_rows, 2, 4)
                .times(&random(2, n_columns, 5))
                .unwrap();
            let factors = qr(&matrix).unwrap();
            assert_eq!(factors.q.n_columns(), 2);
            assert!(difference(&factors.q.times(&factors.r).unwrap(), &matrix) < 1e-12);
            let of = svd(&matrix).unwrap();
            let n_large = of
                .sigma
                .iter()
                .filter(|s| **s > 1e-12 * of.sigma[0])
                .count();
            assert_eq!(n_large, 2);
        }
    }

    #[test]
    fn factors_and_sketches_agree_with_the_dense_matrix() {
        let (b, a) = (random(30, 6, 6), random(20, 6, 7));
        let dense = b.times_transposed(&a).unwrap();
        let of = low_rank_svd(&b, &a).unwrap();
        check(&dense, &of);
        let sketched = randomized_svd(&dense, 6, 1).unwrap();
        for (a, b) in of.sigma.iter().zip(&sketched.sigma) {
            assert!((a - b).abs() < 1e-10 * of.sigma[0]);
        }
        check(&dense, &sketched);
        // More components than columns.
        let (b, a) = (random(4, 9, 8), random(5, 9, 9));
        check(
            &b.times_transposed(&a).unwrap(),
            &low_rank_svd(&b, &a).unwrap(),
        );
        // Of a matrix of full rank, the best part is as good as Jacobi's.
        let full = random(24, 20, 10);
        let (best, found) = (svd(&full).unwrap(), randomized_svd(&full, 12, 1).unwrap());
        assert_eq!(found.sigma.len(), 12);
        for (a, b) in best.sigma.iter().zip(&found.sigma) {
            assert!((a - b).abs() < 1e-6 * best.sigma[0], "{a} {b}");
        }
    }
}
