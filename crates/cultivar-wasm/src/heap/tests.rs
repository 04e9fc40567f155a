//! The heap against a model of itself: no overlap, no lost byte, freed memory is found again.
//!
//! The pages are one fixed arena, so running out of memory is part of every test's reach.

use super::{Heap, Pages};
use core::alloc::Layout;
use std::vec::Vec;

const MIB: usize = 1 << 20;

/// A region of `left` bytes that is handed out from the front, in steps of 64 KiB.
struct Arena {
    at: usize,
    left: usize,
}

impl Arena {
    /// The region is leaked on purpose: heaps never return pages either.
    fn new(n_bytes: usize) -> Arena {
        let words: &'static mut [u128] = Vec::leak(vec![0u128; n_bytes / 16]);
        Arena {
            at: words.as_mut_ptr().expose_provenance(),
            left: n_bytes,
        }
    }
}

impl Pages for Arena {
    fn grow(&mut self, n_bytes: usize) -> Option<(usize, usize)> {
        let n_bytes = n_bytes.next_multiple_of(65536);
        if n_bytes > self.left {
            return None;
        }
        let start = self.at;
        self.at += n_bytes;
        self.left -= n_bytes;
        Some((start, n_bytes))
    }
}

fn layout(len: usize, align: usize) -> Layout {
    Layout::from_size_align(len, align).expect("a valid layout")
}

/// Numbers that need no quality, only variety.
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % n
    }
}

/// One live block and the byte that fills it.
struct Live {
    at: *mut u8,
    layout: Layout,
    fill: u8,
}

impl Live {
    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the test owns the block until it releases it, and its length is the layout's.
        unsafe { core::slice::from_raw_parts_mut(self.at, self.layout.size()) }
    }

    fn check(&mut self) {
        let fill = self.fill;
        assert!(
            self.bytes().iter().all(|&b| b == fill),
            "a live block was overwritten"
        );
    }
}

#[test]
fn random_use_keeps_every_byte_and_ends_with_one_free_block() {
    let mut heap = Heap::new(Arena::new(32 * MIB));
    let mut sequence = Sequence(1);
    let mut live: Vec<Live> = Vec::new();
    for round in 0..40_000usize {
        let action = sequence.below(10);
        if action < 5 || live.is_empty() {
            let len = match sequence.below(4) {
                0 => sequence.below(64) + 1,
                1 => sequence.below(1000) + 1,
                2 => sequence.below(20_000) + 1,
                _ => sequence.below(300_000) + 1,
            };
            let align = 1 << sequence.below(9);
            let layout = layout(len, align);
            let at = heap.allocate(layout);
            if at.is_null() {
                continue;
            }
            assert!(at.addr().is_multiple_of(align.max(16)));
            let mut block = Live {
                at,
                layout,
                fill: round as u8,
            };
            let fill = block.fill;
            block.bytes().fill(fill);
            live.push(block);
        } else if action < 8 || live.len() > 120 {
            let mut block = live.swap_remove(sequence.below(live.len()));
            block.check();
            // SAFETY: the block is live and leaves the list, so it is released once.
            unsafe { heap.release(block.at) };
        } else {
            let idx = sequence.below(live.len());
            let block = &mut live[idx];
            let new_len = sequence.below(200_000) + 1;
            block.check();
            // SAFETY: the block is live and of this heap.
            let at = unsafe { heap.resize(block.at, block.layout, new_len) };
            if at.is_null() {
                block.check();
                continue;
            }
            let kept = new_len.min(block.layout.size());
            block.at = at;
            block.layout = layout(new_len, block.layout.align());
            let fill = block.fill;
            assert!(block.bytes()[..kept].iter().all(|&b| b == fill));
            block.bytes().fill(fill);
        }
    }
    for mut block in live {
        block.check();
        // SAFETY: every block left in the list is live.
        unsafe { heap.release(block.at) };
    }
    let stats = heap.stats();
    assert_eq!(stats.used_bytes, 0);
    assert_eq!(
        heap.row_bits.count_ones(),
        1,
        "freed neighbours were not all joined"
    );
    let whole = heap.allocate(layout(stats.heap_bytes - 32, 16));
    assert!(!whole.is_null());
    assert_eq!(
        heap.stats().heap_bytes,
        stats.heap_bytes,
        "the heap grew for what it had"
    );
}

#[test]
fn a_model_that_is_closed_and_opened_again_takes_no_new_memory() {
    let mut heap = Heap::new(Arena::new(64 * MIB));
    let sizes = [
        9 * MIB + 136,
        300,
        5 * MIB + 72,
        2 * MIB,
        40_000,
        7 * MIB + 8,
    ];
    let mut first_bytes = 0;
    for round in 0..20 {
        let blocks: Vec<_> = sizes
            .iter()
            .map(|&len| heap.allocate(layout(len, 16)))
            .collect();
        let small = heap.allocate(layout(100, 8));
        assert!(blocks.iter().all(|at| !at.is_null()));
        for at in blocks {
            // SAFETY: allocated above, released once.
            unsafe { heap.release(at) };
        }
        // SAFETY: allocated above, released once.
        unsafe { heap.release(small) };
        if round == 0 {
            first_bytes = heap.stats().heap_bytes;
        }
    }
    assert_eq!(heap.stats().heap_bytes, first_bytes);
    let total: usize = sizes.iter().sum();
    assert!(
        first_bytes < total + 2 * 131072,
        "large requests are not exact: {first_bytes}"
    );
}

#[test]
fn no_memory_is_null_and_harms_nothing() {
    let mut heap = Heap::new(Arena::new(MIB));
    let kept = heap.allocate(layout(1000, 16));
    assert!(heap.allocate(layout(2 * MIB, 16)).is_null());
    assert!(heap.allocate(layout(i32::MAX as usize, 1)).is_null());
    assert!(heap.allocate(layout(i32::MAX as usize + 1, 1)).is_null());
    // SAFETY: `kept` is live; a failed resize leaves it so.
    assert!(unsafe { heap.resize(kept, layout(1000, 16), 2 * MIB) }.is_null());
    // SAFETY: `kept` is still live.
    unsafe { heap.release(kept) };
    assert!(!heap.allocate(layout(MIB - 64, 16)).is_null());
    let stats = heap.stats();
    assert_eq!(stats.peak_bytes, stats.used_bytes);
}

#[test]
fn a_growing_list_at_the_end_grows_in_place() {
    let mut heap = Heap::new(Arena::new(8 * MIB));
    let mut at = heap.allocate(layout(64, 8));
    let first = at;
    let mut len = 64;
    while len < 2 * MIB {
        // SAFETY: `at` is live and `len` bytes long.
        let moved = unsafe { heap.resize(at, layout(len, 8), len * 2) };
        assert!(!moved.is_null());
        at = moved;
        len *= 2;
    }
    assert!(heap.stats().heap_bytes < 5 * MIB);
    assert!(at.addr() >= first.addr());
}
