//! Reuse of pages: whole ones get a name, are found again by it, and are retained within a budget
//! until memory is wanted, those first that were let go longest ago.
//!
//! Names decide, never time or chance: a hit gives the bits that computing would have given.

use super::group::{GONE, GROUPS_MAX, Group, Sequence, first_kept, pages_at_once};
use super::page::{KvFormat, PAGE_LEN};
use super::page_key::{Content, page_key};
use super::pool::PagePool;
use super::{KvCache, KvError, KvErrorKind, SequenceId};

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
        self.pools().map(PagePool::retained_bytes).sum()
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
        while sequence.keys.len() < sequence.len / PAGE_LEN {
            let page_idx = sequence.keys.len();
            let previous = sequence.keys.last().unwrap_or(&content.root);
            let Some(key) = page_key(content, previous, page_idx) else {
                break;
            };
            for (group, pages) in self.groups.iter_mut().zip(&mut sequence.pages) {
                let pool = &mut group.pools[sequence.format.index()];
                let page = pages.get_mut(page_idx).filter(|page| **page != GONE);
                let Some(page) = page else { continue };
                match pool.find(&key) {
                    Some(twin) if twin != *page => {
                        pool.share(twin);
                        pool.release(*page, self.now);
                        *page = twin;
                    }
                    Some(_) => {}
                    None => pool.set_key(*page, key),
                }
            }
            sequence.keys.push(key);
        }
        Ok(())
    }

    /// Extends a sequence by the pages that hold the next tokens of `content` already, up to the
    /// last but one token, because the successor of the last is wanted. Of layers with a window
    /// only the pages are needed that the next row sees.
    pub fn adopt(&mut self, id: SequenceId, content: &Content<'_>) -> Result<PageCounts, KvError> {
        let mut counts = PageCounts::default();
        let index = self.index_of(id)?;
        let sequence = &mut self.sequences[index];
        let n_before = sequence.keys.len();
        let n_tokens = content.tokens.len();
        let most = Ord::min(n_tokens.saturating_sub(1), sequence.max_len);
        if sequence.len >= most || n_before != sequence.len / PAGE_LEN {
            return Ok(counts);
        }
        let n_found = find_pages(&self.groups, sequence, content, most);
        let end = match n_found > n_before {
            true => Ord::min(n_found * PAGE_LEN, most),
            false => sequence.len,
        };
        for page_idx in n_before..n_found {
            self.now += 1;
            let key = sequence.keys[page_idx];
            for (group_idx, group) in self.groups.iter_mut().enumerate() {
                let pool = &mut group.pools[sequence.format.index()];
                let page = match page_idx >= first_kept(group.window, end) {
                    true => pool.find(&key).unwrap_or(GONE),
                    false => GONE,
                };
                if page != GONE {
                    pool.share(page);
                }
                match sequence.pages[group_idx].get_mut(page_idx) {
                    Some(own) => pool.release(core::mem::replace(own, page), self.now),
                    None => sequence.pages[group_idx].push(page),
                }
            }
            counts.n_hits += 1;
        }
        counts.n_misses = (n_tokens / PAGE_LEN).saturating_sub(n_found) as u64;
        sequence.len = end;
        sequence.keys.truncate(end / PAGE_LEN);
        if counts.n_hits == 0 {
            return Ok(counts);
        }
        for (group_idx, group) in self.groups.iter_mut().enumerate() {
            let first = first_kept(group.window, end);
            // Behind pages that were skipped nothing is of use.
            if first > n_before {
                let pool = &mut group.pools[sequence.format.index()];
                sequence.let_go(group_idx, first, pool, self.now);
            }
        }
        self.balance()?;
        Ok(counts)
    }

    /// Brings the free pages to what all sequences may still ask for: every page up to their
    /// limits, and the copies of pages that are not full or whose content has a name.
    pub(super) fn balance(&mut self) -> Result<(), KvError> {
        for group_idx in 0..self.groups.len() {
            for format in KvFormat::ALL {
                let n_needed = self.n_needed(group_idx, format);
                let pool = &mut self.groups[group_idx].pools[format.index()];
                pool.shrink(n_needed);
                let n_more = n_needed - pool.n_free();
                self.reserve((group_idx, format.index()), n_more)?;
            }
        }
        self.trim();
        Ok(())
    }

    fn n_needed(&self, group_idx: usize, format: KvFormat) -> usize {
        let group = &self.groups[group_idx];
        let pool = &group.pools[format.index()];
        let of_format = |sequence: &&Sequence| sequence.format == format;
        let mut n_needed = 0;
        for (i, sequence) in self.sequences.iter().enumerate() {
            if sequence.format != format {
                continue;
            }
            let held = sequence.held(group_idx);
            let n_most = pages_at_once(group.window, sequence.max_len, self.max_rows);
            n_needed += n_most.saturating_sub(held.len());
            // Letting go of a page that others hold gives none back.
            let n_left = first_kept(group.window, sequence.max_len);
            let left = held
                .iter()
                .take(n_left.saturating_sub(sequence.n_gone[group_idx]));
            n_needed += left.filter(|page| pool.n_holders(**page) > 1).count();
            let Some(page) = sequence.next_page(group_idx) else {
                continue;
            };
            // Counted once per page, at the first of the sequences that would write to it.
            let writes = |other: &Sequence| other.next_page(group_idx) == Some(page);
            if !self.sequences[..i].iter().filter(of_format).any(writes) {
                let later = self.sequences[i..].iter().filter(of_format);
                let n_writers = later.filter(|other| writes(other)).count();
                // The last holder writes to the page itself, unless its content has a name.
                n_needed += match pool.has_key(page) {
                    true => n_writers,
                    false => Ord::min(n_writers, pool.n_holders(page) - 1),
                };
            }
        }
        n_needed
    }

    /// Adds `n` waiting pages of a group and format, all or none; evicts where budget or memory
    /// lack.
    pub(super) fn reserve(
        &mut self,
        (group_idx, format_idx): (usize, usize),
        n: usize,
    ) -> Result<(), KvError> {
        if n == 0 {
            return Ok(());
        }
        let page_bytes = self.groups[group_idx].pools[format_idx].page_bytes();
        let n_bytes = page_bytes.saturating_mul(n as u64);
        let total = self.budget.total_bytes;
        while self.allocated_bytes().saturating_add(n_bytes) > total {
            if !self.evict_one() {
                let wanted = self.allocated_bytes().saturating_add(n_bytes);
                return Err(KvError::new(KvErrorKind::OverBudget, wanted, total));
            }
        }
        while let Err(error) = self.groups[group_idx].pools[format_idx].reserve(n) {
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
        let pools = self.groups.iter_mut().flat_map(|group| &mut group.pools);
        let oldest = pools.filter_map(|pool| {
            let (at, page) = pool.oldest_retained()?;
            Some((at, page, pool))
        });
        let oldest = oldest.min_by_key(|(at, ..)| *at);
        oldest.map(|(_, page, pool)| pool.evict(page)).is_some()
    }
}

/// Up to which page every group has what the next row would see; names the pages on the way.
fn find_pages(
    groups: &[Group],
    sequence: &mut Sequence,
    content: &Content<'_>,
    most: usize,
) -> usize {
    let mut n_found = sequence.keys.len();
    // Pages up to here that follow each other without a gap.
    let mut n_in_row = [0; GROUPS_MAX];
    for (n, n_gone) in n_in_row.iter_mut().zip(sequence.n_gone) {
        *n = n_found - Ord::min(n_gone, n_found);
    }
    while sequence.keys.len() * PAGE_LEN < most {
        let page_idx = sequence.keys.len();
        let previous = sequence.keys.last().unwrap_or(&content.root);
        let Some(key) = page_key(content, previous, page_idx) else {
            break;
        };
        sequence.keys.push(key);
        let end = Ord::min((page_idx + 1) * PAGE_LEN, most);
        let mut is_enough = true;
        for (group, n) in groups.iter().zip(&mut n_in_row) {
            let found = group.pools[sequence.format.index()].find(&key);
            *n = found.map_or(0, |_| *n + 1);
            if *n == 0 && group.window.is_none() {
                return n_found;
            }
            is_enough &= *n > page_idx - first_kept(group.window, end);
        }
        if is_enough {
            n_found = page_idx + 1;
        }
    }
    n_found
}
