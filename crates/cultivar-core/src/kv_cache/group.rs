//! Groups of layers that see equally far, each with pages of its own, and the pages that a
//! sequence holds of each.
//!
//! A layer with a sliding window needs only the pages of the window, so a sequence lets go of
//! those behind it. Which ones follows from lengths alone, never from how a batch was cut.

use super::SequenceId;
use super::page::{KvFormat, KvShape, PAGE_LEN};
use super::pool::PagePool;
use crate::digest::Digest;
use alloc::vec::Vec;

/// Stands in a sequence's list for a page behind the window.
pub(super) const GONE: u32 = u32::MAX;

/// Groups at most: layers that see everything, and layers that see a window.
pub(super) const GROUPS_MAX: usize = 2;

/// How many of the last positions a layer sees; `None` for all of them.
pub type Window = Option<usize>;

/// The first page that a row at position `len` sees.
pub(super) fn first_needed(window: Window, len: usize) -> usize {
    window.map_or(0, |window| (len + 1).saturating_sub(window) / PAGE_LEN)
}

/// The first page that a sequence of `len` positions holds: one more than it needs, so that it can
/// go back a little.
pub(super) fn first_kept(window: Window, len: usize) -> usize {
    first_needed(window, len).saturating_sub(1)
}

/// Pages that a sequence of up to `max_len` positions holds at once, with batches of `max_rows`.
pub(crate) fn pages_at_once(window: Window, max_len: usize, max_rows: usize) -> usize {
    let n_all = max_len.div_ceil(PAGE_LEN);
    let n_seen = |window: usize| window.saturating_add(max_rows).div_ceil(PAGE_LEN) + 2;
    window.map_or(n_all, |window| Ord::min(n_seen(window), n_all))
}

/// Layers that see equally far.
pub(super) struct Group {
    pub pools: [PagePool; KvFormat::ALL.len()],
    pub window: Window,
}

impl Group {
    pub fn new(shape: KvShape, window: Window) -> Self {
        Self {
            pools: KvFormat::ALL.map(|format| PagePool::new(shape, format)),
            window,
        }
    }
}

/// One row of positions: its pages in order, how many positions are committed, and its limit.
pub(super) struct Sequence {
    pub id: SequenceId,
    pub format: KvFormat,
    /// By group; the lists are equally long, and begin with [`GONE`] behind a window.
    pub pages: [Vec<u32>; GROUPS_MAX],
    /// How many of them are gone.
    pub n_gone: [usize; GROUPS_MAX],
    /// Names of the first pages, which are whole.
    pub keys: Vec<Digest>,
    pub len: usize,
    /// The longest that it was gone back from since pages behind windows were last whole.
    pub longest: usize,
    pub max_len: usize,
}

impl Sequence {
    pub fn new(id: SequenceId, format: KvFormat) -> Self {
        Self {
            id,
            format,
            pages: [Vec::new(), Vec::new()],
            n_gone: [0; GROUPS_MAX],
            keys: Vec::new(),
            len: 0,
            longest: 0,
            max_len: 0,
        }
    }

    /// Room for the lists of so many positions; `None` if memory cannot be had.
    pub fn reserve(&mut self, max_len: usize) -> Option<()> {
        let n = max_len.div_ceil(PAGE_LEN);
        for list in &mut self.pages {
            list.try_reserve_exact(n.saturating_sub(list.len())).ok()?;
        }
        let n_more = n.saturating_sub(self.keys.len());
        self.keys.try_reserve_exact(n_more).ok()
    }

    /// The page of a group that the next position goes to, if the sequence has it already.
    pub fn next_page(&self, group: usize) -> Option<u32> {
        self.pages[group].get(self.len / PAGE_LEN).copied()
    }

    /// The pages of a group that it holds.
    pub fn held(&self, group: usize) -> &[u32] {
        self.pages[group].get(self.n_gone[group]..).unwrap_or(&[])
    }

    /// Lets go of the pages of a group before the `first`-th.
    pub fn let_go(&mut self, group: usize, first: usize, pool: &mut PagePool, now: u64) {
        let n_gone = &mut self.n_gone[group];
        while *n_gone < first
            && let Some(page) = self.pages[group].get_mut(*n_gone)
        {
            let page = core::mem::replace(page, GONE);
            if page != GONE {
                pool.slide(page, now);
            }
            *n_gone += 1;
        }
    }
}
