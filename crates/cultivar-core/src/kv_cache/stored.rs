//! Pages as bytes, little-endian, for snapshots: written from the cache, read into it again.
//!
//! What is read is never named, so that bytes from outside cannot reach another sequence.

use super::group::{GONE, first_kept};
use super::page::{KvFormat, KvShape, PAGE_LEN, Page};
use super::{KvCache, KvError, KvErrorKind, SequenceId};
use alloc::vec::Vec;

impl KvCache {
    /// The shape of what a position stores.
    pub fn shape(&self) -> KvShape {
        self.shape
    }

    /// Bytes of the pages of the first `n` positions, without those behind windows.
    pub fn stored_bytes(&self, n: usize, format: KvFormat) -> u64 {
        let stored = self.groups.iter().map(|group| {
            let n_pages = n.div_ceil(PAGE_LEN) - first_kept(group.window, n);
            group.pools[format.index()]
                .page_bytes()
                .saturating_mul(n_pages as u64)
        });
        stored.fold(0, u64::saturating_add)
    }

    /// Appends the pages of the first `n` positions of a sequence, group by group, without those
    /// behind windows; rows behind them, where old ones of anybody may stand, are written as
    /// zeros.
    pub fn write_pages(&self, id: SequenceId, n: usize, out: &mut Vec<u8>) -> Result<(), KvError> {
        let sequence = self.get(id)?;
        if n > sequence.len {
            let kind = KvErrorKind::NotPrepared;
            return Err(KvError::new(kind, n as u64, sequence.len as u64));
        }
        let n_bytes = usize::try_from(self.stored_bytes(n, sequence.format));
        let room = n_bytes.map(|n_bytes| out.try_reserve_exact(n_bytes));
        if !matches!(room, Ok(Ok(()))) {
            return Err(KvError::memory());
        }
        let n_pages = n.div_ceil(PAGE_LEN);
        for (group, pages) in self.groups.iter().zip(&sequence.pages) {
            let pool = &group.pools[sequence.format.index()];
            for page_idx in first_kept(group.window, n)..n_pages {
                if let Some(page) = pages.get(page_idx).and_then(|index| pool.page(*index)) {
                    let n_rows = Ord::min(n - page_idx * PAGE_LEN, PAGE_LEN);
                    page.write_bytes(out, self.shape.head_dim, n_rows);
                }
            }
        }
        Ok(())
    }

    /// Fills the first `n` positions of an empty sequence from bytes that
    /// [`KvCache::write_pages`] gave for this shape and format, and commits them.
    pub fn read_pages(&mut self, id: SequenceId, n: usize, bytes: &[u8]) -> Result<(), KvError> {
        let sequence = self.get(id)?;
        if n > sequence.max_len {
            let (given, limit) = (n as u64, sequence.max_len as u64);
            return Err(KvError::new(KvErrorKind::SequenceFull, given, limit));
        }
        for group_idx in 0..self.groups.len() {
            let first = first_kept(self.groups[group_idx].window, n);
            let sequence = self.get_mut(id)?;
            sequence.pages[group_idx].resize(first, GONE);
            sequence.n_gone[group_idx] = first;
        }
        self.prepare(id, n)?;
        let index = self.index_of(id)?;
        let sequence = &self.sequences[index];
        let mut bytes = bytes;
        for (group_idx, group) in self.groups.iter_mut().enumerate() {
            let pool = &mut group.pools[sequence.format.index()];
            for page in sequence.held(group_idx) {
                let n_bytes = Ord::min(pool.page_bytes() as usize, bytes.len());
                let (of_page, rest) = bytes.split_at(n_bytes);
                bytes = rest;
                if let Some(page) = pool.page_mut(*page) {
                    page.read_bytes(of_page);
                }
            }
        }
        self.commit(id, n)
    }
}

impl Page {
    fn write_bytes(&self, out: &mut Vec<u8>, width: usize, n_rows: usize) {
        // Rows of a run stand together, so a row's place in its run follows from its index.
        let is_used = |row: usize| row % PAGE_LEN < n_rows;
        match self {
            Self::F32(elements) => {
                for (i, v) in elements.iter().enumerate() {
                    let v = if is_used(i / width) { *v } else { 0.0 };
                    out.extend_from_slice(&v.to_le_bytes());
                }
            }
            Self::F16(elements) => {
                for (i, v) in elements.iter().enumerate() {
                    let v = if is_used(i / width) { *v } else { 0 };
                    out.extend_from_slice(&v.to_le_bytes());
                }
            }
            Self::Q8 { codes, scales } => {
                for (i, code) in codes.iter().enumerate() {
                    out.push(if is_used(i / width) { *code as u8 } else { 0 });
                }
                for (row, v) in scales.iter().enumerate() {
                    let v = if is_used(row) { *v } else { 0.0 };
                    out.extend_from_slice(&v.to_le_bytes());
                }
            }
        }
    }

    fn read_bytes(&mut self, bytes: &[u8]) {
        let floats = |elements: &mut [f32], bytes: &[u8]| {
            let (words, _) = bytes.as_chunks();
            for (element, word) in elements.iter_mut().zip(words) {
                *element = f32::from_le_bytes(*word);
            }
        };
        match self {
            Self::F32(elements) => floats(elements, bytes),
            Self::F16(elements) => {
                let (words, _) = bytes.as_chunks();
                for (element, word) in elements.iter_mut().zip(words) {
                    *element = u16::from_le_bytes(*word);
                }
            }
            Self::Q8 { codes, scales } => {
                let (of_codes, of_scales) = bytes.split_at(codes.len().min(bytes.len()));
                for (code, byte) in codes.iter_mut().zip(of_codes) {
                    *code = *byte as i8;
                }
                floats(scales, of_scales);
            }
        }
    }
}
