//! Rows of f32 into stored bytes, and stored rows back into f32.
//!
//! What is written is always a payload that `payload::check` accepts, or an error.

use super::error::{TensorError, TensorErrorKind};
use super::half::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};
use super::quant::{BLOCK_LEN, quantize_block_q4_0, quantize_block_q8_0};
use super::tile::{TILE_ROWS, q4_0_at, q8_0_at, scale_at};
use super::{Dtype, Format, TensorRef, payload};

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
        Dtype::Q8_0 => encode_tiles(out, format, rows, d_in, |block, r, x| {
            let (scale, codes) = quantize_block_q8_0(x);
            for (column, code) in codes.into_iter().enumerate() {
                block[q8_0_at(r, column)] = code.cast_unsigned();
            }
            scale
        }),
        Dtype::Q4_0 => encode_tiles(out, format, rows, d_in, |block, r, x| {
            let (scale, codes) = quantize_block_q4_0(x);
            for (column, code) in codes.into_iter().enumerate() {
                let (at, shift) = q4_0_at(r, column);
                block[at] |= code << shift;
            }
            scale
        }),
    }
    payload::check_stored(format, out, n_rows, d_in, 0, usize::MAX).map(|_| ())
}

fn encode_elements<const N: usize>(out: &mut [u8], values: &[f32], encode: fn(f32) -> [u8; N]) {
    let (elements, _) = out.as_chunks_mut::<N>();
    for (element, &value) in elements.iter_mut().zip(values) {
        *element = encode(value);
    }
}

fn encode_tiles(
    out: &mut [u8],
    format: &Format,
    rows: &[f32],
    d_in: usize,
    encode: impl Fn(&mut [u8], usize, &[f32; BLOCK_LEN]) -> u16,
) {
    out.fill(0);
    if rows.is_empty() {
        return;
    }
    let tile_block_bytes = format.block_bytes * TILE_ROWS;
    let tiles = out.chunks_exact_mut(d_in / BLOCK_LEN * tile_block_bytes);
    for (tile, rows) in tiles.zip(rows.chunks(d_in * TILE_ROWS)) {
        for (r, row) in rows.chunks_exact(d_in).enumerate() {
            let (blocks, _) = row.as_chunks::<BLOCK_LEN>();
            for (block, x) in tile.chunks_exact_mut(tile_block_bytes).zip(blocks) {
                let scale = encode(block, r, x).to_le_bytes();
                block[scale_at(r)..scale_at(r) + 2].copy_from_slice(&scale);
            }
        }
    }
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
        Dtype::Q8_0 => decode_tile(out, w, row_idx, |block, r, column| {
            block[q8_0_at(r, column)].cast_signed()
        }),
        Dtype::Q4_0 => decode_tile(out, w, row_idx, |block, r, column| {
            let (at, shift) = q4_0_at(r, column);
            (block[at] >> shift & 15).cast_signed() - 8
        }),
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

fn decode_tile(
    out: &mut [f32],
    w: TensorRef<'_>,
    row_idx: usize,
    code: impl Fn(&[u8], usize, usize) -> i8,
) {
    let tile_block_bytes = w.format.block_bytes * TILE_ROWS;
    let tile_bytes = w.d_in / BLOCK_LEN * tile_block_bytes;
    let tile = &w.bytes[row_idx / TILE_ROWS * tile_bytes..][..tile_bytes];
    let r = row_idx % TILE_ROWS;
    let (blocks, _) = out.as_chunks_mut::<BLOCK_LEN>();
    for (out, block) in blocks.iter_mut().zip(tile.chunks_exact(tile_block_bytes)) {
        let at = scale_at(r);
        let scale = f16_to_f32(u16::from_le_bytes([block[at], block[at + 1]]));
        for (column, out) in out.iter_mut().enumerate() {
            *out = scale * f32::from(code(block, r, column));
        }
    }
}
