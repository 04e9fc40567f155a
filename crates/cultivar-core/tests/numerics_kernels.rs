//! Kernels against `docs/numerics.md`: a second implementation of its formulas, bit for bit, and
//! exact sums in f64 within stated ceilings; every small length, and values at the edges.

use cultivar_core::kernels::{self, Activations, Backend, elementwise};
use cultivar_core::math::{exp_f32, round_ties_even_f32};
use cultivar_core::rng::{Purpose, draw, unit_f32};
use cultivar_core::tensor::half::f16_to_f32;
use cultivar_core::tensor::unpacked::Unpacked;
use cultivar_core::tensor::{Format, TensorRef, codec, tile};

const BACKENDS: [Backend; 2] = [Backend::Scalar, Backend::Fast];

/// Values around zero whose magnitudes differ widely.
fn values(len: usize, seed: u64) -> Vec<f32> {
    let value = |i| {
        let [a, b, ..] = draw(seed, Purpose::SelfTest, i);
        (unit_f32(a) - 0.5) * f32::from_bits((120 + b % 12) << 23)
    };
    (0..len as u64).map(value).collect()
}

fn matmul(
    backend: Backend,
    format: &'static Format,
    bytes: &[u8],
    shape: (usize, usize),
    x: &[f32],
) -> Vec<f32> {
    let (d_out, d_in) = shape;
    let w = TensorRef {
        format,
        d_out,
        d_in,
        bytes,
    };
    let mut activations = Activations::new(x.len() / d_in, d_in).unwrap();
    activations.load(backend, x, d_in, format.block_len > 1);
    let mut out = vec![f32::NAN; x.len() / d_in * d_out];
    kernels::matmul(backend, &mut out, w, &activations);
    out
}

fn encode(format: &Format, w: &[f32], d_out: usize, d_in: usize) -> Vec<u8> {
    let mut bytes = vec![0; format.stored_bytes(d_out as u64, d_in as u64).unwrap() as usize];
    codec::encode_rows(&mut bytes, format, w, d_out, d_in).unwrap();
    bytes
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// `dot16` as the document writes it.
fn dot16(a: &[f32], b: &[f32]) -> f32 {
    let mut s = [0f32; 16];
    for i in 0..a.len() {
        s[i % 16] += a[i] * b[i];
    }
    let s8: Vec<f32> = (0..8).map(|i| s[i] + s[i + 8]).collect();
    let s4: Vec<f32> = (0..4).map(|i| s8[i] + s8[i + 4]).collect();
    let s2: Vec<f32> = (0..2).map(|i| s4[i] + s4[i + 2]).collect();
    s2[0] + s2[1]
}

/// Scale and codes of a block of activations as the document writes them.
fn quantize(x: &[f32]) -> (f32, Vec<i32>) {
    let amax = x.iter().map(|v| v.to_bits() & 0x7fff_ffff).max().unwrap();
    if amax >= 0x7f80_0000 {
        return (f32::NAN, vec![0; 32]);
    }
    let amax = f32::from_bits(amax);
    if f64::from(amax) < 2f64.powi(-100) {
        return (0.0, vec![0; 32]);
    }
    let inv = 127.0 / amax;
    (
        amax / 127.0,
        x.iter()
            .map(|v| round_ties_even_f32(v * inv) as i32)
            .collect(),
    )
}

/// The quantized dot product as the document writes it, from one row of unpacked super-blocks.
fn quantized_dot(format: &Format, row: &[Unpacked], x: &[f32]) -> f32 {
    let mut acc = 0f32;
    let mut x_blocks = x.chunks(32);
    for block in row {
        let (d, m) = (f16_to_f32(block.scale), f16_to_f32(block.min));
        let (mut scaled, mut least) = (0f32, 0f32);
        for j in 0..block.n_blocks {
            let (x_scale, x_codes) = quantize(x_blocks.next().unwrap());
            let codes = block.codes[j];
            let sum = |columns: std::ops::Range<usize>, zero: i32| -> i32 {
                columns
                    .map(|i| (i32::from(codes[i]) - zero) * x_codes[i])
                    .sum()
            };
            match format.name {
                "q8_0" => {
                    let isum: i32 = (0..32)
                        .map(|i| i32::from(codes[i] as i8) * x_codes[i])
                        .sum();
                    acc += isum as f32 * (d * x_scale);
                }
                "q4_0" => acc += sum(0..32, 8) as f32 * (d * x_scale),
                "q5_0" => acc += sum(0..32, 16) as f32 * (d * x_scale),
                "q4_k" => {
                    let isum = i32::from(block.sub_scales[j]) * sum(0..32, 0);
                    scaled += isum as f32 * x_scale;
                    let x_sum: i32 = x_codes.iter().sum();
                    least += f32::from(block.sub_mins[j]) * (x_scale * x_sum as f32);
                }
                _ => {
                    let [a, b] = [0, 1].map(|i| i32::from(block.sub_scales[2 * j + i] as i8));
                    let isum = a * sum(0..16, 32) + b * sum(16..32, 32);
                    scaled += isum as f32 * x_scale;
                }
            }
        }
        match format.name {
            "q4_k" => acc += d * scaled - m * least,
            "q6_k" => acc += d * scaled,
            _ => {}
        }
    }
    acc
}

/// Row `row_idx` of a stored matrix, unpacked.
fn unpacked_row(format: &Format, bytes: &[u8], d_in: usize, row_idx: usize) -> Vec<Unpacked> {
    let tile_bytes = format.tile_bytes(d_in as u64).unwrap() as usize;
    let tile = &bytes[row_idx / 4 * tile_bytes..][..tile_bytes];
    tile::super_blocks(format, d_in / 32)
        .map(|(start, n)| {
            let block = &tile[start..start + format.parts.bytes(n)];
            tile::get(block, format, row_idx % 4, n)
        })
        .collect()
}

#[test]
fn plain_matrices_equal_the_formula_and_are_near_the_exact_sum() {
    for name in ["f32", "f16", "bf16"] {
        let format = Format::by_name(name).unwrap();
        for d_in in (1..34).chain([64, 100, 288]) {
            let (d_out, n_rows) = (5, 3);
            let bytes = encode(format, &values(d_out * d_in, 1), d_out, d_in);
            let x = values(n_rows * d_in, 2);
            let w = TensorRef {
                format,
                d_out,
                d_in,
                bytes: &bytes,
            };
            let mut row = vec![0.0; d_in];
            for backend in BACKENDS {
                let out = matmul(backend, format, &bytes, (d_out, d_in), &x);
                for (i, got) in out.iter().enumerate() {
                    codec::decode_row(&mut row, w, i % d_out);
                    let x = &x[i / d_out * d_in..][..d_in];
                    assert_eq!(got.to_bits(), dot16(&row, x).to_bits(), "{name} {d_in}");
                    let terms = row
                        .iter()
                        .zip(x)
                        .map(|(w, x)| f64::from(*w) * f64::from(*x));
                    let (exact, size) = terms.fold((0.0, 0.0), |(a, b), t| (a + t, b + t.abs()));
                    // A product, its chain of sums and the tree: as many roundings of 2^-24.
                    let ceiling = size * (d_in as f64 / 16.0 + 6.0) * 2f64.powi(-24);
                    assert!(
                        (f64::from(*got) - exact).abs() <= ceiling,
                        "{name} {d_in}: {got}"
                    );
                }
            }
        }
    }
}

#[test]
fn quantized_matrices_equal_the_formula_and_are_near_the_exact_sum() {
    for name in ["q8_0", "q4_0", "q5_0", "q4_k", "q6_k"] {
        let format = Format::by_name(name).unwrap();
        for (d_out, d_in, n_rows) in [
            (1, 32, 1),
            (5, 256, 1),
            (9, 640, 4),
            (3, 64, 2),
            (4, 96, 3),
            (7, 32, 5),
            (18, 288, 9),
            (33, 576, 17),
        ] {
            let bytes = encode(format, &values(d_out * d_in, 3), d_out, d_in);
            let mut x = values(n_rows * d_in, 4);
            // One block of zeros, one of numbers below the floor.
            x[..32].fill(0.0);
            x[(n_rows * d_in - 32)..].fill(f32::from_bits(3));
            let w = TensorRef {
                format,
                d_out,
                d_in,
                bytes: &bytes,
            };
            let mut row = vec![0.0; d_in];
            for backend in BACKENDS {
                let out = matmul(backend, format, &bytes, (d_out, d_in), &x);
                for (i, got) in out.iter().enumerate() {
                    let x = &x[i / d_out * d_in..][..d_in];
                    let blocks = unpacked_row(format, &bytes, d_in, i % d_out);
                    let expected = quantized_dot(format, &blocks, x);
                    assert_eq!(got.to_bits(), expected.to_bits(), "{name} {d_out} x {d_in}");
                    codec::decode_row(&mut row, w, i % d_out);
                    // Activations are off by half a code each, 1 / 254 of the block's largest.
                    let (mut exact, mut ceiling) = (0.0, 1e-30);
                    for (x, w) in x.chunks(32).zip(row.chunks(32)) {
                        let amax = x.iter().fold(0f32, |max, v| max.max(v.abs()));
                        for (x, w) in x.iter().zip(w) {
                            exact += f64::from(*x) * f64::from(*w);
                            ceiling += f64::from(amax) * f64::from(w.abs()) / 253.9;
                        }
                    }
                    assert!(
                        (f64::from(*got) - exact).abs() <= ceiling,
                        "{name}: {got} {exact}"
                    );
                }
            }
        }
    }
}

#[test]
fn faults_in_activations_reach_every_output_and_codes_of_minus_128_are_exact() {
    let format = Format::by_name("q8_0").unwrap();
    let (d_out, d_in) = (6, 64);
    for fault in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let bytes = encode(format, &values(d_out * d_in, 5), d_out, d_in);
        let mut x = values(2 * d_in, 6);
        x[d_in + 40] = fault;
        for backend in BACKENDS {
            let out = matmul(backend, format, &bytes, (d_out, d_in), &x);
            assert!(
                out[..d_out].iter().all(|v| v.is_finite()),
                "the other row is untouched"
            );
            assert!(out[d_out..].iter().all(|v| v.is_nan()), "{fault}");
        }
    }
    // Foreign files may hold -128, which our rounding never writes.
    let mut bytes = encode(format, &vec![1.0; d_out * d_in], d_out, d_in);
    bytes
        .chunks_mut(136)
        .for_each(|block| block[8..].fill(0x80));
    // Padding rows stay zero.
    bytes[272..].chunks_mut(136).for_each(|block| {
        block[8..]
            .chunks_mut(16)
            .for_each(|group| group[8..].fill(0));
    });
    let x: Vec<f32> = (0..d_in)
        .map(|i| if i % 3 == 0 { 127.0 } else { -127.0 })
        .collect();
    for backend in BACKENDS {
        for (i, got) in matmul(backend, format, &bytes, (d_out, d_in), &x)
            .iter()
            .enumerate()
        {
            let expected = quantized_dot(format, &unpacked_row(format, &bytes, d_in, i), &x);
            assert_eq!(got.to_bits(), expected.to_bits());
        }
    }
}

#[test]
fn dots_with_stored_keys_equal_the_formula() {
    for len in 0..=33usize {
        let (a, b) = (values(len, 7), values(len, 8));
        let half: Vec<u16> = b
            .iter()
            .map(|v| cultivar_core::tensor::half::f32_to_f16(*v))
            .collect();
        let widened: Vec<f32> = half.iter().map(|h| f16_to_f32(*h)).collect();
        let codes: Vec<i8> = (0..len).map(|i| (i as i8).wrapping_mul(37)).collect();
        let code_values: Vec<f32> = codes.iter().map(|c| f32::from(*c)).collect();
        let (raised, unit) = cultivar_core::tensor::half::raise(&widened).unwrap();
        for backend in BACKENDS {
            let got = [
                kernels::dot(backend, &a, &b),
                kernels::dot_f16(backend, &a, &half),
                kernels::dot_i8(backend, &a, &codes),
            ];
            let expected = [dot16(&a, &b), dot16(&a, &widened), dot16(&a, &code_values)];
            assert_eq!(bits(&got), bits(&expected), "length {len}");
            if len % 16 == 0 {
                let got = kernels::dot_raised(backend, &a, &raised, unit);
                assert_eq!(got.to_bits(), expected[1].to_bits(), "length {len}");
            }
        }
    }
}

#[test]
fn norms_equal_the_formula() {
    for len in 1..=33usize {
        let (x, w) = (values(len, 9), values(len, 10));
        let eps = 1e-5;
        let inverse = 1.0 / (dot16(&x, &x) / len as f32 + eps).sqrt();
        let expected: Vec<f32> = x.iter().zip(&w).map(|(x, w)| (x * inverse) * w).collect();
        let exact = x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / len as f64;
        let exact = 1.0 / (exact + f64::from(eps)).sqrt();
        for backend in BACKENDS {
            let mut out = vec![0.0; len];
            kernels::rms_norm(backend, &mut out, &x, &w, eps);
            assert_eq!(bits(&out), bits(&expected), "length {len}");
            for ((got, x), w) in out.iter().zip(&x).zip(&w) {
                let exact = f64::from(*x) * exact * f64::from(*w);
                assert!((f64::from(*got) - exact).abs() <= exact.abs() * 1e-6);
            }
        }
    }
}

#[test]
fn rotation_and_gate_equal_the_formula() {
    for half in 1..=17usize {
        let (x, angles) = (values(2 * half, 11), values(half, 12));
        let (cos, sin): (Vec<f32>, Vec<f32>) = angles.iter().map(|a| (a.cos(), a.sin())).unzip();
        let mut got = x.clone();
        elementwise::rotate_half(&mut got, &cos, &sin);
        for i in 0..half {
            let (a, b) = (x[i], x[i + half]);
            assert_eq!(got[i].to_bits(), (a * cos[i] - b * sin[i]).to_bits());
            assert_eq!(got[i + half].to_bits(), (b * cos[i] + a * sin[i]).to_bits());
        }
    }
    let mut gate = values(1000, 13);
    gate.extend([
        0.0,
        -0.0,
        100.0,
        -87.0,
        -88.0,
        -89.0,
        -1e30,
        1e30,
        1e-40,
        f32::MAX,
        f32::MIN,
    ]);
    let up = vec![1.0; gate.len()];
    let mut got = gate.clone();
    elementwise::swiglu(&mut got, &up);
    for (x, got) in gate.iter().zip(&got) {
        assert_eq!(got.to_bits(), (x / (1.0 + exp_f32(-x)) * 1.0).to_bits());
        let exact = f64::from(*x) / (1.0 + (-f64::from(*x)).exp());
        assert!(
            (f64::from(*got) - exact).abs() <= exact.abs() * 4e-7 + 1e-36,
            "silu({x})"
        );
    }
    let mut fault = [f32::NAN];
    elementwise::swiglu(&mut fault, &[1.0]);
    assert!(fault[0].is_nan());
}

#[test]
fn a_mask_of_bits_keeps_what_is_set() {
    for n in [0usize, 1, 63, 64, 65, 200] {
        let x = values(n, n as u64);
        let words = [u64::MAX, 0, 0x8000_0000_ffff_0001, 0x5555_5555_5555_5555];
        for shift in 0..4 {
            let bits: Vec<u64> = (0..n.div_ceil(64))
                .map(|i| words[(i + shift) % 4])
                .collect();
            let mut got = vec![0.0; n];
            elementwise::keep_bits(&mut got, &x, &bits);
            for (i, (got, x)) in got.iter().zip(&x).enumerate() {
                let is_kept = bits[i / 64] >> (i % 64) & 1 == 1;
                assert_eq!(
                    *got,
                    if is_kept { *x } else { f32::NEG_INFINITY },
                    "{n} {i}"
                );
            }
        }
    }
}

#[test]
fn softmax_sums_follow_absolute_positions() {
    for len in 1..=70usize {
        let scores = values(len, 14);
        let max = elementwise::max(&scores);
        assert_eq!(
            max,
            scores.iter().copied().fold(f32::NEG_INFINITY, f32::max)
        );
        let e: Vec<f32> = scores.iter().map(|s| exp_f32(s - max)).collect();
        let mut got = scores.clone();
        let sum = elementwise::exp_sum(&mut got, max, 0);
        assert_eq!(bits(&got), bits(&e));
        assert_eq!(sum.to_bits(), dot16(&e, &vec![1.0; len]).to_bits());
    }
    assert!(elementwise::max(&[1.0, f32::NAN, 2.0]).is_nan());
}
