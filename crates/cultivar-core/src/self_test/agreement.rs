//! Kernels on shapes and values that seeds draw: equal for the specification and every backend, or
//! one of them is wrong. Tests only; an engine that ships carries the smaller self test alone.

use super::{Results, Values, narrowed, product};
use crate::kernels::attention::{self, StoredRows};
use crate::kernels::low_rank::{self, Factors};
use crate::kernels::{self, Backend, elementwise};
use crate::rng::{self, Purpose};
use crate::tensor::{Dtype, FORMATS, half};
use alloc::vec;
use alloc::vec::Vec;

/// Every kernel on shapes, numbers of rows and values that a seed draws, as one digest: equal for
/// the specification and every backend, in every build. `None` if memory cannot be had.
///
/// Products of every format with a matrix of up to 44 rows and 1024 columns and up to 20 rows of
/// activations; attention of one query over up to 80 stored rows of up to 160 columns, in each
/// format of the cache; norms, rotation and activation functions; low-rank deltas of up to 600
/// rows, 192 columns and rank 20, one of f32 and one of 16-bit floats at once.
pub fn seeded(backend: Backend, seed: u64) -> Option<u64> {
    let mut results = Results {
        digest: seed,
        n_checks: 0,
    };
    let mut n_drawn = 0;
    let mut below = |n: u32| {
        n_drawn += 1;
        let [high, low, ..] = rng::draw(seed, Purpose::SelfTest, (1 << 60) + n_drawn);
        rng::bounded(high, low, n) as usize
    };
    for (i, format) in FORMATS.iter().enumerate() {
        if format.dtype == Dtype::U32 {
            continue;
        }
        let n_columns = match format.block_len {
            1 => 1 + below(200),
            block_len => block_len * (1 + below(32)),
        };
        let values = Values {
            seed,
            stream: 9000 + i as u64,
        };
        let matrix = (values, format, 1 + below(44), n_columns);
        product(backend, matrix, &[1, 1 + below(20)], &mut results)?;
    }
    attention_of(backend, seed, (1 + below(160), 1 + below(80)), &mut results);
    let shape = (1 + below(600), 16 * (1 + below(12)), 1 + below(20));
    low_rank_of(backend, seed, shape, &mut results);
    Some(results.digest)
}

/// Attention of one query of `width` over `n` stored rows in each format of the cache, from
/// position `n` on, and what stands around it: norm, rotation, activation.
fn attention_of(backend: Backend, seed: u64, (width, n): (usize, usize), results: &mut Results) {
    let values = Values { seed, stream: 9900 };
    let (query, rows) = (values.take(0, width), values.take(1000, n * width));
    let (halves, codes) = narrowed(&rows);
    let scales: Vec<f32> = values.take(500, n);
    let stored = [
        StoredRows::F32(&rows),
        StoredRows::F16(&halves),
        StoredRows::Q8 {
            codes: &codes,
            scales: &scales,
        },
    ];
    for rows in stored {
        let (mut scores, mut out) = (vec![0.0; n], vec![0.0; width]);
        attention::scores(backend, &mut scores, &query, rows, 0.25);
        let max = elementwise::max(&scores);
        let sum = elementwise::exp_sum(&mut scores, max, n);
        attention::add_values(&mut out, &scores, rows);
        elementwise::scale(&mut out, 1.0 / sum);
        results.add(&scores);
        results.add(&out);
    }
    let (mut x, other) = (rows[..width].to_vec(), values.take(9, width));
    kernels::rms_norm_in_place(backend, &mut x, &other, 1e-5);
    elementwise::swiglu(&mut x, &query);
    let half = width / 2;
    elementwise::rotate_half(&mut x[..2 * half], &other[..half], &query[..half]);
    results.add(&x);
}

/// Two low-rank deltas `[d_out, d_in]` beside each other, one of them of 16-bit floats.
fn low_rank_of(
    backend: Backend,
    seed: u64,
    (d_out, d_in, rank): (usize, usize, usize),
    results: &mut Results,
) {
    let values = Values { seed, stream: 9950 };
    let (x, scales) = (values.take(0, d_in), values.take(1000, rank));
    let a = values.take(2000, rank * d_in);
    let b = values.take(10_000, low_rank::panel_len(d_out, rank));
    let raised = |values: &[f32]| {
        let halves = narrowed(values).0;
        let values: Vec<f32> = halves.iter().map(|h| half::f16_to_f32(*h)).collect();
        half::raise(&values).unwrap_or_default()
    };
    let ((a_bits, a_unit), (b_bits, b_unit)) = (raised(&a), raised(&b));
    let (mut t, mut halves_t) = (vec![0.0; rank], vec![0.0; rank]);
    low_rank::component_products(backend, &mut t, Factors::F32(&a), &scales, &x);
    let halves = Factors::F16(&a_bits, a_unit);
    low_rank::component_products(backend, &mut halves_t, halves, &scales, &x);
    results.add(&halves_t);
    // Products as large as the others, so that each order of the sum shows.
    elementwise::scale(&mut halves_t, 1e10);
    let mut y = values.take(50_000, d_out);
    let parts = [
        (Factors::F16(&b_bits, b_unit), &halves_t[..]),
        (Factors::F32(&b), &t[..]),
    ];
    low_rank::add_components(backend, &mut y, parts.into_iter());
    results.add(&y);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_draw_shapes_on_which_all_backends_agree() {
        for seed in 100..180 {
            let digest = |backend| seeded(backend, seed).unwrap();
            assert_eq!(
                digest(Backend::Scalar),
                digest(Backend::Fast),
                "seed {seed}"
            );
        }
        assert_ne!(seeded(Backend::Fast, 1), seeded(Backend::Fast, 2));
    }
}
