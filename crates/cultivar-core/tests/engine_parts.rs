//! Steps that end within a batch, between two layers: what comes out is what whole batches give,
//! also when others compute in between or the session itself is changed.

use cultivar_core::digest::Digest;
use cultivar_core::model::{Engine, EngineOptions};
use cultivar_core::session::{Session, Settings, Step};
use cultivar_testdata::loading::load_engine;
use cultivar_testdata::models::ModelSpec;

/// More steps than any run here takes.
const STEPS_MAX: usize = 2000;

fn engine() -> Engine {
    let options = EngineOptions {
        max_rows: 16,
        max_logit_rows: 5,
        ..Default::default()
    };
    load_engine(&ModelSpec::tiny("q8_0").build(), options)
}

fn ids(seed: u32) -> Vec<u32> {
    (0..41).map(|i| (i * 7 + seed * 31) % 200).collect()
}

fn open(engine: &mut Engine, seed: u32) -> Session {
    let json = r#"{"max_tokens":12,"ignore_stop":true,"prompt_lookup":3}"#;
    let mut session = Session::new(engine, Settings::from_json(json).unwrap()).unwrap();
    session.prompt(engine, &ids(seed)).unwrap();
    session
}

/// Runs to the end in steps of so much work; answers how many there were.
fn finish(engine: &mut Engine, session: &mut Session, work: usize) -> usize {
    for n in 1..STEPS_MAX {
        if let Step::Done(_) = session.step_part(engine, 16, work).unwrap() {
            return n;
        }
    }
    panic!("no end");
}

fn whole(seed: u32) -> (Digest, usize) {
    let mut engine = engine();
    let mut session = open(&mut engine, seed);
    let n = finish(&mut engine, &mut session, usize::MAX);
    (session.run_digest(), n)
}

#[test]
fn parts_change_no_bit_and_tell_how_far_they_are() {
    let (digest, n_whole) = whole(1);
    for work in [0, 1, 16, 20, 33, 1000] {
        let mut engine = engine();
        let mut session = open(&mut engine, 1);
        let first = session.step_part(&mut engine, 16, work).unwrap();
        let done = if work < 1000 { 0 } else { 16 };
        assert_eq!(first, Step::Prefilling { done, total: 41 }, "{work}");
        session.note_ms(1.0);
        let n = 1 + finish(&mut engine, &mut session, work);
        assert_eq!(session.run_digest(), digest, "{work}");
        assert_eq!(n > n_whole, work < 1000, "{work}: {n} steps");
        assert!(session.diagnostics().prefill_ms >= 1.0);
    }
}

#[test]
fn others_in_between_hinder_nobody() {
    let mut engine = engine();
    let mut both = [open(&mut engine, 1), open(&mut engine, 2)];
    for step in 0.. {
        assert!(step < STEPS_MAX);
        for session in &mut both {
            session.step_part(&mut engine, 16, 1).unwrap();
        }
        if both.iter().all(|session| session.stop_reason().is_some()) {
            break;
        }
    }
    assert_eq!(both[0].run_digest(), whole(1).0);
    assert_eq!(both[1].run_digest(), whole(2).0);
}

#[test]
fn a_begun_batch_survives_what_happens_to_its_session() {
    let mut engine = engine();
    let mut session = open(&mut engine, 1);
    session.step_part(&mut engine, 16, 1).unwrap();
    let mut fork = session.fork(&mut engine).unwrap();
    finish(&mut engine, &mut fork, 1);
    finish(&mut engine, &mut session, 1);
    assert_eq!(fork.run_digest(), whole(1).0);
    assert_eq!(session.run_digest(), whole(1).0);

    // Cancelled within the first batch, in parts and before it: the same turns, the same run.
    let digests = [0, 1].map(|n_parts| {
        let mut session = open(&mut engine, 3);
        for _ in 0..n_parts {
            session.step_part(&mut engine, 16, 1).unwrap();
        }
        session.cancel();
        session.prompt(&mut engine, &ids(4)).unwrap();
        finish(&mut engine, &mut session, 1);
        session.run_digest()
    });
    assert_eq!(digests[0], digests[1]);

    // Other batch sizes in between: the buffers that held it are gone.
    let mut session = open(&mut engine, 1);
    session.step_part(&mut engine, 16, 1).unwrap();
    engine.set_rows(9, 5).unwrap();
    finish(&mut engine, &mut session, 1);
    assert_eq!(session.run_digest(), whole(1).0);
}
