//! The pages of a cache: which are in use, how many sequences share each, which wait, and which
//! are kept for whoever comes to the same content. A page with a key is never written again.

use super::error::{KvError, KvErrorKind};
use super::page::{KvFormat, KvShape, Page, Run};
use crate::digest::Digest;
use crate::kernels::Backend;
use alloc::vec::Vec;

/// A page and the number of sequences that hold it; without storage while unallocated.
struct Slot {
    page: Option<Page>,
    n_holders: u32,
    /// What it holds, once that is whole.
    key: Option<Digest>,
    /// When it was last let go: the larger, the later.
    released_at: u64,
}

impl Slot {
    /// Held by nobody, kept for its content.
    fn is_retained(&self) -> bool {
        self.n_holders == 0 && self.key.is_some()
    }
}

/// All pages of one storage format.
pub(super) struct PagePool {
    shape: KvShape,
    format: KvFormat,
    slots: Vec<Slot>,
    /// Allocated pages that nobody holds.
    free: Vec<u32>,
    /// Slots without storage.
    empty: Vec<u32>,
    n_retained: usize,
}

impl PagePool {
    pub fn new(shape: KvShape, format: KvFormat) -> Self {
        Self {
            shape,
            format,
            slots: Vec::new(),
            free: Vec::new(),
            empty: Vec::new(),
            n_retained: 0,
        }
    }

    /// Bytes of the pages that have storage.
    pub fn allocated_bytes(&self) -> u64 {
        let n = self.slots.len() - self.empty.len();
        n as u64 * self.shape.page_bytes(self.format)
    }

    /// Bytes of the pages that a sequence holds.
    pub fn used_bytes(&self) -> u64 {
        let n_idle = (self.free.len() + self.n_retained) as u64;
        self.allocated_bytes() - n_idle * self.page_bytes()
    }

    /// Bytes of the pages that are kept for their content alone.
    pub fn retained_bytes(&self) -> u64 {
        self.n_retained as u64 * self.page_bytes()
    }

    /// The storage of a page.
    pub fn page(&self, index: u32) -> Option<&Page> {
        self.slots.get(index as usize)?.page.as_ref()
    }

    /// The same, to be written to.
    pub fn page_mut(&mut self, index: u32) -> Option<&mut Page> {
        self.slots.get_mut(index as usize)?.page.as_mut()
    }

    pub fn page_bytes(&self) -> u64 {
        self.shape.page_bytes(self.format)
    }

    /// Pages that wait.
    pub fn n_free(&self) -> usize {
        self.free.len()
    }

    /// The page of this content, if there is one.
    pub fn find(&self, key: &Digest) -> Option<u32> {
        let found = self
            .slots
            .iter()
            .position(|slot| slot.key.as_ref() == Some(key));
        found.map(|index| index as u32)
    }

    /// Names the content of a page, which is whole and will not change.
    pub fn set_key(&mut self, index: u32, key: Digest) {
        self.slots[index as usize].key = Some(key);
    }

    pub fn has_key(&self, index: u32) -> bool {
        self.slots[index as usize].key.is_some()
    }

    /// The retained page that was let go longest ago: when, and which.
    pub fn oldest_retained(&self) -> Option<(u64, u32)> {
        let slots = self.slots.iter().enumerate();
        let retained = slots.filter(|(_, slot)| slot.is_retained());
        retained.map(|(i, slot)| (slot.released_at, i as u32)).min()
    }

    /// Frees the storage of a retained page.
    pub fn evict(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        if slot.is_retained() {
            slot.key = None;
            slot.page = None;
            self.n_retained -= 1;
            self.empty.push(index);
        }
    }

    /// Adds `n` pages to those that wait, all or none.
    pub fn reserve(&mut self, n: usize) -> Result<(), KvError> {
        // What no address space could hold is refused before gigabytes are taken in vain.
        let n_bytes = (n as u64).saturating_mul(self.shape.page_bytes(self.format));
        if n_bytes > usize::MAX as u64 {
            return Err(KvError::memory());
        }
        let n_before = self.free.len();
        for _ in 0..n {
            if let Err(error) = self.add_page() {
                self.shrink(n_before);
                return Err(error);
            }
        }
        Ok(())
    }

    fn add_page(&mut self) -> Result<(), KvError> {
        let page = Page::new(self.shape, self.format).ok_or_else(KvError::memory)?;
        let index = match self.empty.pop() {
            Some(index) => index,
            None => self.new_slot()?,
        };
        self.slots[index as usize].page = Some(page);
        self.free.push(index);
        Ok(())
    }

    /// Frees the storage of waiting pages beyond `n`.
    pub fn shrink(&mut self, n: usize) {
        while self.free.len() > n {
            if let Some(index) = self.free.pop() {
                self.slots[index as usize].page = None;
                self.empty.push(index);
            }
        }
    }

    /// Adds a slot, and room for it in both lists, so that later moves never allocate.
    fn new_slot(&mut self) -> Result<u32, KvError> {
        let n = self.slots.len() + 1;
        let grow = |list: &mut Vec<u32>| list.try_reserve(n - list.len());
        let index = u32::try_from(self.slots.len()).map_err(|_| KvError::memory())?;
        self.slots
            .try_reserve(1)
            .and_then(|()| grow(&mut self.free))
            .and_then(|()| grow(&mut self.empty))
            .map_err(|_| KvError::memory())?;
        self.slots.push(Slot {
            page: None,
            n_holders: 0,
            key: None,
            released_at: 0,
        });
        Ok(index)
    }

    /// A free page, held once.
    pub fn take(&mut self) -> Result<u32, KvError> {
        let index = self
            .free
            .pop()
            .ok_or_else(|| KvError::new(KvErrorKind::OutOfMemory, 0, 0))?;
        self.slots[index as usize].n_holders = 1;
        Ok(index)
    }

    pub fn share(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        self.n_retained -= usize::from(slot.is_retained());
        slot.n_holders += 1;
    }

    /// Whether writing needs a copy: others hold the page too, or its content has a name.
    pub fn is_shared(&self, index: u32) -> bool {
        self.n_holders(index) > 1 || self.has_key(index)
    }

    pub fn n_holders(&self, index: u32) -> usize {
        self.slots[index as usize].n_holders as usize
    }

    /// Lets a page go at this time; the last holder's is free again, or retained if it has a key.
    pub fn release(&mut self, index: u32, now: u64) {
        let slot = &mut self.slots[index as usize];
        slot.n_holders -= 1;
        slot.released_at = now;
        if slot.is_retained() {
            self.n_retained += 1;
        } else if slot.n_holders == 0 {
            self.free.push(index);
        }
    }

    /// Lets a page behind a window go without allocating: where its content is retained, the
    /// retained page that was let go longest ago is free instead.
    pub fn slide(&mut self, index: u32, now: u64) {
        self.release(index, now);
        let is_retained = self.slots[index as usize].is_retained();
        if is_retained && let Some((_, oldest)) = self.oldest_retained() {
            self.slots[oldest as usize].key = None;
            self.n_retained -= 1;
            self.free.push(oldest);
        }
    }

    /// The page itself if it may be written to, else a copy.
    pub fn make_own(&mut self, index: u32, now: u64) -> Result<u32, KvError> {
        if !self.is_shared(index) {
            return Ok(index);
        }
        let copy = self.take()?;
        if let Some(mut page) = self.slots[copy as usize].page.take() {
            if let Some(original) = &self.slots[index as usize].page {
                page.copy_from(original);
            }
            self.slots[copy as usize].page = Some(page);
        }
        self.release(index, now);
        Ok(copy)
    }

    pub fn write(
        &mut self,
        index: u32,
        layer: usize,
        kv_head: usize,
        slot: usize,
        key: &[f32],
        value: &[f32],
    ) {
        if let Some(page) = &mut self.slots[index as usize].page {
            page.write(
                self.shape,
                Run {
                    layer,
                    kv_head,
                    values: false,
                },
                slot,
                key,
            );
            page.write(
                self.shape,
                Run {
                    layer,
                    kv_head,
                    values: true,
                },
                slot,
                value,
            );
        }
    }

    /// Scores of the positions of a page from `slot` on; see [`Page::scores`].
    pub fn scores(
        &self,
        backend: Backend,
        index: u32,
        scores: &mut [f32],
        query: &[f32],
        ((layer, kv_head), slot): ((usize, usize), usize),
        scale: f32,
    ) {
        if let Some(page) = &self.slots[index as usize].page {
            let run = Run {
                layer,
                kv_head,
                values: false,
            };
            page.scores(backend, (self.shape, run, slot), scores, query, scale);
        }
    }

    /// Adds the values of the positions of a page from `slot` on; see [`Page::add_values`].
    pub fn add_values(
        &self,
        index: u32,
        out: &mut [f32],
        weights: &[f32],
        ((layer, kv_head), slot): ((usize, usize), usize),
    ) {
        if let Some(page) = &self.slots[index as usize].page {
            let run = Run {
                layer,
                kv_head,
                values: true,
            };
            page.add_values((self.shape, run, slot), out, weights);
        }
    }
}
