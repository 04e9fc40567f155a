//! The heap of the module: WebAssembly pages below, Rust's global allocator above.
//!
//! Only built for wasm32; natively the system's allocator serves, and the figures are zero.

use crate::heap::{Heap, HeapStats, Pages};
use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::{memory_grow, memory_size};
use core::cell::UnsafeCell;

/// Bytes of one WebAssembly page.
const PAGE_BYTES: usize = 65536;

/// Memory 0 of this module.
struct WasmPages;

impl Pages for WasmPages {
    fn grow(&mut self, n_bytes: usize) -> Option<(usize, usize)> {
        let n_pages = n_bytes.div_ceil(PAGE_BYTES);
        let first_page = memory_grow::<0>(n_pages);
        if first_page == usize::MAX {
            return None;
        }
        let start = first_page * PAGE_BYTES;
        // The very last bytes of a full 4 GiB memory stay unused, so that no block's end wraps
        // around to address zero.
        let usable = (usize::MAX - start) & !15;
        Some((start, (n_pages * PAGE_BYTES).min(usable)))
    }
}

/// The allocator object; there is one.
struct WasmHeap(UnsafeCell<Heap<WasmPages>>);

// SAFETY: the module is built without shared memory, so only one thread ever runs in it.
unsafe impl Sync for WasmHeap {}

#[global_allocator]
static HEAP: WasmHeap = WasmHeap(UnsafeCell::new(Heap::new(WasmPages)));

impl WasmHeap {
    fn with<R>(&self, work: impl FnOnce(&mut Heap<WasmPages>) -> R) -> R {
        // SAFETY: one thread, and no method of `Heap` allocates or calls back, so this is the
        // only reference while it lives.
        work(unsafe { &mut *self.0.get() })
    }
}

// SAFETY: `Heap` returns blocks that are aligned, long enough, disjoint and stable until they are
// released, or null.
unsafe impl GlobalAlloc for WasmHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.with(|heap| heap.allocate(layout))
    }

    unsafe fn dealloc(&self, payload: *mut u8, _layout: Layout) {
        // SAFETY: the caller of `dealloc` promises that `payload` is live and from this heap.
        self.with(|heap| unsafe { heap.release(payload) });
    }

    unsafe fn realloc(&self, payload: *mut u8, layout: Layout, new_len: usize) -> *mut u8 {
        // SAFETY: the caller of `realloc` promises that `payload` is live, from this heap, and
        // was asked for with `layout`.
        self.with(|heap| unsafe { heap.resize(payload, layout, new_len) })
    }
}

/// Figures of the module's heap.
pub fn stats() -> HeapStats {
    HEAP.with(|heap| heap.stats())
}

/// Starts a new measurement of the peak.
pub fn reset_peak() {
    HEAP.with(Heap::reset_peak);
}

/// Bytes of the module's whole linear memory, static data and stack included.
pub fn memory_bytes() -> usize {
    memory_size::<0>().saturating_mul(PAGE_BYTES)
}
