//! Key/value cache: fixed pages of positions, shared by reference between sequences.
//!
//! A sequence is a list of pages and a committed length. Fork shares pages; the first write to a
//! shared page copies it; rewind gives pages back. New positions become visible only by `commit`,
//! so a token is in the cache wholly or not at all. Pages are allocated when a sequence is given
//! room, forked or rewound, never while tokens are computed. Whole pages are named by their
//! content and found again by whoever comes to the same tokens, also when nobody holds them any
//! more. Layers with a sliding window have pages of their own, given back behind the window.

mod error;
mod group;
mod page;
mod page_key;
mod pool;
mod reuse;
mod stored;

pub use error::{KvError, KvErrorKind};
pub use group::Window;
pub(crate) use group::pages_at_once;
pub use page::{KvFormat, KvShape, PAGE_LEN};
pub use page_key::{AssemblyChange, Content, root_key};
pub use reuse::{KvBudget, PageCounts};

use crate::kernels::{Backend, elementwise};
use crate::memory::reserved;
use alloc::vec::Vec;
use group::{GONE, GROUPS_MAX, Group, Sequence, first_kept, first_needed};
use pool::PagePool;

/// Names a sequence of one cache; never reused, so a stale one is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceId(u64);

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

/// Where the keys and values of a layer stand: its group, and its place in that.
#[derive(Clone, Copy)]
struct LayerPlace {
    group: usize,
    layer: usize,
}

/// The keys and values of all sequences of one model.
///
/// Sequences of all storage formats live side by side; each format has pages of its own.
pub struct KvCache {
    shape: KvShape,
    groups: Vec<Group>,
    /// `[n_layers]`.
    places: Vec<LayerPlace>,
    /// Rows of one batch at most.
    max_rows: usize,
    sequences: Vec<Sequence>,
    next_id: u64,
    budget: KvBudget,
    peak_bytes: u64,
    /// Counts releases, to tell which came first.
    now: u64,
}

impl KvCache {
    /// An empty cache for heads of this shape and batches of `max_rows`; `None` if memory cannot
    /// be had. `windows: [n_layers]`, of which one may differ from `None`.
    pub fn new(
        shape: KvShape,
        windows: impl Iterator<Item = Window> + Clone,
        max_rows: usize,
    ) -> Option<Self> {
        let mut groups = reserved(GROUPS_MAX)?;
        let mut places = reserved(shape.n_layers)?;
        let sliding = windows.clone().find(Option::is_some).flatten();
        places.extend(
            windows
                .clone()
                .take(shape.n_layers)
                .map(|_| LayerPlace { group: 0, layer: 0 }),
        );
        for window in core::iter::once(None).chain(sliding.map(Some)) {
            let is_in = |of_layer: Window| of_layer.is_some() == window.is_some();
            let mut n_layers = 0;
            for (place, _) in places
                .iter_mut()
                .zip(windows.clone())
                .filter(|(_, w)| is_in(*w))
            {
                let (group, layer) = (groups.len(), n_layers);
                *place = LayerPlace { group, layer };
                n_layers += 1;
            }
            if n_layers > 0 {
                groups.push(Group::new(KvShape { n_layers, ..shape }, window));
            }
        }
        Some(Self {
            shape,
            groups,
            places,
            max_rows,
            sequences: Vec::new(),
            next_id: 1,
            budget: KvBudget::default(),
            peak_bytes: 0,
            now: 0,
        })
    }

    fn pools(&self) -> impl Iterator<Item = &PagePool> {
        self.groups.iter().flat_map(|group| &group.pools)
    }

    /// Bytes of the pages now allocated: in use, waiting, or retained for their content.
    pub fn allocated_bytes(&self) -> u64 {
        self.pools().map(PagePool::allocated_bytes).sum()
    }

    /// Those of them that belong to layers with a sliding window.
    pub fn sliding_bytes(&self) -> u64 {
        let sliding = self.groups.iter().filter(|group| group.window.is_some());
        let pools = sliding.flat_map(|group| &group.pools);
        pools.map(PagePool::allocated_bytes).sum()
    }

    /// Bytes of the pages that hold at least one committed or prepared position.
    pub fn used_bytes(&self) -> u64 {
        self.pools().map(PagePool::used_bytes).sum()
    }

    /// Opens an empty sequence with room for `max_len` positions, stored in `format`.
    pub fn open(&mut self, max_len: usize, format: KvFormat) -> Result<SequenceId, KvError> {
        let id = SequenceId(self.next_id);
        self.insert(Sequence::new(id, format), max_len)
    }

    /// Opens a sequence that shares all committed positions of `source`.
    pub fn fork(&mut self, source: SequenceId) -> Result<SequenceId, KvError> {
        let original = self.get(source)?;
        let max_len = original.max_len;
        let mut fork = Sequence::new(SequenceId(self.next_id), original.format);
        fork.reserve(max_len).ok_or(KvError::memory())?;
        fork.len = original.len;
        fork.longest = original.longest;
        fork.n_gone = original.n_gone;
        fork.keys.extend_from_slice(&original.keys);
        let n_pages = fork.len.div_ceil(PAGE_LEN);
        for (list, pages) in fork.pages.iter_mut().zip(&original.pages) {
            list.extend(pages.iter().take(n_pages));
        }
        for (group_idx, group) in self.groups.iter_mut().enumerate() {
            for &page in fork.held(group_idx) {
                group.pools[fork.format.index()].share(page);
            }
        }
        self.insert(fork, max_len)
    }

    /// Forgets a sequence; pages that no other sequence shares are freed, or retained within the
    /// budget if their content has a name.
    pub fn close(&mut self, id: SequenceId) {
        if let Some(index) = self.sequences.iter().position(|s| s.id == id) {
            let mut sequence = self.sequences.swap_remove(index);
            self.release_from(&mut sequence, 0);
            // Only gives memory back: nothing new is needed, so this cannot fail.
            let _ = self.balance();
        }
    }

    /// Releases the pages of a sequence from the `n_kept`-th on, the last ones first, so that a
    /// beginning is retained longer than what follows it.
    fn release_from(&mut self, sequence: &mut Sequence, n_kept: usize) {
        for page_idx in (n_kept..sequence.pages[0].len()).rev() {
            self.now += 1;
            for (group, pages) in self.groups.iter_mut().zip(&mut sequence.pages) {
                if let Some(page) = pages.pop().filter(|page| *page != GONE) {
                    group.pools[sequence.format.index()].release(page, self.now);
                }
            }
            for n_gone in &mut sequence.n_gone {
                *n_gone = Ord::min(*n_gone, page_idx);
            }
        }
    }

    /// Gives a sequence room for so many positions, but at least for those that it has. Refused
    /// without a change.
    pub fn set_room(&mut self, id: SequenceId, max_len: usize) -> Result<(), KvError> {
        let sequence = self.get_mut(id)?;
        let max_len = Ord::max(max_len, sequence.len);
        sequence.reserve(max_len).ok_or(KvError::memory())?;
        let had = core::mem::replace(&mut sequence.max_len, max_len);
        let balanced = self.balance();
        if balanced.is_err() {
            self.get_mut(id)?.max_len = had;
            let _ = self.balance();
        }
        balanced
    }

    /// Makes room for batches of so many rows. Refused without a change.
    pub fn set_max_rows(&mut self, max_rows: usize) -> Result<(), KvError> {
        let had = core::mem::replace(&mut self.max_rows, max_rows);
        let balanced = self.balance();
        if balanced.is_err() {
            self.max_rows = had;
            let _ = self.balance();
        }
        balanced
    }

    /// Committed positions of a sequence.
    pub fn len(&self, id: SequenceId) -> Result<usize, KvError> {
        Ok(self.get(id)?.len)
    }

    /// Positions that a sequence can hold.
    pub fn max_len(&self, id: SequenceId) -> Result<usize, KvError> {
        Ok(self.get(id)?.max_len)
    }

    /// Goes back to the first `len` positions; answers how many are kept: none where a window
    /// would begin in pages that were given back.
    pub fn rewind(&mut self, id: SequenceId, len: usize) -> Result<usize, KvError> {
        let index = self.index_of(id)?;
        let sequence = &mut self.sequences[index];
        if len > sequence.len {
            let (given, limit) = (len as u64, sequence.len as u64);
            return Err(KvError::new(KvErrorKind::RewindForward, given, limit));
        }
        let longest = Ord::max(sequence.longest, sequence.len);
        sequence.longest = longest;
        let lacks =
            |group: &Group| first_needed(group.window, len) < first_kept(group.window, longest);
        let len = match self.groups.iter().any(lacks) {
            true => 0,
            false => len,
        };
        let (n_kept, format_idx) = (len.div_ceil(PAGE_LEN), sequence.format.index());
        for group_idx in 0..self.groups.len() {
            let pool = &self.groups[group_idx].pools[format_idx];
            let dropped = self.sequences[index].pages[group_idx].get(n_kept..);
            let dropped = dropped.unwrap_or(&[]).iter().filter(|page| **page != GONE);
            let n_shared = dropped.filter(|page| pool.is_shared(**page)).count();
            // What may be needed more than before is had first, so that a refusal changes
            // nothing: pages that others go on holding, and a copy of the page that is now the
            // last.
            self.reserve((group_idx, format_idx), n_shared + 1)?;
        }
        let empty = Sequence::new(id, KvFormat::F32);
        let mut sequence = core::mem::replace(&mut self.sequences[index], empty);
        if len == 0 {
            sequence.longest = 0;
        }
        sequence.len = len;
        sequence.keys.truncate(len / PAGE_LEN);
        self.release_from(&mut sequence, n_kept);
        self.sequences[index] = sequence;
        self.balance()?;
        Ok(len)
    }

    /// Makes the next `n` positions of a sequence writable: lets go of pages behind the windows,
    /// takes pages, copies a shared one. They stay invisible to [`KvCache::len`] until
    /// [`KvCache::commit`]. Does not allocate.
    pub fn prepare(&mut self, id: SequenceId, n: usize) -> Result<(), KvError> {
        let index = self.index_of(id)?;
        let sequence = &mut self.sequences[index];
        let (len, end) = (sequence.len, sequence.len + n);
        if end > sequence.max_len {
            let (end, max) = (end as u64, sequence.max_len as u64);
            return Err(KvError::new(KvErrorKind::SequenceFull, end, max));
        }
        self.now += 1;
        for (group_idx, group) in self.groups.iter_mut().enumerate() {
            let pool = &mut group.pools[sequence.format.index()];
            sequence.let_go(group_idx, first_kept(group.window, len), pool, self.now);
            let pages = &mut sequence.pages[group_idx];
            let last = pages.get_mut(len / PAGE_LEN);
            if n > 0
                && let Some(last) = last.filter(|page| **page != GONE)
            {
                *last = pool.make_own(*last, self.now)?;
            }
            while pages.len() < end.div_ceil(PAGE_LEN) {
                pages.push(pool.take()?);
            }
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
        let LayerPlace { group, layer } = self.places[at.layer];
        let Sequence { pages, format, .. } = &self.sequences[index];
        let page = pages[group].get(position / PAGE_LEN);
        let Some(&page) = page.filter(|page| **page != GONE) else {
            let prepared = pages[group].len() * PAGE_LEN;
            let kind = KvErrorKind::NotPrepared;
            return Err(KvError::new(kind, position as u64, prepared as u64));
        };
        let pool = &mut self.groups[group].pools[format.index()];
        pool.write(page, layer, at.kv_head, position % PAGE_LEN, key, value);
        Ok(())
    }

    /// Makes `n` prepared positions part of the sequence.
    pub fn commit(&mut self, id: SequenceId, n: usize) -> Result<(), KvError> {
        let sequence = self.get_mut(id)?;
        let end = sequence.len + n;
        let prepared = sequence.pages[0].len() * PAGE_LEN;
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
        let LayerPlace { group, layer } = self.places[at.layer];
        let pages = &sequence.pages[group];
        let prepared = pages.len() * PAGE_LEN;
        if end > prepared || first / PAGE_LEN < sequence.n_gone[group] {
            let kind = KvErrorKind::NotPrepared;
            return Err(KvError::new(kind, end as u64, prepared as u64));
        }
        let pool = &self.groups[group].pools[sequence.format.index()];
        let head = (layer, at.kv_head);
        let mut start = first;
        while start < end {
            let part = &mut scores[start - first..page_end(start, end) - first];
            let page = pages[start / PAGE_LEN];
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
            let page = pages[start / PAGE_LEN];
            pool.add_values(page, out, part, (head, start % PAGE_LEN));
            start = page_end(start, end);
        }
        elementwise::scale(out, 1.0 / sum);
        Ok(())
    }

    /// Adds a sequence with room for `max_len` positions, or gives its pages back.
    fn insert(&mut self, mut sequence: Sequence, max_len: usize) -> Result<SequenceId, KvError> {
        let id = sequence.id;
        let room = sequence.reserve(max_len);
        if room.is_none() || self.sequences.try_reserve(1).is_err() {
            self.release_from(&mut sequence, 0);
            return Err(KvError::memory());
        }
        sequence.max_len = max_len;
        self.next_id += 1;
        self.sequences.push(sequence);
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
            .ok_or_else(|| KvError::new(KvErrorKind::UnknownSequence, id.0, 0))
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
#[cfg(test)]
mod window_tests;
