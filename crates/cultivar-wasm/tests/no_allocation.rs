//! Computing a token allocates nothing: a counting allocator watches whole sessions.
//!
//! Here because an allocator is unsafe code, which only this crate may hold.
#![allow(unsafe_code)]

use cultivar_core::adapter::{Adapter, StackLimits};
use cultivar_core::kv_cache::KvFormat;
use cultivar_core::model::{EngineOptions, Row};
use cultivar_core::session::{Batch, Session, Settings, Step};
use cultivar_testdata::adapters::{DeltaSpec, adapter_for};
use cultivar_testdata::loading::load_engine;
use cultivar_testdata::models::ModelSpec;
use cultivar_testdata::variants::variants;
use cultivar_wasm::host::Host;
use cultivar_wasm::verbs::session::{STEP_DONE, STEP_TOKEN};
use opening::{golden, open, prompt_text, put};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

mod opening;

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
        r#"{"max_tokens":100,"ignore_stop":true,"temperature":0.8,"typical_p":0.9,"min_p":0.01,
            "repetition_penalty":1.2,"frequency_penalty":0.1,"presence_penalty":0.1,
            "logit_bias":{"7":1},"banned_tokens":[9],"logprobs":20,
            "stop_strings":["no such text","nor this one"],"random_stream":"prompt"}"#,
    ] {
        let mut session = Session::new(&mut engine, Settings::from_json(json).unwrap()).unwrap();
        session.prompt(&mut engine, &ids).unwrap();
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

#[test]
fn neither_drafts_nor_batches_allocate() {
    let options = EngineOptions {
        max_rows: 24,
        max_logit_rows: 15,
        ..Default::default()
    };
    let mut engine = load_engine(&ModelSpec::tiny("q8_0").build(), options);
    let ids: Vec<u32> = (0..40).map(|i| i % 8 * 5).collect();
    let json = r#"{"max_tokens":60,"ignore_stop":true,"prompt_lookup":4}"#;
    let mut sessions: Vec<Session> = (0..3)
        .map(|i| {
            let settings = Settings::from_json(json).unwrap();
            let mut session = Session::new(&mut engine, settings).unwrap();
            session.prompt(&mut engine, &ids[i..]).unwrap();
            session
        })
        .collect();
    let mut batch = Batch::new(&engine, 3).unwrap();
    let mut alone = sessions[0].fork(&mut engine).unwrap();
    let mut all: Vec<&mut Session> = sessions.iter_mut().collect();
    let before = N_ALLOCATIONS.with(Cell::get);
    while all.iter().any(|session| session.stop_reason().is_none()) {
        batch.step(&mut engine, &mut all, 8).unwrap();
    }
    while !matches!(alone.step(&mut engine, 8).unwrap(), Step::Done(_)) {}
    assert_eq!(N_ALLOCATIONS.with(Cell::get), before);
    assert!(alone.diagnostics().n_drafts_accepted > 0);
    assert_eq!(sessions[0].run_digest(), alone.run_digest());
}

#[test]
fn no_option_of_a_model_allocates() {
    let ids: Vec<u32> = (0..40).map(|i| i * 5).collect();
    for spec in variants("q8_0") {
        let options = EngineOptions {
            max_rows: 16,
            ..Default::default()
        };
        let mut engine = load_engine(&spec.build(), options);
        let settings = Settings::from_json(r#"{"max_tokens":60,"ignore_stop":true}"#).unwrap();
        let mut session = Session::new(&mut engine, settings).unwrap();
        session.prompt(&mut engine, &ids).unwrap();
        let before = N_ALLOCATIONS.with(Cell::get);
        while !matches!(session.step(&mut engine, 8).unwrap(), Step::Done(_)) {}
        assert_eq!(N_ALLOCATIONS.with(Cell::get), before, "{}", spec.name);
        assert_eq!(session.output_ids().len(), 60);
    }
}

#[test]
fn adapters_and_their_weights_allocate_nothing() {
    let model = ModelSpec::tiny("q8_0").build();
    let options = EngineOptions {
        max_rows: 16,
        ..Default::default()
    };
    let mut engine = load_engine(&model, options);
    let mut stack = engine.new_stack(StackLimits::default());
    for (seed, delta) in [
        (1, DeltaSpec::LowRank(16, "f16")),
        (2, DeltaSpec::Raw("f32")),
        (3, DeltaSpec::Sparse(5)),
    ] {
        let file = adapter_for(&model, seed, delta, |_| true);
        let adapter = Adapter::parse(&file).unwrap();
        let adapter = engine.load_adapter(&adapter, StackLimits::default());
        stack.push(adapter.unwrap(), 0.5).unwrap();
    }
    let id = engine.add_stack(stack).unwrap();
    let sequence = engine.open_sequence(64, KvFormat::F32).unwrap();
    engine.use_stack(sequence, Some(id)).unwrap();
    let before = N_ALLOCATIONS.with(Cell::get);
    for position in 0..64 {
        let weight = 0.5 - position as f32 / 40.0;
        engine
            .set_adapter_weight(id, position as usize % 3, weight)
            .unwrap();
        let row = Row {
            sequence,
            position,
            token: position * 3,
            wants_logits: true,
        };
        engine.forward(&[row]).unwrap();
    }
    assert_eq!(N_ALLOCATIONS.with(Cell::get), before);
}

#[test]
fn steps_through_the_boundary_allocate_nothing() {
    let mut host = Host::default();
    let package = open(&mut host, &golden("golden-q8_0.slm")).unwrap();
    let len = put(
        &mut host,
        br#"{"max_tokens":60,"ignore_stop":true,"temperature":1}"#,
    );
    let session = host.session_new(package, len).unwrap();
    prompt_text(&mut host, session, "The cat sat on the mat.").unwrap();
    // The first answer may make the shared buffer larger; later ones fit it.
    host.buffer.reserve(4096).unwrap();
    let before = N_ALLOCATIONS.with(Cell::get);
    let mut n_tokens = 0;
    loop {
        match host.session_step(session, 8, 7).unwrap() {
            STEP_DONE => break,
            outcome => n_tokens += usize::from(outcome == STEP_TOKEN),
        }
        host.session_note_ms(session, 1.0).unwrap();
        host.session_text(session).unwrap();
    }
    assert_eq!(N_ALLOCATIONS.with(Cell::get), before);
    assert_eq!(n_tokens, 60);
}
