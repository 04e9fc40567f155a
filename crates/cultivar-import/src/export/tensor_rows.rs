//! One tensor on its way out: stored tiles into rows of the other format, a chunk at a time; where
//! the other format weaves rows of several tensors into one or turns them, all at once.

use crate::error::{ImportError, ImportErrorKind};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::memory;
use cultivar_core::package::Entry;
use cultivar_core::tensor::{Format, Layout, TensorRef, codec, tile};

/// A layer has fewer tensors than this.
const LAYER_TENSORS_MAX: usize = 32;

/// How the other file's tensor is made of the rows of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weave {
    /// The parts' rows follow one another.
    No,
    /// Row `i` holds element `i` of every row of every part: `[d_in, d_out]`.
    Columns,
    /// Per head so many rows of each part.
    Heads(usize),
}

/// A tensor of the package and what becomes of it.
#[derive(Clone, Debug)]
pub(super) struct OutTensor {
    /// Its name in the other file.
    pub name: String,
    /// Its name in the package.
    pub source_name: String,
    /// How the package stores it.
    pub stored: &'static Format,
    /// How the other file stores its elements, in rows.
    pub format: &'static Format,
    pub d_out: usize,
    pub d_in: usize,
    /// Its dimensions, outermost first.
    pub shape: Vec<u64>,
    /// Where it begins in the package.
    pub stored_offset: u64,
    /// Where it begins in the other file.
    pub offset: u64,
    /// The multiple at which the next tensor begins.
    pub alignment: u64,
    /// Rows of a head whose halves become rotary neighbours; 0 if rows stay.
    pub head_dim: usize,
    /// Whether 1 is taken from each element (norms that are stored as differences from 1).
    pub is_less_one: bool,
    /// How it stands with the other parts of its tensor.
    pub weave: Weave,
}

/// Adds a tensor behind the other parts of the same name; they are of one layer.
pub(super) fn put_beside_its_parts(tensors: &mut Vec<OutTensor>, tensor: OutTensor) {
    let recent = tensors.len().saturating_sub(LAYER_TENSORS_MAX);
    let mut others = tensors.iter().skip(recent);
    match others.rposition(|other| other.name == tensor.name) {
        Some(idx) => tensors.insert(recent + idx + 1, tensor),
        None => tensors.push(tensor),
    }
}

/// The rows of a tensor's parts, each whole, as the other file has them.
pub(super) fn woven(parts: &[OutTensor], rows: &[u8]) -> Result<Vec<u8>, ImportError> {
    let mut out = memory::reserved(rows.len()).ok_or_else(|| no_memory(rows.len()))?;
    let mut rest = rows;
    let blocks: Vec<(&OutTensor, &[u8])> = parts
        .iter()
        .map(|part| {
            let (own, behind) = rest.split_at(rest.len().min(part.n_bytes() as usize));
            rest = behind;
            (part, own)
        })
        .collect();
    match parts.first().map(|part| part.weave) {
        Some(Weave::Columns) => {
            let element = |part: &OutTensor| part.format.block_bytes;
            for column in 0..parts.first().map_or(0, |part| part.d_in) {
                for (part, block) in &blocks {
                    for row in block.chunks_exact((part.row_bytes() as usize).max(1)) {
                        let at = column * element(part);
                        out.extend_from_slice(row.get(at..at + element(part)).unwrap_or_default());
                    }
                }
            }
        }
        Some(Weave::Heads(n_rows)) => {
            for head in 0..parts.first().map_or(0, |part| part.d_out / n_rows.max(1)) {
                for (part, block) in &blocks {
                    let head_bytes = n_rows * part.row_bytes() as usize;
                    let at = head * head_bytes;
                    out.extend_from_slice(block.get(at..at + head_bytes).unwrap_or_default());
                }
            }
        }
        _ => out.extend_from_slice(rows),
    }
    Ok(out)
}

impl OutTensor {
    /// A tensor of the package under another name; its place is set later.
    pub(super) fn new(entry: &Entry, name: String, format: &'static Format) -> OutTensor {
        let is_vector = entry.shape.len() == 1;
        let (d_out, d_in) = (entry.d_out(), entry.d_in());
        OutTensor {
            name,
            source_name: entry.name.clone(),
            stored: entry.format,
            format,
            // A vector's elements may change places as rows do.
            d_out: if is_vector { d_in } else { d_out },
            d_in: if is_vector { 1 } else { d_in },
            shape: entry.shape.clone(),
            stored_offset: entry.offset,
            offset: 0,
            alignment: 1,
            head_dim: 0,
            is_less_one: false,
            weave: Weave::No,
        }
    }

    pub(super) fn is_requantized(&self) -> bool {
        self.format.name != self.stored.name
    }

    pub(super) fn note(&self) -> String {
        let (name, from, to) = (&self.source_name, self.stored.name, self.format.name);
        format!("{name}: {from} became {to}")
    }

    /// Bytes of one row in the other file.
    pub(super) fn row_bytes(&self) -> u64 {
        let block = (self.format.block_len * self.format.super_blocks) as u64;
        self.d_in as u64 / block * self.format.block_bytes as u64
    }

    /// How many bytes it has in the other file.
    pub(super) fn n_bytes(&self) -> u64 {
        self.row_bytes() * self.d_out as u64
    }

    /// Where row `row` begins in the other file.
    pub(super) fn place(&self, row: usize) -> u64 {
        self.offset + self.row_bytes() * row as u64
    }

    /// Where the next tensor begins in the other file.
    pub(super) fn padded_end(&self) -> u64 {
        (self.offset + self.n_bytes()).next_multiple_of(self.alignment)
    }

    /// How many rows the chunk from row `from` on has: whole tiles and heads, or the rest; all rows
    /// of what is woven.
    pub(super) fn next_rows(&self, from: usize, budget_bytes: u64) -> usize {
        if self.weave != Weave::No {
            return self.d_out - from;
        }
        let mut group = self.stored.tile_rows.max(1);
        while self.head_dim > 0 && !group.is_multiple_of(self.head_dim) {
            group += self.stored.tile_rows.max(1);
        }
        let n_groups = budget_bytes / (self.d_in as u64 * 4 * group as u64);
        (n_groups.max(1) as usize * group).min(self.d_out - from)
    }

    /// Where the rows of a chunk lie in the package.
    pub(super) fn stored_range(&self, from: usize, n_rows: usize) -> (u64, u64) {
        let bytes = |rows: usize| self.stored.stored_bytes(rows as u64, self.d_in as u64);
        let before = bytes(from).unwrap_or_default();
        (
            self.stored_offset + before,
            bytes(n_rows).unwrap_or_default(),
        )
    }

    /// The row of a chunk in our order that becomes row `row`.
    fn source_row(&self, row: usize) -> usize {
        match self.head_dim {
            0 => row,
            head_dim => {
                let (first, within) = (row - row % head_dim, row % head_dim);
                first + within % 2 * (head_dim / 2) + within / 2
            }
        }
    }

    /// Writes the chunk's rows into `out`.
    pub(super) fn convert(
        &self,
        bytes: &[u8],
        n_rows: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), ImportError> {
        let row_bytes = self.row_bytes() as usize;
        let rows = if !self.is_requantized() && !self.is_less_one {
            self.kept(bytes, n_rows)?
        } else {
            self.recoded(bytes, n_rows)?
        };
        out.clear();
        out.try_reserve_exact(rows.len())
            .map_err(|_| no_memory(rows.len()))?;
        for row in 0..n_rows {
            let start = self.source_row(row) * row_bytes;
            out.extend_from_slice(rows.get(start..start + row_bytes).unwrap_or(&[]));
        }
        Ok(())
    }

    /// Rows in our order, their bits as stored.
    fn kept(&self, bytes: &[u8], n_rows: usize) -> Result<Vec<u8>, ImportError> {
        self.in_row_order(self.stored, bytes, n_rows)
    }

    fn in_row_order(
        &self,
        format: &'static Format,
        bytes: &[u8],
        n_rows: usize,
    ) -> Result<Vec<u8>, ImportError> {
        if format.layout == Layout::Rows {
            return Ok(bytes.to_vec());
        }
        let n_bytes = n_rows * self.row_bytes() as usize;
        let mut rows = memory::filled(0_u8, n_bytes).ok_or_else(|| no_memory(n_bytes))?;
        tile::tiles_to_rows(&mut rows, format, bytes, n_rows, self.d_in)
            .map_err(|_| self.refuse())?;
        Ok(rows)
    }

    /// Rows in our order, decoded and encoded again.
    fn recoded(&self, bytes: &[u8], n_rows: usize) -> Result<Vec<u8>, ImportError> {
        let n = n_rows * self.d_in;
        let mut values = memory::filled(0.0_f32, n).ok_or_else(|| no_memory(n * 4))?;
        let view = TensorRef {
            format: self.stored,
            d_out: n_rows,
            d_in: self.d_in,
            bytes,
        };
        for (row_idx, row) in values.chunks_exact_mut(self.d_in).enumerate() {
            codec::decode_row(row, view, row_idx);
            if self.is_less_one {
                row.iter_mut().for_each(|value| *value -= 1.0);
            }
        }
        let n_bytes = self.format.stored_bytes(n_rows as u64, self.d_in as u64);
        let n_bytes = n_bytes.ok_or_else(|| self.refuse())? as usize;
        let mut stored = memory::filled(0_u8, n_bytes).ok_or_else(|| no_memory(n_bytes))?;
        codec::encode_rows(&mut stored, self.format, &values, n_rows, self.d_in)
            .map_err(|_| self.refuse())?;
        self.in_row_order(self.format, &stored, n_rows)
    }

    fn refuse(&self) -> ImportError {
        ImportError::new(ImportErrorKind::DoesNotFit).field(&self.source_name)
    }
}

fn no_memory(n_bytes: usize) -> ImportError {
    ImportError::new(ImportErrorKind::OutOfMemory).numbers(n_bytes as u64, 0)
}
