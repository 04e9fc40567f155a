//! The allocator: two-level segregated fit over pages that only ever grow.
//!
//! Free blocks sit in lists by size class and join their neighbours as soon as they are freed, so
//! that the memory of a closed model serves the next one. Large requests get exactly their size,
//! and a request that cannot be met returns null, never a trap. Must never know what it stores.
//! After Masmano, Ripoll, Crespo, Real: "TLSF: a new dynamic memory allocator for real-time
//! systems" (2004); unlike there, the request's own class is searched first, since a model that
//! is closed and opened again asks for exactly the sizes it has freed.

use core::alloc::Layout;
use core::ptr;

/// Bytes before every payload; also the alignment of every payload and block.
const HEADER_BYTES: usize = 16;
/// A free block must hold its two list links.
const PAYLOAD_BYTES_MIN: usize = 16;
/// Sixteen classes per power of two: at most one sixteenth of a block can go unsearched.
const CLASSES_PER_POWER: usize = 16;
/// Blocks below this are classed in steps of 16 bytes.
const LINEAR_BYTES: usize = CLASSES_PER_POWER * 16;
/// Linear row plus one row for each power of two from 2^8 to 2^31.
const N_ROWS: usize = 25;
/// Blocks of the request's own class that are looked at before a larger class is taken.
const N_OWN_CLASS_TRIES: usize = 64;
/// Memory is asked for in at least this many bytes, since growing has a fixed cost; and in a
/// larger part of what is held already, up to a limit, so that many small requests grow it rarely.
const GROW_BYTES_MIN: usize = 128 * 1024;
const GROW_PART: usize = 32;
const GROW_BYTES_MAX: usize = 4 << 20;
/// Bit of a block's size word that says that the block is free.
const FREE: usize = 1;

/// Where memory comes from: the module's own pages, or a fixed arena in tests.
pub trait Pages {
    /// Adds at least `n_bytes` and returns (address, bytes) of the new memory, both multiples of
    /// 16, or `None` if there is no more. The memory stays valid forever.
    fn grow(&mut self, n_bytes: usize) -> Option<(usize, usize)>;
}

/// What the heap holds, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapStats {
    /// Live blocks including their headers.
    pub used_bytes: usize,
    /// Highest `used_bytes` since the last [`Heap::reset_peak`].
    pub peak_bytes: usize,
    /// Everything taken from the pages so far, used or not.
    pub heap_bytes: usize,
}

/// A heap over `P`. Addresses are header addresses unless called payload.
pub struct Heap<P> {
    pages: P,
    row_bits: u32,
    class_bits: [u16; N_ROWS],
    heads: [[usize; CLASSES_PER_POWER]; N_ROWS],
    /// Header of the zero-sized used block that ends the newest region, 0 before the first.
    fence: usize,
    stats: HeapStats,
}

impl<P: Pages> Heap<P> {
    /// An empty heap; nothing is taken from `pages` until the first request.
    pub const fn new(pages: P) -> Heap<P> {
        Heap {
            pages,
            row_bits: 0,
            class_bits: [0; N_ROWS],
            heads: [[0; CLASSES_PER_POWER]; N_ROWS],
            fence: 0,
            stats: HeapStats {
                used_bytes: 0,
                peak_bytes: 0,
                heap_bytes: 0,
            },
        }
    }

    /// Current figures.
    pub fn stats(&self) -> HeapStats {
        self.stats
    }

    /// Starts a new measurement of the peak from what is in use now.
    pub fn reset_peak(&mut self) {
        self.stats.peak_bytes = self.stats.used_bytes;
    }

    /// Memory for `layout`, or null if the pages give no more.
    pub fn allocate(&mut self, layout: Layout) -> *mut u8 {
        let Some(size) = payload_bytes(layout.size()) else {
            return ptr::null_mut();
        };
        // A stricter alignment is met by cutting a free block off the front of a longer one.
        let slack = match layout.align() {
            align if align > HEADER_BYTES => align + 2 * HEADER_BYTES,
            _ => 0,
        };
        let Some(mut block) = size.checked_add(slack).and_then(|n| self.take_free(n)) else {
            return ptr::null_mut();
        };
        if slack > 0 {
            block = self.cut_front(block, layout.align());
        }
        self.trim(block, size);
        self.count_used(block);
        ptr::with_exposed_provenance_mut(block + HEADER_BYTES)
    }

    /// Gives a block back and joins it with free neighbours.
    ///
    /// # Safety
    /// `payload` came from `allocate` or `resize` of this heap and was not released since.
    pub unsafe fn release(&mut self, payload: *mut u8) {
        let block = payload.expose_provenance() - HEADER_BYTES;
        self.stats.used_bytes -= self.size(block) + HEADER_BYTES;
        self.insert_joined(block);
    }

    /// Grows or shrinks a block, in place where the neighbour allows it; null (and the old block
    /// unchanged) if there is no memory.
    ///
    /// # Safety
    /// `payload` came from this heap for `layout` and was not released since.
    pub unsafe fn resize(&mut self, payload: *mut u8, layout: Layout, new_len: usize) -> *mut u8 {
        let block = payload.expose_provenance() - HEADER_BYTES;
        let Some(size) = payload_bytes(new_len) else {
            return ptr::null_mut();
        };
        let old_used = self.size(block) + HEADER_BYTES;
        let next = self.next(block);
        if size > self.size(block)
            && self.is_free(next)
            && self.size(block) + HEADER_BYTES + self.size(next) >= size
        {
            self.unlink(next);
            self.set_size(block, self.size(block) + HEADER_BYTES + self.size(next));
            self.relink_next(block);
        }
        if size <= self.size(block) {
            self.stats.used_bytes -= old_used;
            self.trim(block, size);
            self.count_used(block);
            return payload;
        }
        let Ok(wanted) = Layout::from_size_align(new_len, layout.align()) else {
            return ptr::null_mut();
        };
        let fresh = self.allocate(wanted);
        if !fresh.is_null() {
            // SAFETY: both blocks are live, distinct, and at least `layout.size()` bytes long,
            // since this branch is reached only when the block has to become longer.
            unsafe { ptr::copy_nonoverlapping(payload, fresh, layout.size()) };
            // SAFETY: the caller owns `payload`, and it is not used after this line.
            unsafe { self.release(payload) };
        }
        fresh
    }

    fn count_used(&mut self, block: usize) {
        self.stats.used_bytes += self.size(block) + HEADER_BYTES;
        self.stats.peak_bytes = self.stats.peak_bytes.max(self.stats.used_bytes);
    }

    /// A block of at least `size`, unlinked and marked used.
    fn take_free(&mut self, size: usize) -> Option<usize> {
        let block = match self.find(size) {
            Some(block) => block,
            None => self.grow(size)?,
        };
        self.unlink(block);
        self.set_size(block, self.size(block));
        Some(block)
    }

    /// A linked free block of at least `size`: best fit within the own class, else any block of
    /// the next class that has one (every such block is large enough).
    fn find(&self, size: usize) -> Option<usize> {
        let (row, class) = class_of(size);
        let mut best: Option<usize> = None;
        let mut block = self.heads[row][class];
        for _ in 0..N_OWN_CLASS_TRIES {
            if block == 0 {
                break;
            }
            let fits = self.size(block) >= size;
            if fits && best.is_none_or(|b| self.size(block) < self.size(b)) {
                best = Some(block);
            }
            block = self.load(block + HEADER_BYTES);
        }
        if best.is_some() {
            return best;
        }
        let larger_classes = u32::from(self.class_bits[row]) & !((2u32 << class) - 1);
        if larger_classes != 0 {
            return Some(self.heads[row][larger_classes.trailing_zeros() as usize]);
        }
        let larger_rows = self.row_bits & !((2u32 << row) - 1);
        if larger_rows == 0 {
            return None;
        }
        let row = larger_rows.trailing_zeros() as usize;
        Some(self.heads[row][self.class_bits[row].trailing_zeros() as usize])
    }

    /// Takes pages until a free block of at least `size` ends the heap, and returns it.
    fn grow(&mut self, size: usize) -> Option<usize> {
        let last = if self.fence == 0 {
            0
        } else {
            self.prev(self.fence)
        };
        let at_end = match last {
            0 => 0,
            last if self.is_free(last) => self.size(last) + HEADER_BYTES,
            _ => 0,
        };
        let shortage = size.checked_add(2 * HEADER_BYTES)?.saturating_sub(at_end);
        let step = (self.stats.heap_bytes / GROW_PART).clamp(GROW_BYTES_MIN, GROW_BYTES_MAX);
        let (start, n_bytes) = match self.pages.grow(shortage.max(step)) {
            Some(region) => region,
            None => self.pages.grow(shortage)?,
        };
        self.stats.heap_bytes += n_bytes;
        let continues = self.fence != 0 && self.fence + HEADER_BYTES == start;
        let (block, end) = if continues {
            (self.fence, start + n_bytes)
        } else {
            self.store(start, 0);
            (start, start + n_bytes)
        };
        self.set_size(block, end - block - 2 * HEADER_BYTES);
        self.fence = end - HEADER_BYTES;
        self.set_size(self.fence, 0);
        self.relink_next(block);
        let block = self.insert_joined(block);
        if self.size(block) >= size {
            Some(block)
        } else {
            self.grow(size)
        }
    }

    /// Marks `block` free, joins it with free neighbours, links it, and returns its new address.
    fn insert_joined(&mut self, block: usize) -> usize {
        let mut block = block;
        let next = self.next(block);
        if self.is_free(next) {
            self.unlink(next);
            self.set_size(block, self.size(block) + HEADER_BYTES + self.size(next));
        }
        let prev = self.prev(block);
        if prev != 0 && self.is_free(prev) {
            self.unlink(prev);
            self.set_size(prev, self.size(prev) + HEADER_BYTES + self.size(block));
            block = prev;
        }
        self.relink_next(block);
        self.link(block);
        block
    }

    /// Cuts what a used block does not need off its end and frees it.
    fn trim(&mut self, block: usize, size: usize) {
        let rest = self.size(block) - size;
        if rest < HEADER_BYTES + PAYLOAD_BYTES_MIN {
            return;
        }
        self.set_size(block, size);
        let tail = block + HEADER_BYTES + size;
        self.store(tail, block);
        self.set_size(tail, rest - HEADER_BYTES);
        self.relink_next(tail);
        self.insert_joined(tail);
    }

    /// Frees the front of a used block so that the rest has an aligned payload; returns the rest.
    fn cut_front(&mut self, block: usize, align: usize) -> usize {
        let payload = block + HEADER_BYTES;
        if payload.is_multiple_of(align) {
            return block;
        }
        // The front needs a header and room for its links, so the first boundary may be too near.
        let aligned = (payload + HEADER_BYTES + PAYLOAD_BYTES_MIN).next_multiple_of(align);
        let rest = aligned - HEADER_BYTES;
        let end = payload + self.size(block);
        self.set_size(block, rest - payload);
        self.store(rest, block);
        self.set_size(rest, end - aligned);
        self.relink_next(rest);
        self.insert_joined(block);
        rest
    }

    fn link(&mut self, block: usize) {
        let size = self.size(block);
        self.store(block + size_of::<usize>(), size | FREE);
        let (row, class) = class_of(size);
        let head = self.heads[row][class];
        self.store(block + HEADER_BYTES, head);
        self.store(block + HEADER_BYTES + size_of::<usize>(), 0);
        if head != 0 {
            self.store(head + HEADER_BYTES + size_of::<usize>(), block);
        }
        self.heads[row][class] = block;
        self.class_bits[row] |= 1 << class;
        self.row_bits |= 1 << row;
    }

    fn unlink(&mut self, block: usize) {
        let (row, class) = class_of(self.size(block));
        let next = self.load(block + HEADER_BYTES);
        let prev = self.load(block + HEADER_BYTES + size_of::<usize>());
        if next != 0 {
            self.store(next + HEADER_BYTES + size_of::<usize>(), prev);
        }
        if prev != 0 {
            self.store(prev + HEADER_BYTES, next);
            return;
        }
        self.heads[row][class] = next;
        if next == 0 {
            self.class_bits[row] &= !(1 << class);
            if self.class_bits[row] == 0 {
                self.row_bits &= !(1 << row);
            }
        }
    }

    fn prev(&self, block: usize) -> usize {
        self.load(block)
    }

    fn next(&self, block: usize) -> usize {
        block + HEADER_BYTES + self.size(block)
    }

    fn size(&self, block: usize) -> usize {
        self.load(block + size_of::<usize>()) & !FREE
    }

    fn is_free(&self, block: usize) -> bool {
        self.load(block + size_of::<usize>()) & FREE != 0
    }

    /// Sets the payload size and marks the block used.
    fn set_size(&mut self, block: usize, size: usize) {
        self.store(block + size_of::<usize>(), size);
    }

    /// Tells the next block where this one begins.
    fn relink_next(&mut self, block: usize) {
        self.store(self.next(block), block);
    }

    fn load(&self, addr: usize) -> usize {
        let word: *const usize = ptr::with_exposed_provenance(addr);
        // SAFETY: this private module passes only addresses of header words and list links of
        // blocks inside regions that `Pages::grow` handed over for good; all are aligned to a
        // word because blocks are multiples of 16 and start at multiples of 16.
        unsafe { word.read() }
    }

    fn store(&mut self, addr: usize, value: usize) {
        let word: *mut usize = ptr::with_exposed_provenance_mut(addr);
        // SAFETY: as in `load`; header words and links of free blocks belong to the heap alone,
        // since callers own payload bytes of used blocks only.
        unsafe { word.write(value) }
    }
}

/// Rounds a request up to a block size; `None` for what no block could hold.
fn payload_bytes(len: usize) -> Option<usize> {
    // The largest request a 32-bit address space could serve; also keeps class rows in range.
    if len > i32::MAX as usize {
        return None;
    }
    Some(len.next_multiple_of(16).max(PAYLOAD_BYTES_MIN))
}

/// (row, class) of a free block of `size` bytes.
fn class_of(size: usize) -> (usize, usize) {
    if size < LINEAR_BYTES {
        return (0, size / 16);
    }
    let power = size.ilog2() as usize;
    let class = (size >> (power - 4)) % CLASSES_PER_POWER;
    ((power - 7).min(N_ROWS - 1), class)
}

#[cfg(test)]
mod tests;
