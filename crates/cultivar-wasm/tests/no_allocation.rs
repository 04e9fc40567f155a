//! Computing a token allocates nothing: a counting allocator watches whole sessions.
//!
//! Here because an allocator is unsafe code, which only this crate may hold.
#![allow(unsafe_code)]

use cultivar_core::model::EngineOptions;
use cultivar_core::session::{Session, Settings, Step};
use cultivar_testdata::loading::load_engine;
use cultivar_testdata::models::ModelSpec;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts the allocations of the thread that asks for it.
struct Counting;

thread_local! {
    static N_ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        N_ALLOCATIONS.with(|n| n.set(n.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn computing_allocates_nothing() {
    let options = EngineOptions {
        max_rows: 16,
        ..Default::default()
    };
    let mut engine = load_engine(&ModelSpec::tiny("q8_0").build(), options);
    let ids: Vec<u32> = (0..40).map(|i| i * 5).collect();
    for json in [
        r#"{"max_tokens":100,"ignore_stop":true}"#,
        r#"{"max_tokens":100,"ignore_stop":true,"temperature":1,"kv":"q8"}"#,
    ] {
        let mut session = Session::new(&mut engine, Settings::from_json(json).unwrap()).unwrap();
        session.prompt(&engine, &ids).unwrap();
        let mut fork = session.fork(&mut engine).unwrap();
        let before = N_ALLOCATIONS.with(Cell::get);
        while !matches!(session.step(&mut engine, 8).unwrap(), Step::Done(_)) {
            session.note_ms(1.0);
        }
        while !matches!(fork.step(&mut engine, 8).unwrap(), Step::Done(_)) {}
        assert_eq!(N_ALLOCATIONS.with(Cell::get), before, "{json}");
        assert_eq!(session.output_ids().len(), 100);
        assert_eq!(session.run_digest(), fork.run_digest());
    }
}
