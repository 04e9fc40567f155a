//! Key/value cache: fixed pages of positions, shared by reference between sequences.
//!
//! A sequence is a list of pages and a committed length. Fork shares pages; the first write to a
//! shared page copies it; rewind gives pages back. New positions become visible only by `commit`,
//! so a token is in the cache wholly or not at all. Pages are allocated when a sequence is opened,
//! forked or rewound, never while tokens are computed. Whole pages are named by their content and
//! found again by whoever comes to the same tokens, also when nobody holds them any more.

mod error;
mod page;
mod page_key;
mod pool;
mod reuse;
mod stored;

pub use error::{KvError, KvErrorKind};
pub use page::{KvFormat, KvShape, PAGE_LEN};
pub use page_key::{AssemblyChange, Content, root_key};
pub use reuse::{KvBudget, PageCounts};

use crate::digest::Digest;
use crate::kernels::{Backend, elementwise};
use crate::memory::reserved;
use alloc::vec::Vec;
use pool::PagePool;

/// Names a sequence of one cache; never reused, so a stale one is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceId(u64);

/// One row of positions: its pages in order, how many positions are committed, and its limit.
struct Sequence {
    id: SequenceId,
    format: KvFormat,
    pages: Vec<u32>,
    /// Names of the first pages, which are whole.
    keys: Vec<Digest>,
    len: usize,
    max_len: usize,
}

impl Sequence {
    /// The page that the next position goes to, if the sequence has it already.
    fn next_page(&self) -> Option<u32> {
        self.pages.get(self.len / PAGE_LEN).copied()
    }
}

/// Which stored vectors to read: one layer's key/value head of one sequence.
#[derive(Clone, Copy)]
pub struct HeadAddress {
    /// The sequence.
    pub sequence: SequenceId,
    /// Layer index.
    pub layer: usize,
    /// Key/value head index.
    pub kv_head: usize,
}

/// What a query sees of its sequence, and how it weighs it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// The first position seen: 0, or where a sliding window begins.
    pub first: usize,
    /// Factor on the products of query and keys.
    pub scale: f32,
    /// Scores are capped smoothly at plus and minus this; 0 is off.
    pub softcap: f32,
}

/// The keys and values of all sequences of one model.
///
/// Sequences of all storage formats live side by side; each format has pages of its own.
pub struct KvCache {
    pools: [PagePool; KvFormat::ALL.len()],
    sequences: Vec<Sequence>,
    next_id: u64,
    budget: KvBudget,
    peak_bytes: u64,
    /// Counts releases, to tell which came first.
    now: u64,
}

impl KvCache {
    /// An empty cache for heads of this shape.
    pub fn new(shape: KvShape) -> Self {
        Self {
            pools: KvFormat::ALL.map(|format| PagePool::new(shape, format)),
            sequences: Vec::new(),
            next_id: 1,
            budget: KvBudget::default(),
            peak_bytes: 0,
            now: 0,
        }
    }

    /// Bytes of the pages now allocated: in use, waiting, or retained for their content.
    pub fn allocated_bytes(&self) -> u64 {
        self.pools.iter().map(PagePool::allocated_bytes).sum()
    }

    /// Bytes of the pages that hold at least one committed or prepared position.
    pub fn used_bytes(&self) -> u64 {
        self.pools.iter().map(PagePool::used_bytes).sum()
    }

    /// Opens an empty sequence with room for `max_len` positions, stored in `format`.
    pub fn open(&mut self, max_len: usize, format: KvFormat) -> Result<SequenceId, KvError> {
        let id = self.insert((Vec::new(), Vec::new()), 0, max_len, format)?;
        self.balance_or_undo(id)
    }

    /// Opens a sequence that shares all committed positions of `source`.
    pub fn fork(&mut self, source: SequenceId) -> Result<SequenceId, KvError> {
        let original = self.get(source)?;
        let (len, max_len, format) = (original.len, original.max_len, original.format);
        let n_pages = max_len.div_ceil(PAGE_LEN);
        let (pages, keys) = (reserved(n_pages), reserved(n_pages));
        let (Some(mut pages), Some(mut keys)) = (pages, keys) else {
            return Err(KvError::memory());
        };
        pages.extend_from_slice(&original.pages[..len.div_ceil(PAGE_LEN)]);
        keys.extend_from_slice(&original.keys);
        for &page in &pages {
            self.pools[format.index()].share(page);
        }
        let id = self.insert((pages, keys), len, max_len, format)?;
        self.balance_or_undo(id)
    }

    /// Forgets a sequence; pages that no other sequence shares are freed, or retained within the
    /// budget if their content has a name.
    pub fn close(&mut self, id: SequenceId) {
        if let Some(index) = self.sequences.iter().position(|s| s.id == id) {
            let sequence = self.sequences.swap_remove(index);
            // From the end on, so that a beginning is retained longer than what follows it.
            for page in sequence.pages.into_iter().rev() {
                self.now += 1;
                self.pools[sequence.format.index()].release(page, self.now);
            }
            // Only gives memory back: nothing new is needed, so this cannot fail.
            let _ = self.balance();
        }
    }

    /// Committed positions of a sequence.
    pub fn len(&self, id: SequenceId) -> Result<usize, KvError> {
        Ok(self.get(id)?.len)
    }

    /// Positions that a sequence can hold.
    pub fn max_len(&self, id: SequenceId) -> Result<usize, KvError> {
        Ok(self.get(id)?.max_len)
    }

    /// Goes back to the first `len` positions.
    pub fn rewind(&mut self, id: SequenceId, len: usize) -> Result<(), KvError> {
        let sequence = self.get_mut(id)?;
        if len > sequence.len {
            return Err(KvError::new(
                KvErrorKind::RewindForward,
                len as u64,
                sequence.len as u64,
            ));
        }
        let index = self.index_of(id)?;
        let Sequence { pages, format, .. } = &self.sequences[index];
        let (n_kept, format_idx) = (len.div_ceil(PAGE_LEN), format.index());
        let pool = &self.pools[format_idx];
        let dropped = pages.get(n_kept..).unwrap_or(&[]);
        let n_shared = dropped.iter().filter(|page| pool.is_shared(**page)).count();
        // What may be needed more than before is had first, so that a refusal changes nothing:
        // pages that others go on holding, and a copy of the page that is now the last.
        self.reserve(format_idx, n_shared + 1)?;
        let sequence = &mut self.sequences[index];
        sequence.len = len;
        sequence.keys.truncate(len / PAGE_LEN);
        let n_kept = n_kept.min(sequence.pages.len());
        for page in sequence.pages.drain(n_kept..).rev() {
            self.now += 1;
            self.pools[format_idx].release(page, self.now);
        }
        self.balance()
    }

    /// Makes the next `n` positions of a sequence writable: takes pages, copies a shared one.
    /// They stay invisible to [`KvCache::len`] until [`KvCache::commit`]. Does not allocate.
    pub fn prepare(&mut self, id: SequenceId, n: usize) -> Result<(), KvError> {
        let index = self.index_of(id)?;
        let sequence = &mut self.sequences[index];
        let pool = &mut self.pools[sequence.format.index()];
        let end = sequence.len + n;
        if end > sequence.max_len {
            let (end, max) = (end as u64, sequence.max_len as u64);
            return Err(KvError::new(KvErrorKind::SequenceFull, end, max));
        }
        if n > 0
            && let Some(last) = sequence.pages.get_mut(sequence.len / PAGE_LEN)
        {
            self.now += 1;
            *last = pool.make_own(*last, self.now)?;
        }
        while sequence.pages.len() < end.div_ceil(PAGE_LEN) {
            sequence.pages.push(pool.take()?);
        }
        Ok(())
    }

    /// Stores key and value of one prepared position: `key, value: [head_dim]`, rounded to the
    /// cache's format.
    pub fn write(
        &mut self,
        at: HeadAddress,
        position: usize,
        key: &[f32],
        value: &[f32],
    ) -> Result<(), KvError> {
        let index = self.index_of(at.sequence)?;
        let Sequence { pages, format, .. } = &self.sequences[index];
        let Some(&page) = pages.get(position / PAGE_LEN) else {
            let prepared = pages.len() * PAGE_LEN;
            let kind = KvErrorKind::NotPrepared;
            return Err(KvError::new(kind, position as u64, prepared as u64));
        };
        let pool = &mut self.pools[format.index()];
        pool.write(page, at.layer, at.kv_head, position % PAGE_LEN, key, value);
        Ok(())
    }

    /// Makes `n` prepared positions part of the sequence.
    pub fn commit(&mut self, id: SequenceId, n: usize) -> Result<(), KvError> {
        let sequence = self.get_mut(id)?;
        let end = sequence.len + n;
        let prepared = sequence.pages.len() * PAGE_LEN;
        if end > prepared {
            return Err(KvError::new(
                KvErrorKind::NotPrepared,
                end as u64,
                prepared as u64,
            ));
        }
        sequence.len = end;
        Ok(())
    }

    /// Takes back the last `n` committed positions without giving anything away: pages stay for
    /// the positions that come instead. Does not allocate.
    pub fn uncommit(&mut self, id: SequenceId, n: usize) -> Result<(), KvError> {
        let sequence = self.get_mut(id)?;
        let Some(len) = sequence.len.checked_sub(n) else {
            let kind = KvErrorKind::RewindForward;
            return Err(KvError::new(kind, n as u64, sequence.len as u64));
        };
        sequence.len = len;
        sequence.keys.truncate(len / PAGE_LEN);
        Ok(())
    }

    /// Attention of one query head over the positions `first..first + scores.len()`, the last of
    /// which is the query's own (Vaswani et al., 2017).
    ///
    /// `out, query: [head_dim]`. Scores are `dot(query, key) * scale`, read as stored, and then
    /// `cap * tanh(score / cap)` where there is a cap; `out = sum_p exp(score_p - max) * value_p /
    /// sum_p exp(score_p - max)`, positions ascending, each in the partial sum of its absolute
    /// position, so the result does not depend on pages or on what else is computed.
    pub fn attend(
        &self,
        backend: Backend,
        out: &mut [f32],
        query: &[f32],
        at: HeadAddress,
        scores: &mut [f32],
        view: View,
    ) -> Result<(), KvError> {
        let sequence = self.get(at.sequence)?;
        let (first, end) = (view.first, view.first + scores.len());
        let prepared = sequence.pages.len() * PAGE_LEN;
        if end > prepared {
            let kind = KvErrorKind::NotPrepared;
            return Err(KvError::new(kind, end as u64, prepared as u64));
        }
        let pool = &self.pools[sequence.format.index()];
        let head = (at.layer, at.kv_head);
        let mut start = first;
        while start < end {
            let part = &mut scores[start - first..page_end(start, end) - first];
            let page = sequence.pages[start / PAGE_LEN];
            let slot = start % PAGE_LEN;
            pool.scores(backend, page, part, query, (head, slot), view.scale);
            start = page_end(start, end);
        }
        if view.softcap > 0.0 {
            elementwise::soft_cap(scores, view.softcap);
        }
        let max = elementwise::max(scores);
        let sum = elementwise::exp_sum(scores, max, first);
        out.fill(0.0);
        let mut start = first;
        while start < end {
            let part = &scores[start - first..page_end(start, end) - first];
            let page = sequence.pages[start / PAGE_LEN];
            pool.add_values(page, out, part, (head, start % PAGE_LEN));
            start = page_end(start, end);
        }
        elementwise::scale(out, 1.0 / sum);
        Ok(())
    }

    fn insert(
        &mut self,
        (mut pages, mut keys): (Vec<u32>, Vec<Digest>),
        len: usize,
        max_len: usize,
        format: KvFormat,
    ) -> Result<SequenceId, KvError> {
        let id = SequenceId(self.next_id);
        let room = max_len.div_ceil(PAGE_LEN).saturating_sub(pages.len());
        let reserved = pages
            .try_reserve_exact(room)
            .and(keys.try_reserve_exact(max_len.div_ceil(PAGE_LEN) - keys.len()))
            .and(self.sequences.try_reserve(1));
        if reserved.is_err() {
            for page in pages {
                self.pools[format.index()].release(page, self.now);
            }
            return Err(KvError::memory());
        }
        self.next_id += 1;
        self.sequences.push(Sequence {
            id,
            format,
            pages,
            keys,
            len,
            max_len,
        });
        Ok(id)
    }

    fn balance_or_undo(&mut self, id: SequenceId) -> Result<SequenceId, KvError> {
        match self.balance() {
            Ok(()) => Ok(id),
            Err(error) => {
                self.close(id);
                Err(error)
            }
        }
    }

    fn index_of(&self, id: SequenceId) -> Result<usize, KvError> {
        self.sequences
            .iter()
            .position(|s| s.id == id)
            .ok_or(KvError::new(KvErrorKind::UnknownSequence, id.0, 0))
    }

    fn get(&self, id: SequenceId) -> Result<&Sequence, KvError> {
        Ok(&self.sequences[self.index_of(id)?])
    }

    fn get_mut(&mut self, id: SequenceId) -> Result<&mut Sequence, KvError> {
        let index = self.index_of(id)?;
        Ok(&mut self.sequences[index])
    }
}

/// Where the page of position `start` ends, at most at `end`.
fn page_end(start: usize, end: usize) -> usize {
    ((start / PAGE_LEN + 1) * PAGE_LEN).min(end)
}

#[cfg(test)]
mod tests;
