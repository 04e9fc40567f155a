//! Stored formats: encoding and decoding of every shape of the small lengths, tiles against ggml's
//! row order, and every rule of the payload check.

use cultivar_core::rng::{Purpose, draw, unit_f32};
use cultivar_core::tensor::half::f16_to_f32;
use cultivar_core::tensor::quant::{
    BLOCK_LEN, quantize_block_q4_0, quantize_block_q5_0, quantize_block_q8_0,
};
use cultivar_core::tensor::tile::{rows_to_tiles, tiles_to_rows};
use cultivar_core::tensor::{
    Dtype, FORMATS, Format, TensorError, TensorErrorKind, TensorRef, codec, payload,
};

const SEED: u64 = 7;

fn values(len: usize, seed: u64) -> Vec<f32> {
    (0..len as u64)
        .map(|i| unit_f32(draw(SEED + seed, Purpose::SelfTest, i)[0]) - 0.5)
        .collect()
}

fn random_bytes(len: usize) -> Vec<u8> {
    (0..len as u64)
        .map(|i| draw(SEED, Purpose::SelfTest, i)[0] as u8)
        .collect()
}

fn format(name: &str) -> &'static Format {
    Format::by_name(name).unwrap()
}

fn encode(format: &Format, rows: &[f32], n_rows: usize, d_in: usize) -> Vec<u8> {
    let mut out = vec![0xaa; format.stored_bytes(n_rows as u64, d_in as u64).unwrap() as usize];
    codec::encode_rows(&mut out, format, rows, n_rows, d_in).unwrap();
    out
}

fn decode(w: TensorRef<'_>) -> Vec<f32> {
    let mut out = vec![0.0; w.d_out * w.d_in];
    for (row_idx, row) in out.chunks_mut(w.d_in).enumerate() {
        codec::decode_row(row, w, row_idx);
    }
    out
}

#[test]
fn rows_come_back_within_half_a_step_whatever_the_shape() {
    for format in FORMATS.iter().filter(|format| format.dtype != Dtype::U32) {
        for n_rows in 0..10 {
            for d_in in (1..34)
                .chain([64, 96, 256, 288])
                .filter(|d_in| d_in % format.block_len == 0)
            {
                let rows = values(n_rows * d_in, d_in as u64);
                let bytes = encode(format, &rows, n_rows, d_in);
                let w = TensorRef {
                    format,
                    d_out: n_rows,
                    d_in,
                    bytes: &bytes,
                };
                payload::check_whole(w).unwrap();
                // Halves of: a q4_0 step (0.5 / 8; positive ends are cut by one), a q8_0 step.
                let step = match format.dtype {
                    Dtype::F32 => 0.0,
                    Dtype::F16 => 2.5e-4,
                    Dtype::Bf16 => 2e-3,
                    Dtype::Q8_0 => 2.1e-3,
                    Dtype::Q5_0 => 0.0313,
                    Dtype::Q6K => 0.018,
                    _ => 0.0626,
                };
                for (got, expected) in decode(w).iter().zip(&rows) {
                    assert!(
                        (got - expected).abs() <= step,
                        "{} {got} {expected}",
                        format.name
                    );
                }
            }
        }
    }
}

#[test]
fn parts_of_whole_tiles_equal_the_whole() {
    for name in ["q8_0", "q4_0", "q5_0", "q4_k", "q6_k", "f16"] {
        let (n_rows, d_in) = (11, 320);
        let rows = values(n_rows * d_in, 1);
        let whole = encode(format(name), &rows, n_rows, d_in);
        let parts = rows.chunks(4 * d_in);
        let parts = parts.flat_map(|part| encode(format(name), part, part.len() / d_in, d_in));
        assert_eq!(whole, parts.collect::<Vec<u8>>());
    }
}

/// The values of one of ggml's blocks, as its `dequantize_row_*` write them.
fn ggml_values(name: &str, b: &[u8]) -> Vec<f32> {
    let half = |at: usize| f16_to_f32(u16::from_le_bytes([b[at], b[at + 1]]));
    let nibble = |at: usize, high: bool| if high { b[at] >> 4 } else { b[at] & 15 };
    let value = |i: usize| match name {
        "q8_0" => half(0) * f32::from(b[2 + i] as i8),
        "q4_0" => (f32::from(nibble(2 + i % 16, i >= 16)) - 8.0) * half(0),
        "q5_0" => {
            let fifth = u32::from_le_bytes([b[2], b[3], b[4], b[5]]) >> i & 1;
            let code = u32::from(nibble(6 + i % 16, i >= 16)) | fifth << 4;
            (code as f32 - 16.0) * half(0)
        }
        "q4_k" => {
            let (j, s) = (i / 32, &b[4..16]);
            let (scale, min) = if j < 4 {
                (s[j] & 63, s[j + 4] & 63)
            } else {
                let scale = s[j + 4] & 15 | s[j - 4] >> 6 << 4;
                (scale, s[j + 4] >> 4 | s[j] >> 6 << 4)
            };
            let code = nibble(16 + 32 * (i / 64) + i % 32, i % 64 >= 32);
            half(0) * f32::from(scale) * f32::from(code) - half(2) * f32::from(min)
        }
        _ => {
            let (n, quarter, l) = (i / 128, i % 128 / 32, i % 32);
            let low = nibble(64 * n + 32 * (quarter % 2) + l, quarter >= 2);
            let code = low | (b[128 + 32 * n + l] >> (2 * quarter) & 3) << 4;
            half(208) * f32::from(b[192 + i / 16] as i8) * (f32::from(code) - 32.0)
        }
    };
    let n = if name.ends_with("_k") { 256 } else { BLOCK_LEN };
    (0..n).map(value).collect()
}

#[test]
fn tiles_and_ggml_row_order_convert_both_ways() {
    for name in ["q8_0", "q4_0", "q5_0", "q4_k", "q6_k"] {
        let format = format(name);
        let block_len = format.super_blocks * BLOCK_LEN;
        for (n_rows, n_blocks) in [(1, 1), (3, 2), (4, 1), (5, 3), (8, 2), (10, 9), (0, 1)] {
            let d_in = n_blocks * block_len;
            let row_bytes = n_blocks * format.block_bytes;
            let mut rows = random_bytes(n_rows * row_bytes);
            for block in rows.chunks_mut(format.block_bytes) {
                let at = if name == "q6_k" { 208 } else { 0 };
                block[at..at + 2].copy_from_slice(&0x3c00u16.to_le_bytes());
                if name == "q4_k" {
                    block[2..4].copy_from_slice(&0x3801u16.to_le_bytes());
                }
            }
            let n_bytes = format.stored_bytes(n_rows as u64, d_in as u64).unwrap() as usize;
            let mut tiles = vec![0xaa; n_bytes];
            rows_to_tiles(&mut tiles, format, &rows, n_rows, d_in).unwrap();
            let w = TensorRef {
                format,
                d_out: n_rows,
                d_in,
                bytes: &tiles,
            };
            payload::check_whole(w).unwrap();
            let blocks = rows.chunks(format.block_bytes);
            let expected: Vec<f32> = blocks.flat_map(|block| ggml_values(name, block)).collect();
            assert_eq!(decode(w), expected, "{name} {n_rows} x {d_in}");
            let mut back = vec![0xaa; rows.len()];
            tiles_to_rows(&mut back, format, &tiles, n_rows, d_in).unwrap();
            assert_eq!(back, rows, "{name} {n_rows} x {d_in}");
            let refused = rows_to_tiles(&mut tiles, format, &rows, n_rows + 1, d_in);
            assert_eq!(refused.unwrap_err().kind, TensorErrorKind::Length);
        }
        for d_in in [33, 0, block_len + 16] {
            let refused = rows_to_tiles(&mut [], format, &[], 1, d_in);
            assert_eq!(refused.unwrap_err().kind, TensorErrorKind::Shape);
        }
    }
    // ggml has no short super-blocks.
    let refused = rows_to_tiles(&mut [0; 344], format("q4_k"), &[0; 144], 1, 288);
    assert_eq!(refused.unwrap_err().kind, TensorErrorKind::Shape);
    let refused = tiles_to_rows(&mut [0; 4], format("f32"), &[0; 4], 1, 1);
    assert_eq!(refused.unwrap_err().kind, TensorErrorKind::Shape);
}

#[test]
fn k_quants_lose_less_than_flat_ones_at_nearly_their_size() {
    // Bell-shaped values with a few far out, as trained weights have.
    let value = |i: u64| {
        let [a, b, c, d] = draw(SEED, Purpose::SelfTest, i).map(unit_f32);
        let sum = a + b + c - 1.5;
        if d < 0.02 { 3.0 * sum } else { sum }
    };
    for d_in in [256, 288, 576, 640, 960, 1024] {
        let rows: Vec<f32> = (0..16 * d_in as u64).map(value).collect();
        let measure = |name: &str| {
            let bytes = encode(format(name), &rows, 16, d_in);
            let w = TensorRef {
                format: format(name),
                d_out: 16,
                d_in,
                bytes: &bytes,
            };
            let missed = decode(w)
                .iter()
                .zip(&rows)
                .map(|(a, b)| f64::from(a - b).powi(2))
                .sum();
            (bytes.len() as f64, missed)
        };
        let [(q4_0_bytes, q4_0), (q4_k_bytes, q4_k)]: [(f64, f64); 2] =
            ["q4_0", "q4_k"].map(measure);
        assert!(q4_k < 0.75 * q4_0, "{d_in}: {q4_k} {q4_0}");
        assert!(q4_k_bytes <= 1.03 * q4_0_bytes, "{d_in}");
        let [(_, q5_0), (_, q6_k), (_, q8_0)] = ["q5_0", "q6_k", "q8_0"].map(measure);
        assert!(
            q8_0 < q6_k && q6_k < 0.4 * q5_0 && q5_0 < q4_k,
            "{d_in}: {q6_k} {q5_0}"
        );
    }
}

#[test]
fn blocks_round_as_ggml_does() {
    let mut x = [0.0; BLOCK_LEN];
    assert_eq!(quantize_block_q8_0(&x), (0, [0; BLOCK_LEN]));
    assert_eq!(quantize_block_q4_0(&x), (0x8000, [8; BLOCK_LEN]));
    // A scale of exactly 1: halves go away from zero.
    x[..6].copy_from_slice(&[127.0, 0.5, -0.5, 2.5, -2.5, 0.49999997]);
    let (scale, codes) = quantize_block_q8_0(&x);
    assert_eq!(
        (f16_to_f32(scale), &codes[..6]),
        (1.0, &[127, 1, -1, 3, -3, 0][..])
    );
    // The value of largest magnitude is -8 whatever its sign; the first of two decides.
    x = [0.0; BLOCK_LEN];
    x[..5].copy_from_slice(&[4.0, -4.0, 0.25, -0.25, 0.0]);
    let (scale, codes) = quantize_block_q4_0(&x);
    assert_eq!(
        (f16_to_f32(scale), &codes[..5]),
        (-0.5, &[0, 15, 8, 9, 8][..])
    );
    // Five bits: the same with -16.
    x = [0.0; BLOCK_LEN];
    x[..5].copy_from_slice(&[8.0, -8.0, 0.25, -0.25, 0.0]);
    let (scale, codes) = quantize_block_q5_0(&x);
    assert_eq!(
        (f16_to_f32(scale), &codes[..5]),
        (-0.5, &[0, 31, 16, 17, 16][..])
    );
    // So small that the inverse overflows: zeros, not a panic.
    x = [f32::from_bits(1); BLOCK_LEN];
    assert_eq!(quantize_block_q8_0(&x), (0, [0; BLOCK_LEN]));
    assert_eq!(quantize_block_q4_0(&x), (0x8000, [8; BLOCK_LEN]));
    assert_eq!(quantize_block_q5_0(&x), (0x8000, [16; BLOCK_LEN]));
    // Nothing but zeros, and nothing but one value, which q4_k keeps as a minimum if below zero.
    for (name, value, kept) in [
        ("q4_k", 0.0, 0.0),
        ("q6_k", 0.0, 0.0),
        ("q4_k", -1.0, -1.0),
        ("q4_k", 1.0, 1.0),
        ("q6_k", -1.0, -1.0),
        ("q6_k", 1e-20, 0.0),
    ] {
        let bytes = encode(format(name), &[value; 96], 1, 96);
        let w = TensorRef {
            format: format(name),
            d_out: 1,
            d_in: 96,
            bytes: &bytes,
        };
        for got in decode(w) {
            assert!((got - kept).abs() <= 1e-3, "{name} {value}: {got}");
        }
    }
}

#[test]
fn rows_within_the_stated_magnitude_are_stored() {
    for name in ["f32", "f16", "bf16", "q8_0", "q4_0", "q5_0", "q4_k", "q6_k"] {
        let format = format(name);
        let max = codec::magnitude_max(format);
        let store = |rows: &[f32]| {
            let mut out = vec![0; format.stored_bytes(1, 256).unwrap() as usize];
            codec::encode_rows(&mut out, format, rows, 1, 256)
        };
        let spread = values(256, 3);
        let widest = spread.iter().fold(0.0f32, |a, v| a.max(v.abs()));
        let rows = [
            vec![max; 256],
            vec![-max; 256],
            (0..256)
                .map(|i| if i % 3 == 0 { max } else { -max })
                .collect(),
            spread.iter().map(|v| v / widest * max).collect(),
            (0..256).map(|i| if i == 77 { -max } else { 0.0 }).collect(),
        ];
        for (i, row) in rows.iter().enumerate() {
            assert_eq!(store(row), Ok(()), "{name} {i}");
        }
        // The flat formats hold little more.
        if !name.ends_with("_k") && name != "f32" {
            assert!(store(&vec![max * 1.01; 256]).is_err(), "{name}");
        }
    }
}

#[test]
fn values_that_do_not_fit_are_refused() {
    for format in FORMATS.iter().filter(|format| format.dtype != Dtype::U32) {
        let too_large: &[f32] = match format.dtype {
            Dtype::F32 => &[],
            Dtype::F16 => &[65520.0, -1e10],
            Dtype::Bf16 => &[f32::MAX],
            _ => &[1e9, -1e9, f32::MAX],
        };
        let broken = [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        for &value in broken.iter().chain(too_large) {
            for at in [0, 31, 32, 159] {
                let mut rows = values(160, 3);
                rows[at] = value;
                let n_bytes = format.stored_bytes(5, 32).unwrap() as usize;
                let error = codec::encode_rows(&mut vec![0; n_bytes], format, &rows, 5, 32);
                let kind = error.unwrap_err().kind;
                assert_eq!(kind, TensorErrorKind::NotFinite, "{} {value}", format.name);
            }
        }
    }
    let shape = codec::encode_rows(&mut [], format("q8_0"), &[0.0; 33], 1, 33);
    assert_eq!(shape.unwrap_err().kind, TensorErrorKind::Shape);
    let integers = codec::encode_rows(&mut [0; 4], format("u32"), &[0.0], 1, 1);
    assert_eq!(integers.unwrap_err().kind, TensorErrorKind::Shape);
    for (n_bytes, n_values) in [(3, 1), (4, 2), (5, 1), (4, 0)] {
        let rows = vec![0.0; n_values];
        let length = codec::encode_rows(&mut vec![0; n_bytes], format("f32"), &rows, 1, 1);
        assert_eq!(length.unwrap_err().kind, TensorErrorKind::Length);
    }
}

/// The first error of a check in steps of about `budget` bytes.
fn check_in_steps(w: TensorRef<'_>, budget: usize) -> Result<(), TensorError> {
    let mut from = 0;
    while from < w.bytes.len() {
        let next = payload::check(w, from, budget)?;
        assert!(next > from, "every step goes on");
        from = next;
    }
    Ok(())
}

#[test]
fn payload_errors_name_the_byte_whatever_the_budget() {
    let (n_rows, d_in) = (6, 64);
    for format in FORMATS {
        let n_bytes = format.stored_bytes(n_rows as u64, d_in as u64).unwrap() as usize;
        let mut bytes = vec![0; n_bytes];
        if format.dtype != Dtype::U32 {
            bytes = encode(format, &values(n_rows * d_in, 9), n_rows, d_in);
        }
        for at in 0..n_bytes {
            let mut broken = bytes.clone();
            broken[at] = 0xff;
            if let Some(next) = broken.get_mut(at + 1).filter(|_| at % 2 == 0) {
                *next = 0xff;
            }
            if let Some(rest) = broken
                .get_mut(at + 2..at + 4)
                .filter(|_| format.name == "f32")
            {
                rest.fill(0xff);
            }
            let w = TensorRef {
                format,
                d_out: n_rows,
                d_in,
                bytes: &broken,
            };
            let whole = check_in_steps(w, usize::MAX);
            for budget in [0, 1, 100, 137, 300] {
                assert_eq!(
                    check_in_steps(w, budget),
                    whole,
                    "{} byte {at}",
                    format.name
                );
            }
            let expected = expected_error(format, at);
            if let Some(expected) = expected {
                assert_eq!(
                    whole.map_err(|error| error.kind),
                    expected,
                    "{} {at}",
                    format.name
                );
            }
            if let Err(error) = whole {
                assert!(
                    error.offset.abs_diff(at as u64) < 4,
                    "{} {at}: {error}",
                    format.name
                );
                assert!(error.to_string().contains(&error.offset.to_string()));
            }
        }
        let short = TensorRef {
            format,
            d_out: n_rows,
            d_in,
            bytes: &bytes[1..],
        };
        assert_eq!(
            payload::check_whole(short).unwrap_err().kind,
            TensorErrorKind::Length
        );
    }
}

/// What bytes of 0xff from `at` to its pair's or element's end must give, where that is simple.
fn expected_error(format: &Format, at: usize) -> Option<Result<(), TensorErrorKind>> {
    let tile_block_bytes = 4 * format.block_bytes;
    match format.dtype {
        Dtype::U32 => Some(Ok(())),
        Dtype::F32 => at
            .is_multiple_of(4)
            .then_some(Err(TensorErrorKind::NotFinite)),
        Dtype::F16 | Dtype::Bf16 => at
            .is_multiple_of(2)
            .then_some(Err(TensorErrorKind::NotFinite)),
        Dtype::Q4K | Dtype::Q6K => {
            // One super-block of two blocks a tile; rows 2 and 3 of the second are padding.
            let head = format.parts.head;
            let (tile, at) = (at / (format.parts.bytes(2)), at % format.parts.bytes(2));
            (at < head && at.is_multiple_of(2))
                .then_some(Err(TensorErrorKind::NotFinite))
                .or((tile == 0 && at >= head && at + 1 < format.parts.bytes(2)).then_some(Ok(())))
        }
        _ => {
            let (block, at) = (at / tile_block_bytes, at % tile_block_bytes);
            // Blocks 2 and 3 are the second tile's, of which rows 2 and 3 are padding.
            match (at < 8, block >= 2 && (at - at.min(8)) / 4 % 4 >= 2) {
                (true, _) => (at % 2 == 0).then_some(Err(TensorErrorKind::NotFinite)),
                (false, true) => Some(Err(TensorErrorKind::Padding)),
                // The last byte of row 1 may spill into row 2's first: only even places do not.
                (false, false) => (at % 4 < 3).then_some(Ok(())),
            }
        }
    }
}

#[test]
fn stored_bytes_count_padding_and_refuse_what_does_not_fit() {
    let cases: [(&str, u64, u64, Option<u64>); 14] = [
        ("q5_0", 1, 64, Some(176)),
        ("q4_k", 4, 256, Some(576)),
        ("q4_k", 4, 288, Some(576 + 86)),
        ("q6_k", 5, 256, Some(1680)),
        ("q6_k", 1, 576, Some(1680 + 216)),
        ("f32", 3, 5, Some(60)),
        ("f16", 3, 5, Some(30)),
        ("q8_0", 4, 32, Some(136)),
        ("q8_0", 5, 64, Some(544)),
        ("q4_0", 1, 32, Some(72)),
        ("q4_0", 1, 31, None),
        ("q8_0", u64::MAX, 32, None),
        ("f32", 1 << 32, 1 << 32, None),
        ("q4_0", 0, 32, Some(0)),
    ];
    for (name, d_out, d_in, expected) in cases {
        assert_eq!(
            format(name).stored_bytes(d_out, d_in),
            expected,
            "{name} {d_out} {d_in}"
        );
    }
    for format in FORMATS {
        let found = Format::find(format.dtype.id(), format.layout.id());
        assert_eq!(found, Some(format));
    }
    assert_eq!(Format::find(16, 0), None);
    assert_eq!(Format::find(21, 1), None);
}
