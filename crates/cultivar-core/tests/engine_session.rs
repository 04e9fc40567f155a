//! Sessions: stop reasons, limits, rewind, fork, turns, reports.

use cultivar_core::digest::Digest;
use cultivar_core::model::{Engine, EngineOptions};
use cultivar_core::session::{
    LoadTimes, ReportOptions, Session, SessionErrorKind, Settings, Step, StopReason, report_json,
};
use cultivar_testdata::loading::load_engine;
use cultivar_testdata::models::ModelSpec;

fn engine() -> Engine {
    let options = EngineOptions {
        max_rows: 16,
        ..Default::default()
    };
    load_engine(&ModelSpec::tiny("q8_0").build(), options)
}

fn settings(json: &str) -> Settings {
    Settings::from_json(json).unwrap()
}

fn prompt(text: &str) -> Vec<u32> {
    [256]
        .into_iter()
        .chain(text.bytes().map(u32::from))
        .collect()
}

fn finish(session: &mut Session, engine: &mut Engine) -> StopReason {
    loop {
        if let Step::Done(reason) = session.step(engine, 8).unwrap() {
            return reason;
        }
    }
}

/// Tokens and digest of a run from its beginning.
fn fresh(engine: &mut Engine, json: &str, ids: &[u32]) -> (Vec<u32>, Digest) {
    let mut session = Session::new(engine, settings(json)).unwrap();
    session.prompt(engine, ids).unwrap();
    finish(&mut session, engine);
    let result = (session.output_ids().to_vec(), session.run_digest());
    session.close(engine);
    result
}

#[test]
fn every_stop_reason_is_met() {
    let mut engine = engine();
    let ids = prompt("one two three");
    let run = |engine: &mut Engine, json: &str| {
        let mut session = Session::new(engine, settings(json)).unwrap();
        session.prompt(engine, &ids).unwrap();
        let reason = finish(&mut session, engine);
        (
            reason,
            session.output_ids().len(),
            session.output_ids().last().copied(),
        )
    };
    let (reason, n, _) = run(&mut engine, r#"{"max_tokens":5,"ignore_stop":true}"#);
    assert_eq!((reason, n), (StopReason::MaxTokens, 5));
    let json = r#"{"max_tokens":1000,"ignore_stop":true,"context_len":40}"#;
    let (reason, n, _) = run(&mut engine, json);
    assert_eq!((reason, n), (StopReason::ContextFull, 40 - ids.len() + 1));
    // At this temperature every token is about equally likely: some run meets the stop token.
    let stopped = (0..40).any(|seed| {
        let json = format!(
            r#"{{"temperature":100,"top_k":1024,"top_p":1,"seed":{seed},"max_tokens":140}}"#
        );
        let (reason, _, last) = run(&mut engine, &json);
        assert!(reason != StopReason::StopToken || last == Some(257));
        reason == StopReason::StopToken
    });
    assert!(stopped);
    let mut session = Session::new(&mut engine, Settings::default()).unwrap();
    session.prompt(&mut engine, &ids).unwrap();
    session.step(&mut engine, 4).unwrap();
    session.cancel();
    assert_eq!(
        session.step(&mut engine, 4).unwrap(),
        Step::Done(StopReason::Cancelled)
    );
}

#[test]
fn what_cannot_be_is_refused_and_the_session_lives() {
    let mut engine = engine();
    let error = Session::new(&mut engine, settings(r#"{"context_len":161}"#))
        .err()
        .unwrap();
    assert_eq!(error.kind, SessionErrorKind::ContextTooLong(161, 160));
    let mut session = Session::new(&mut engine, settings(r#"{"context_len":8}"#)).unwrap();
    let kind = |result: Result<(), cultivar_core::session::SessionError>| match result {
        Err(error) => error.kind.clone(),
        Ok(()) => panic!("accepted"),
    };
    assert_eq!(
        session.step(&mut engine, 1).unwrap_err().kind,
        SessionErrorKind::NotPrompted
    );
    assert_eq!(
        kind(session.prompt(&mut engine, &[])),
        SessionErrorKind::EmptyPrompt
    );
    assert_eq!(
        kind(session.prompt(&mut engine, &[1; 11])),
        SessionErrorKind::PromptTooLong(3, 8)
    );
    assert_eq!(
        kind(session.prompt(&mut engine, &[1, 258])),
        SessionErrorKind::UnknownToken(258, 258)
    );
    assert_eq!(
        kind(session.rewind(&mut engine, 1)),
        SessionErrorKind::RewindRange(1, 0)
    );
    session.prompt(&mut engine, &[256, 65, 66]).unwrap();
    assert!(matches!(
        session.step(&mut engine, 8).unwrap(),
        Step::Token(_)
    ));
    assert_eq!(
        kind(session.rewind(&mut engine, 5)),
        SessionErrorKind::RewindRange(5, 4)
    );
    assert_eq!(
        kind(session.rewind(&mut engine, 0)),
        SessionErrorKind::RewindRange(0, 4)
    );
    assert!(matches!(
        session.step(&mut engine, 8).unwrap(),
        Step::Token(_)
    ));
}

#[test]
fn rewinding_leaves_a_session_that_never_went_further() {
    let mut engine = engine();
    let json = r#"{"max_tokens":30,"temperature":0.9,"seed":3,"ignore_stop":true}"#;
    let ids = prompt("a story about rain");
    let (outputs, digest) = fresh(&mut engine, json, &ids);
    let mut session = Session::new(&mut engine, settings(json)).unwrap();
    session.prompt(&mut engine, &ids).unwrap();
    finish(&mut session, &mut engine);
    for n in [
        ids.len() + 30,
        ids.len() + 29,
        ids.len() + 7,
        ids.len() + 1,
        ids.len(),
    ] {
        session.rewind(&mut engine, n).unwrap();
        assert_eq!(session.tokens().len(), n);
        finish(&mut session, &mut engine);
        assert_eq!(
            (session.output_ids(), session.run_digest()),
            (&outputs[..], digest),
            "{n}"
        );
    }
    // Into the prompt: as if it had been shorter.
    let short = fresh(&mut engine, json, &ids[..5]);
    session.rewind(&mut engine, 5).unwrap();
    finish(&mut session, &mut engine);
    assert_eq!((session.output_ids().to_vec(), session.run_digest()), short);
}

#[test]
fn forks_continue_alike_and_apart() {
    let mut engine = engine();
    let json = r#"{"max_tokens":24,"temperature":0.9,"seed":11,"ignore_stop":true}"#;
    let ids = prompt("forks");
    let whole = fresh(&mut engine, json, &ids);
    let mut session = Session::new(&mut engine, settings(json)).unwrap();
    session.prompt(&mut engine, &ids).unwrap();
    for _ in 0..10 {
        session.step(&mut engine, 8).unwrap();
    }
    let mut fork = session.fork(&mut engine).unwrap();
    let mut other = session.fork(&mut engine).unwrap();
    other.rewind(&mut engine, ids.len() + 2).unwrap();
    other.prompt(&mut engine, &prompt(" meet")).unwrap();
    finish(&mut other, &mut engine);
    finish(&mut fork, &mut engine);
    finish(&mut session, &mut engine);
    assert_eq!((fork.output_ids().to_vec(), fork.run_digest()), whole);
    assert_eq!((session.output_ids().to_vec(), session.run_digest()), whole);
    assert_ne!(other.run_digest(), whole.1);
    for session in [session, fork, other] {
        session.close(&mut engine);
    }
    assert_eq!(engine.kv().used_bytes(), 0);
    let retained = engine.kv().retained_bytes();
    assert_eq!(engine.kv().allocated_bytes(), retained);
}

#[test]
fn turns_are_part_of_the_digest_and_rewind_across_them() {
    let mut engine = engine();
    let json = r#"{"max_tokens":6,"ignore_stop":true}"#;
    let (first, second) = (prompt("first"), prompt("second"));
    let mut session = Session::new(&mut engine, settings(json)).unwrap();
    session.prompt(&mut engine, &first).unwrap();
    finish(&mut session, &mut engine);
    let (after_first, n_first) = (session.run_digest(), session.tokens().len());
    session.prompt(&mut engine, &second).unwrap();
    finish(&mut session, &mut engine);
    assert_eq!(session.prompt_ids(), second);
    assert_eq!(session.output_ids().len(), 6);
    let whole = (session.tokens().to_vec(), session.run_digest());
    session.rewind(&mut engine, n_first).unwrap();
    assert_eq!(session.run_digest(), after_first);
    assert_eq!(session.prompt_ids(), first);
    session.prompt(&mut engine, &second).unwrap();
    finish(&mut session, &mut engine);
    assert_eq!((session.tokens().to_vec(), session.run_digest()), whole);
}

#[test]
fn the_report_says_what_was_done() {
    let mut engine = engine();
    let mut session = Session::new(
        &mut engine,
        settings(r#"{"max_tokens":4,"ignore_stop":true}"#),
    )
    .unwrap();
    session.prompt(&mut engine, &prompt("report")).unwrap();
    while !matches!(session.step(&mut engine, 3).unwrap(), Step::Done(_)) {
        session.note_ms(2.0);
    }
    let text = report_json(
        &session,
        &engine,
        ReportOptions {
            text: Some("text"),
            load: LoadTimes { load_ms: 12.5 },
            watts: Some(10.0),
            heap_bytes: [50_000_000, 60_000_000],
        },
    );
    let report = cultivar_core::json::parse(text.as_bytes()).unwrap();
    let field = |key: &str| report.get(key).unwrap().clone();
    assert_eq!(field("schema").as_str(), Some("cultivar.run.v1"));
    assert_eq!(field("stop_reason").as_str(), Some("max_tokens"));
    assert_eq!(field("output_ids").as_array().unwrap().len(), 4);
    assert_eq!(
        field("run_digest").as_str(),
        Some(&*session.run_digest().to_string())
    );
    let diagnostics = field("diagnostics");
    let number = |key: &str| diagnostics.get(key).unwrap().as_f64().unwrap();
    assert_eq!(number("n_prompt_tokens"), 7.0);
    assert_eq!(number("first_token_ms"), 6.0);
    assert_eq!(number("decode_ms_p50"), 2.0);
    assert_eq!(number("decode_tokens_per_s"), 500.0);
    assert_eq!(number("load_ms"), 12.5);
    let energy = diagnostics.get("energy_estimate").unwrap();
    assert_eq!(energy.get("joules_per_token").unwrap().as_f64(), Some(0.02));
    let memory = diagnostics.get("memory").unwrap();
    let bytes = |key: &str| memory.get(key).unwrap().as_u64().unwrap();
    let classes = bytes("total_bytes") + bytes("adapter_bytes") + bytes("buffers_bytes");
    assert_eq!(
        (classes, bytes("heap_used_bytes")),
        (50_000_000, 50_000_000)
    );
    assert_eq!(bytes("heap_peak_bytes"), 60_000_000);
    let without = report_json(&session, &engine, ReportOptions::default());
    assert!(!without.contains("\"text\"") && !without.contains("_ids\""));
    assert!(!without.contains("energy") && !without.contains("heap"));
    assert!(bytes("weights_bytes") > 100_000);
}

#[test]
fn the_first_tokens_time_is_that_of_its_own_prompt() {
    let mut engine = engine();
    let ids = prompt("Once upon a time there was a little girl");
    let mut session = Session::new(&mut engine, settings(r#"{"max_tokens":2}"#)).unwrap();
    session.prompt(&mut engine, &ids).unwrap();
    assert!(matches!(
        session.step(&mut engine, 1).unwrap(),
        Step::Prefilling { .. }
    ));
    session.note_ms(1000.0);
    session.cancel();
    session.prompt(&mut engine, &ids[1..3]).unwrap();
    assert_eq!(session.diagnostics().first_token_ms, None);
    while !matches!(session.step(&mut engine, 64).unwrap(), Step::Done(_)) {
        session.note_ms(2.0);
    }
    assert!(session.diagnostics().first_token_ms.unwrap() < 1000.0);
    session.close(&mut engine);
}

#[test]
fn choices_without_usable_mass_are_a_warning_of_the_report() {
    let mut engine = engine();
    // All but one are banned, and a stop that a grammar does not allow yet is that one.
    let vocab_size = engine.model.tokenizer.vocab_size();
    let all: Vec<String> = (0..vocab_size)
        .filter(|id| *id != 257)
        .map(|id| id.to_string())
        .collect();
    let banned = all.join(",");
    let constraint = r#"{"gbnf":"root ::= \"a\"{3}"}"#;
    let mut warnings = |more: &str| {
        let json = format!(r#"{{"max_tokens":3,"temperature":1{more}}}"#);
        let settings = settings(&json);
        if let Some(source) = &settings.constraint {
            engine.add_grammar(source.grammar().unwrap());
        }
        let mut session = Session::new(&mut engine, settings).unwrap();
        session.prompt(&mut engine, &prompt("warn")).unwrap();
        loop {
            match session.step(&mut engine, 8) {
                Ok(Step::Done(_)) | Err(_) => break,
                Ok(_) => {}
            }
        }
        let text = report_json(&session, &engine, ReportOptions::default());
        session.close(&mut engine);
        let report = cultivar_core::json::parse(text.as_bytes()).unwrap();
        let told = report.get("diagnostics").unwrap().get("warnings").unwrap();
        let told = told.as_array().unwrap().iter();
        let told = told.map(|one| {
            let kind = one.get("kind").unwrap().as_str().unwrap().to_string();
            (kind, one.get("count").unwrap().as_u64().unwrap())
        });
        told.collect::<Vec<_>>()
    };
    let of_grammar = format!(r#","banned_tokens":[{banned}],"constraint":{constraint}"#);
    let fell_back = ("sampler_fell_back_to_greedy".to_string(), 1);
    assert_eq!(warnings(&of_grammar), [fell_back]);
    assert_eq!(warnings(""), []);
}
