//! Reading a package takes memory in proportion to its own length, whatever it claims.
//!
//! A counting allocator watches every hostile package, every truncation and every flipped bit of
//! a small one. It lives in this crate because it needs `unsafe`.
#![allow(unsafe_code)]

use cultivar_core::adapter::Adapter;
use cultivar_core::package::{Head, Package};
use cultivar_testdata::hostile::hostile_models;
use cultivar_testdata::hostile_adapters::{bound_adapter, hostile_adapters};
use cultivar_testdata::small_packages::small_model;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE_BYTES: Cell<usize> = const { Cell::new(0) };
    static PEAK_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting what each thread holds.
struct Counting;

impl Counting {
    fn add(n_bytes: usize) {
        // A thread that is ending has no counters any more; it is not measured either.
        let _ = LIVE_BYTES.try_with(|live| {
            live.set(live.get().wrapping_add(n_bytes));
            PEAK_BYTES.with(|peak| peak.set(peak.get().max(live.get())));
        });
    }

    fn remove(n_bytes: usize) {
        let _ = LIVE_BYTES.try_with(|live| live.set(live.get().wrapping_sub(n_bytes)));
    }
}

// SAFETY: every call is passed on to the system's allocator with the arguments it came with, so
// its promises are ours; counting touches only this thread's cells and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::add(layout.size());
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, payload: *mut u8, layout: Layout) {
        Counting::remove(layout.size());
        // SAFETY: the caller promises that `payload` came from `alloc` with this layout, which
        // took it from the system.
        unsafe { System.dealloc(payload, layout) }
    }

    unsafe fn realloc(&self, payload: *mut u8, layout: Layout, new_bytes: usize) -> *mut u8 {
        // Both blocks may live at once while the content moves.
        Counting::add(new_bytes);
        // SAFETY: as for `dealloc`; the caller's promise about `new_bytes` is passed on.
        let moved = unsafe { System.realloc(payload, layout, new_bytes) };
        Counting::remove(layout.size());
        moved
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What reading may take at its peak per byte of the file: decoded lists, names and entries are
/// wider than their stored form, and growing vectors may be twice as long as needed.
const PEAK_PER_BYTE: usize = 4;

/// What reading may take whatever the length: small lists that are built before they are checked.
const PEAK_ALWAYS: usize = 1 << 10;

/// Runs `work` and checks the peak of what it held against the bytes it was given.
fn check<T>(name: &str, n_bytes: usize, work: impl FnOnce() -> T) {
    let before = LIVE_BYTES.get();
    PEAK_BYTES.set(before);
    drop(work());
    let peak = PEAK_BYTES.get().wrapping_sub(before);
    let allowed = n_bytes * PEAK_PER_BYTE + PEAK_ALWAYS;
    assert!(
        peak <= allowed,
        "{name}: {peak} bytes held for a file of {n_bytes} bytes"
    );
    assert_eq!(
        LIVE_BYTES.get(),
        before,
        "{name}: something was not given back"
    );
}

#[test]
fn hostile_files_take_no_more_than_their_length_justifies() {
    for case in hostile_models() {
        let bytes = case.bytes.as_slice();
        check(&case.name, bytes.len(), || {
            Package::parse(bytes).map(|_| ())
        });
        check(&case.name, bytes.len(), || {
            Head::parse(bytes, case.file_bytes).map(|_| ())
        });
    }
    for case in hostile_adapters() {
        let bytes = case.bytes.as_slice();
        check(&case.name, bytes.len(), || {
            Adapter::parse(bytes).map(|_| ())
        });
    }
}

#[test]
fn damaged_files_take_no_more_than_their_length_justifies() {
    for (name, mut file) in [
        ("model", small_model().build()),
        ("adapter", bound_adapter().build()),
    ] {
        for n_bytes in 0..=file.len() {
            let cut = &file[..n_bytes];
            check(name, n_bytes, || Package::parse(cut).map(|_| ()));
            check(name, n_bytes, || Adapter::parse(cut).map(|_| ()));
        }
        for bit in 0..file.len() * 8 {
            file[bit / 8] ^= 1 << (bit % 8);
            check(name, file.len(), || Package::parse(&file).map(|_| ()));
            check(name, file.len(), || Adapter::parse(&file).map(|_| ()));
            file[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn sealed_damage_takes_no_more_than_the_length_justifies() {
    for section in 0..small_model().sections.len() {
        for byte in 0..small_model().sections[section].bytes.len() {
            for value in [0, 0x7F, 0xFF] {
                let mut package = small_model();
                package.sections[section].bytes[byte] = value;
                let file = package.build();
                check("sealed damage", file.len(), || {
                    Package::parse(&file).map(|_| ())
                });
            }
        }
    }
}
