//! Rows of f32 into stored bytes, and stored rows back into f32.
//!
//! What is written is always a payload that `payload::check` accepts, or an error.

use super::error::{TensorError, TensorErrorKind};
use super::half::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};
use super::quant::{self, BLOCK_LEN};
use super::tile::{self, TILE_ROWS};
use super::unpacked::Unpacked;
use super::{Dtype, Format, TensorRef, payload, quant_k};

/// Stores `rows: [n_rows, d_in]` in `format`, the last tile filled with zeros.
///
/// `out` must be `format.stored_bytes(n_rows, d_in)` long. To store a tensor in parts, give every
/// part but the last a multiple of `format.tile_rows` rows.
///
/// # Errors
/// `Shape` if rows are not whole blocks or the format holds no floats; `Length` if `out` or `rows`
/// has another length; `NotFinite`, with the place in `out`, if a value is not finite or too large
/// for the format.
pub fn encode_rows(
    out: &mut [u8],
    format: &Format,
    rows: &[f32],
    n_rows: usize,
    d_in: usize,
) -> Result<(), TensorError> {
    let refuse = |kind| Err(TensorError { kind, offset: 0 });
    let Some(n_bytes) = format.stored_bytes(n_rows as u64, d_in as u64) else {
        return refuse(TensorErrorKind::Shape);
    };
    if out.len() as u64 != n_bytes || Some(rows.len()) != n_rows.checked_mul(d_in) {
        return refuse(TensorErrorKind::Length);
    }
    match format.dtype {
        Dtype::F32 => encode_elements(out, rows, f32::to_le_bytes),
        Dtype::F16 => encode_elements(out, rows, |v| f32_to_f16(v).to_le_bytes()),
        Dtype::Bf16 => encode_elements(out, rows, |v| f32_to_bf16(v).to_le_bytes()),
        Dtype::U32 => return refuse(TensorErrorKind::Shape),
        _ => encode_tiles(out, format, rows, d_in),
    }
    payload::check_stored(format, out, n_rows, d_in, 0, usize::MAX).map(|_| ())
}

/// A magnitude that every value of a row may have and [`encode_rows`] still stores the row: the
/// largest f16 times the codes of the format; for k-quants well below what their search can reach.
pub fn magnitude_max(format: &Format) -> f32 {
    const F16_MAX: f32 = 65504.0;
    match format.dtype {
        Dtype::F32 | Dtype::U32 => f32::MAX,
        Dtype::Bf16 => f32::from_bits(0x7f7f_0000),
        Dtype::F16 => F16_MAX,
        Dtype::Q4_0 => F16_MAX * 8.0,
        Dtype::Q5_0 => F16_MAX * 16.0,
        Dtype::Q8_0 => F16_MAX * 127.0,
        Dtype::Q4K | Dtype::Q6K => F16_MAX * 15.0,
    }
}

fn encode_elements<const N: usize>(out: &mut [u8], values: &[f32], encode: fn(f32) -> [u8; N]) {
    let (elements, _) = out.as_chunks_mut::<N>();
    for (element, &value) in elements.iter_mut().zip(values) {
        *element = encode(value);
    }
}

fn encode_tiles(out: &mut [u8], format: &Format, rows: &[f32], d_in: usize) {
    out.fill(0);
    if rows.is_empty() {
        return;
    }
    let n_blocks = d_in / BLOCK_LEN;
    let tile_bytes = out.len() / rows.len().div_ceil(d_in * TILE_ROWS);
    let tiles = out.chunks_exact_mut(tile_bytes);
    for (tile, rows) in tiles.zip(rows.chunks(d_in * TILE_ROWS)) {
        for (r, row) in rows.chunks_exact(d_in).enumerate() {
            let parts = row.chunks(BLOCK_LEN * format.super_blocks);
            for ((at, n), x) in tile::super_blocks(format, n_blocks).zip(parts) {
                let block = &mut tile[at..at + format.parts.bytes(n)];
                tile::put(block, format, r, &quantize(format, x));
            }
        }
    }
}

/// Quantizes one super-block of a row.
fn quantize(format: &Format, x: &[f32]) -> Unpacked {
    let (blocks, _) = x.as_chunks::<BLOCK_LEN>();
    let mut out = Unpacked::zero(blocks.len());
    match (format.dtype, blocks) {
        (Dtype::Q4K, _) => return quant_k::quantize_q4_k(blocks),
        (Dtype::Q6K, _) => return quant_k::quantize_q6_k(blocks),
        (Dtype::Q4_0, [x, ..]) => (out.scale, out.codes[0]) = quant::quantize_block_q4_0(x),
        (Dtype::Q5_0, [x, ..]) => (out.scale, out.codes[0]) = quant::quantize_block_q5_0(x),
        (_, [x, ..]) => {
            let (scale, codes) = quant::quantize_block_q8_0(x);
            (out.scale, out.codes[0]) = (scale, codes.map(i8::cast_unsigned));
        }
        (_, []) => {}
    }
    out
}

/// Row `row_idx` of `w` as f32: `out: [d_in]`. Exact; of u32, the nearest f32.
///
/// # Panics
/// When `row_idx` is not below `d_out`, or `out` is not `d_in` long.
pub fn decode_row(out: &mut [f32], w: TensorRef<'_>, row_idx: usize) {
    assert!(
        row_idx < w.d_out,
        "decode_row: row {row_idx} of {}",
        w.d_out
    );
    assert_eq!(out.len(), w.d_in, "decode_row: length of the output");
    match w.format.dtype {
        Dtype::F32 => decode_elements(out, w, row_idx, f32::from_le_bytes),
        Dtype::F16 => decode_elements(out, w, row_idx, |b| f16_to_f32(u16::from_le_bytes(b))),
        Dtype::Bf16 => decode_elements(out, w, row_idx, |b| bf16_to_f32(u16::from_le_bytes(b))),
        Dtype::U32 => decode_elements(out, w, row_idx, |b| u32::from_le_bytes(b) as f32),
        _ => decode_tile(out, w, row_idx),
    }
}

fn decode_elements<const N: usize>(
    out: &mut [f32],
    w: TensorRef<'_>,
    row_idx: usize,
    decode: fn([u8; N]) -> f32,
) {
    let (elements, _) = w.bytes.as_chunks::<N>();
    let row = &elements[row_idx * w.d_in..][..w.d_in];
    for (out, element) in out.iter_mut().zip(row) {
        *out = decode(*element);
    }
}

fn decode_tile(out: &mut [f32], w: TensorRef<'_>, row_idx: usize) {
    let n_blocks = w.d_in / BLOCK_LEN;
    let tile_bytes = w.bytes.len() / w.d_out.div_ceil(TILE_ROWS);
    let tile = &w.bytes[row_idx / TILE_ROWS * tile_bytes..][..tile_bytes];
    let parts = out.chunks_mut(BLOCK_LEN * w.format.super_blocks);
    for ((at, n), out) in tile::super_blocks(w.format, n_blocks).zip(parts) {
        let block = &tile[at..at + w.format.parts.bytes(n)];
        tile::get(block, w.format, row_idx % TILE_ROWS, n).values(out, w.format);
    }
}
