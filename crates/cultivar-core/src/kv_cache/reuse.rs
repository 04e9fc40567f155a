//! Reuse of pages: whole ones get a name, are found again by it, and are retained within a budget
//! until memory is wanted, those first that were let go longest ago.
//!
//! Names decide, never time or chance: a hit gives the bits that computing would have given.

use super::page::{KvFormat, PAGE_LEN};
use super::page_key::{Content, page_key};
use super::pool::PagePool;
use super::{KvCache, KvError, KvErrorKind, Sequence, SequenceId};

/// How many bytes the pages of a cache may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvBudget {
    /// All pages together; what sequences need beyond it is refused.
    pub total_bytes: u64,
    /// Pages that nobody holds and that are kept for their content.
    pub retained_bytes: u64,
}

impl Default for KvBudget {
    /// As much as there is memory for, and 64 MiB of retained pages: some thousand tokens of the
    /// larger models that this is made for.
    fn default() -> Self {
        Self {
            total_bytes: u64::MAX,
            retained_bytes: 64 << 20,
        }
    }
}

/// Pages found and not found by their content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageCounts {
    /// Taken from the cache instead of being computed.
    pub n_hits: u64,
    /// Whole pages of a prompt that had to be computed.
    pub n_misses: u64,
}

impl KvCache {
    /// The budget now in force.
    pub fn budget(&self) -> KvBudget {
        self.budget
    }

    /// Sets the budget and evicts what exceeds it. Pages in use stay, whatever it says.
    pub fn set_budget(&mut self, budget: KvBudget) {
        self.budget = budget;
        self.trim();
    }

    /// Bytes of the pages that are retained for their content alone.
    pub fn retained_bytes(&self) -> u64 {
        self.pools.iter().map(PagePool::retained_bytes).sum()
    }

    /// The most bytes that were ever allocated at once.
    pub fn peak_bytes(&self) -> u64 {
        self.peak_bytes
    }

    /// Names the whole pages of a sequence that have no name yet, so that others find them; a page
    /// that exists already takes the place of the sequence's own. `content` speaks of at least
    /// all committed positions. Does not allocate.
    pub fn publish(&mut self, id: SequenceId, content: &Content<'_>) -> Result<(), KvError> {
        let index = self.index_of(id)?;
        let sequence = &mut self.sequences[index];
        let pool = &mut self.pools[sequence.format.index()];
        while sequence.keys.len() < sequence.len / PAGE_LEN {
            let page_idx = sequence.keys.len();
            let previous = sequence.keys.last().unwrap_or(&content.root);
            let key = page_key(content, previous, page_idx);
            let (Some(key), Some(page)) = (key, sequence.pages.get_mut(page_idx)) else {
                break;
            };
            match pool.find(&key) {
                Some(twin) if twin != *page => {
                    pool.share(twin);
                    pool.release(*page, self.now);
                    *page = twin;
                }
                Some(_) => {}
                None => pool.set_key(*page, key),
            }
            sequence.keys.push(key);
        }
        Ok(())
    }

    /// Extends a sequence by the pages that hold the next tokens of `content` already, up to the
    /// last but one token, because the successor of the last is wanted.
    pub fn adopt(&mut self, id: SequenceId, content: &Content<'_>) -> Result<PageCounts, KvError> {
        let mut counts = PageCounts::default();
        let index = self.index_of(id)?;
        let sequence = &mut self.sequences[index];
        let pool = &mut self.pools[sequence.format.index()];
        let most = content.tokens.len().saturating_sub(1).min(sequence.max_len);
        while sequence.len < most && sequence.keys.len() == sequence.len / PAGE_LEN {
            let page_idx = sequence.keys.len();
            let previous = sequence.keys.last().unwrap_or(&content.root);
            let Some(key) = page_key(content, previous, page_idx) else {
                break;
            };
            let Some(page) = pool.find(&key) else {
                counts.n_misses = (content.tokens.len() / PAGE_LEN - page_idx) as u64;
                break;
            };
            self.now += 1;
            pool.share(page);
            match sequence.pages.get_mut(page_idx) {
                Some(own) => pool.release(core::mem::replace(own, page), self.now),
                None => sequence.pages.push(page),
            }
            counts.n_hits += 1;
            let end = (page_idx + 1) * PAGE_LEN;
            sequence.len = end.min(most);
            if sequence.len == end {
                sequence.keys.push(key);
            }
        }
        if counts.n_hits > 0 {
            self.balance()?;
        }
        Ok(counts)
    }

    /// Brings the free pages to what all sequences may still ask for: every page up to their
    /// limits, and the copies of pages that are not full or whose content has a name.
    pub(super) fn balance(&mut self) -> Result<(), KvError> {
        for format in KvFormat::ALL {
            let format_idx = format.index();
            let n_needed = self.n_needed(format);
            let pool = &mut self.pools[format_idx];
            pool.shrink(n_needed);
            let n_more = n_needed - pool.n_free();
            self.reserve(format_idx, n_more)?;
        }
        self.trim();
        Ok(())
    }

    fn n_needed(&self, format: KvFormat) -> usize {
        let pool = &self.pools[format.index()];
        let of_format = |sequence: &&Sequence| sequence.format == format;
        let mut n_needed = 0;
        for (i, sequence) in self.sequences.iter().enumerate() {
            if sequence.format != format {
                continue;
            }
            n_needed += sequence.max_len.div_ceil(PAGE_LEN) - sequence.pages.len();
            let Some(page) = sequence.next_page() else {
                continue;
            };
            // Counted once per page, at the first of the sequences that would write to it.
            let writes = |other: &Sequence| other.next_page() == Some(page);
            if !self.sequences[..i].iter().filter(of_format).any(writes) {
                let later = self.sequences[i..].iter().filter(of_format);
                let n_writers = later.filter(|other| writes(other)).count();
                // The last holder writes to the page itself, unless its content has a name.
                n_needed += match pool.has_key(page) {
                    true => n_writers,
                    false => n_writers.min(pool.n_holders(page) - 1),
                };
            }
        }
        n_needed
    }

    /// Adds `n` waiting pages of a format, all or none; evicts where budget or memory lack.
    pub(super) fn reserve(&mut self, format_idx: usize, n: usize) -> Result<(), KvError> {
        if n == 0 {
            return Ok(());
        }
        let n_bytes = self.pools[format_idx].page_bytes().saturating_mul(n as u64);
        let total = self.budget.total_bytes;
        while self.allocated_bytes().saturating_add(n_bytes) > total {
            if !self.evict_one() {
                let wanted = self.allocated_bytes().saturating_add(n_bytes);
                return Err(KvError::new(KvErrorKind::OverBudget, wanted, total));
            }
        }
        while let Err(error) = self.pools[format_idx].reserve(n) {
            if !self.evict_one() {
                return Err(error);
            }
        }
        self.peak_bytes = self.peak_bytes.max(self.allocated_bytes());
        Ok(())
    }

    /// Evicts until budget and retained pages agree.
    fn trim(&mut self) {
        while self.retained_bytes() > self.budget.retained_bytes
            || self.allocated_bytes() > self.budget.total_bytes
        {
            if !self.evict_one() {
                break;
            }
        }
    }

    /// Frees the retained page that was let go longest ago; false if there is none.
    fn evict_one(&mut self) -> bool {
        let oldest = self.pools.iter_mut().filter_map(|pool| {
            let (at, page) = pool.oldest_retained()?;
            Some((at, page, pool))
        });
        let oldest = oldest.min_by_key(|(at, ..)| *at);
        oldest.map(|(_, page, pool)| pool.evict(page)).is_some()
    }
}
