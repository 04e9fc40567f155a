//! Records and replays: the same bits, the first step that differs, redaction, adapters that
//! change on the way, and what is refused.

use cultivar_core::adapter::{Adapter, LoadedAdapter, StackLimits, Weighing};
use cultivar_core::model::{Engine, EngineOptions, StackId};
use cultivar_core::package::schema::TensorRole;
use cultivar_core::session::{
    RecordOptions, Replay, ReplayRecord, ReplayStep, Session, SessionErrorKind, Settings, Step,
    record_json,
};
use cultivar_testdata::adapters::{DeltaSpec, adapter_for};
use cultivar_testdata::loading::load_engine;
use cultivar_testdata::models::ModelSpec;
use std::sync::Arc;

fn engine() -> Engine {
    load_engine(&ModelSpec::tiny("q8_0").build(), EngineOptions::default())
}

/// An adapter on the matrices whose names have that part.
fn load(engine: &Engine, seed: u64, part: &str) -> Arc<LoadedAdapter> {
    let model = ModelSpec::tiny("q8_0").build();
    let delta = DeltaSpec::LowRank(4, "f32");
    let file = adapter_for(&model, seed, delta, |name| name.contains(part));
    let adapter = Adapter::parse(&file).unwrap();
    engine
        .load_adapter(&adapter, StackLimits::default())
        .unwrap()
}

/// A stack of one adapter on two matrices.
fn add_stack(engine: &mut Engine) -> StackId {
    let mut stack = engine.new_stack(StackLimits::default());
    stack.push(load(engine, 5, "w_q"), 0.5).unwrap();
    engine.add_stack(stack).unwrap()
}

/// The adapters on a stack.
fn pool(engine: &Engine, stack: Option<StackId>) -> Vec<Arc<LoadedAdapter>> {
    let stack = stack.and_then(|id| engine.stack(id));
    let entries = stack.map_or(&[][..], |stack| stack.entries()).iter();
    entries.map(|entry| entry.adapter().clone()).collect()
}

fn advance(session: &mut Session, engine: &mut Engine, n_tokens: usize) {
    let end = session.tokens().len() + n_tokens;
    while session.tokens().len() < end && session.stop_reason().is_none() {
        session.step(engine, 8).unwrap();
    }
}

fn replay(engine: &mut Engine, record: &str, stack: Option<StackId>, budget: usize) -> ReplayStep {
    let pool = pool(engine, stack);
    replay_with(engine, record, pool, budget)
}

fn replay_with(
    engine: &mut Engine,
    record: &str,
    pool: Vec<Arc<LoadedAdapter>>,
    budget: usize,
) -> ReplayStep {
    let record = ReplayRecord::parse(record.as_bytes()).unwrap();
    let mut replay = Replay::new(engine, record, pool).unwrap();
    let end = loop {
        match replay.step(engine, budget).unwrap() {
            ReplayStep::Going(_) => {}
            end => break end,
        }
    };
    replay.close(engine);
    end
}

const STEPS: RecordOptions = RecordOptions {
    redacts_prompts: false,
    has_steps: true,
};

/// A conversation of two turns, the first of which was cut off by the host.
fn conversation(engine: &mut Engine, stack: Option<StackId>) -> Session {
    let json = r#"{"max_tokens":20,"temperature":0.8,"seed":4,"ignore_stop":true,"kv":"f16"}"#;
    let mut session = Session::new(engine, Settings::from_json(json).unwrap()).unwrap();
    session.use_stack(engine, stack).unwrap();
    session
        .prompt(engine, &[256, 84, 104, 101, 32, 99])
        .unwrap();
    advance(&mut session, engine, 7);
    session.cancel();
    session.prompt(engine, &[10, 11, 12]).unwrap();
    session
}

#[test]
fn a_record_replays_to_the_same_bits() {
    let mut engine = engine();
    let mut session = conversation(&mut engine, None);
    advance(&mut session, &mut engine, 100);
    for options in [STEPS, RecordOptions::default()] {
        let record = record_json(&session, &engine, options);
        for budget in [1, 7, usize::MAX] {
            assert_eq!(
                replay(&mut engine, &record, None, budget),
                ReplayStep::SameBits
            );
        }
    }
    let short = record_json(&session, &engine, RecordOptions::default());
    assert!(!short.contains("step_digests"));
    let again = record_json(&session, &engine, RecordOptions::default());
    assert_eq!(short, again, "canonical");
}

#[test]
fn the_first_step_that_differs_is_named() {
    let mut engine = engine();
    let mut session = conversation(&mut engine, None);
    advance(&mut session, &mut engine, 100);
    let record = record_json(&session, &engine, STEPS);
    let n_first = 7;
    // Another token recorded at the third step of the second turn.
    let third = session.output_ids()[2];
    let mut parsed = ReplayRecord::parse(record.as_bytes()).unwrap();
    parsed.turns[1].output_ids[2] = third ^ 1;
    let mut changed = Replay::new(&mut engine, parsed, Vec::new()).unwrap();
    let difference = loop {
        match changed.step(&mut engine, 8).unwrap() {
            ReplayStep::Going(_) => {}
            ReplayStep::Differs(difference) => break difference,
            end => panic!("{end:?}"),
        }
    };
    assert_eq!(difference.step, n_first + 2);
    assert_eq!(difference.recorded_token, Some(third ^ 1));
    assert_eq!(difference.token, Some(third));
    assert_eq!(difference.recorded_digest, Some(difference.digest));
    // Other logits, same tokens: another digest of the fifth step, or only of the run.
    let mut parsed = ReplayRecord::parse(record.as_bytes()).unwrap();
    parsed.steps[4][0] ^= 1;
    let mut changed = Replay::new(&mut engine, parsed, Vec::new()).unwrap();
    let end = loop {
        match changed.step(&mut engine, 8).unwrap() {
            ReplayStep::Going(_) => {}
            end => break end,
        }
    };
    assert!(matches!(end, ReplayStep::Differs(d) if d.step == 4 && d.recorded_token == d.token));
    let digest = session.run_digest().to_string();
    let other = record_json(&session, &engine, RecordOptions::default())
        .replace(&digest, &digest.replace(['1', '2', '3'], "0"));
    assert_eq!(
        replay(&mut engine, &other, None, 8),
        ReplayStep::OtherLogits
    );
    // A record that goes on where the settings stop.
    let mut parsed = ReplayRecord::parse(record.as_bytes()).unwrap();
    parsed.turns[1].output_ids.push(1);
    let mut longer = Replay::new(&mut engine, parsed, Vec::new()).unwrap();
    let end = loop {
        match longer.step(&mut engine, 8).unwrap() {
            ReplayStep::Going(_) => {}
            end => break end,
        }
    };
    assert!(matches!(end, ReplayStep::Differs(d) if d.token.is_none() && d.step == n_first + 20));
}

#[test]
fn adapters_that_change_on_the_way_are_events() {
    let mut engine = engine();
    let stack = add_stack(&mut engine);
    let mut session = conversation(&mut engine, Some(stack));
    // One change while the prompt is read, one between tokens, one that changes nothing.
    assert!(matches!(
        session.step(&mut engine, 2).unwrap(),
        Step::Prefilling { .. }
    ));
    engine.set_adapter_weight(stack, 0, 1.25).unwrap();
    advance(&mut session, &mut engine, 6);
    engine.set_adapter_weight(stack, 0, -0.5).unwrap();
    engine.set_adapter_weight(stack, 0, -0.5).unwrap();
    advance(&mut session, &mut engine, 100);
    assert_eq!(session.events().len(), 2);
    let record = record_json(&session, &engine, STEPS);
    for budget in [1, 5, usize::MAX] {
        assert_eq!(
            replay(&mut engine, &record, Some(stack), budget),
            ReplayStep::SameBits
        );
    }
    // The pages of the changed run serve nobody else.
    engine.set_adapter_weight(stack, 0, 0.5).unwrap();
    let mut plain = conversation(&mut engine, Some(stack));
    advance(&mut plain, &mut engine, 100);
    assert_ne!(plain.run_digest(), session.run_digest());
    assert!(plain.events().is_empty());
    let record = record_json(&plain, &engine, STEPS);
    assert_eq!(
        replay(&mut engine, &record, Some(stack), 9),
        ReplayStep::SameBits
    );
    // Without its adapter it is another run.
    let parsed = ReplayRecord::parse(record.as_bytes()).unwrap();
    let error = Replay::new(&mut engine, parsed, Vec::new()).err().unwrap();
    assert_eq!(
        error.kind,
        SessionErrorKind::RecordOfOther("list of adapters")
    );
    // Going back before a change and on again leaves what never changed.
    let bytes = session.snapshot(&engine).unwrap();
    let restored = Session::restore(&mut engine, &bytes, &[]).err().unwrap();
    assert!(matches!(
        restored.kind,
        SessionErrorKind::SnapshotOfOther(_)
    ));
    // The weights are the snapshot's own.
    let adapters = pool(&engine, Some(stack));
    let restored = Session::restore(&mut engine, &bytes, &adapters).unwrap();
    assert!(restored.snapshot(&engine).unwrap() == bytes);
    assert_eq!(restored.events(), session.events());
}

#[test]
fn adapters_come_go_and_move_between_tokens() {
    let mut engine = engine();
    let all = [(5, "w_q"), (6, "w_q"), (7, "w_down")].map(|(seed, part)| load(&engine, seed, part));
    let [a, b, c] = &all;
    let mut session = conversation(&mut engine, None);
    let base = engine.assembly(None);
    // Within the prompt one comes; then another, they change places, one goes, all go.
    let steps: [&[(&Arc<LoadedAdapter>, f32)]; 5] = [
        &[(a, 1.5)],
        &[(a, 1.5), (b, -1.0), (c, 2.0)],
        &[(b, -1.0), (a, 1.5), (c, 2.0)],
        &[(b, -1.0), (c, 2.0)],
        &[],
    ];
    session.step(&mut engine, 2).unwrap();
    for adapters in steps {
        let mut stack = engine.new_stack(StackLimits::default());
        for (adapter, weight) in adapters {
            stack.push(Arc::clone(adapter), *weight).unwrap();
        }
        let n_computed = session.n_computed();
        session.change_stack(&mut engine, stack).unwrap();
        assert_eq!(session.n_computed(), n_computed, "what was computed stays");
        advance(&mut session, &mut engine, 3);
        let last = session.events().last().unwrap();
        assert_eq!(last.assembly, engine.assembly(session.stack(&engine)));
        let of = |(one, weight): &(&Arc<LoadedAdapter>, f32)| (one.weights, (*weight).into());
        assert!(last.adapters.iter().cloned().eq(adapters.iter().map(of)));
    }
    assert_eq!(session.events().len(), 5);
    assert_eq!(engine.assembly(session.stack(&engine)), base);
    let bytes = session.snapshot(&engine).unwrap();
    let middle = session.tokens().len() - 7;
    let mut branch = session.fork(&mut engine).unwrap();
    advance(&mut session, &mut engine, 100);
    let record = record_json(&session, &engine, STEPS);
    for budget in [1, 5, usize::MAX] {
        let end = replay_with(&mut engine, &record, all.to_vec(), budget);
        assert_eq!(end, ReplayStep::SameBits, "{budget}");
    }
    let mut restored = Session::restore(&mut engine, &bytes, &all).unwrap();
    assert_eq!(restored.events().len(), 5);
    advance(&mut restored, &mut engine, 100);
    assert_eq!(restored.run_digest(), session.run_digest());
    // Between two turns one comes and all is read again, then another takes its place.
    for (adapter, rereads) in [(c, true), (a, false)] {
        let mut stack = engine.new_stack(StackLimits::default());
        stack.push(Arc::clone(adapter), 1.0).unwrap();
        restored.change_stack(&mut engine, stack).unwrap();
        if rereads {
            restored.reread(&mut engine).unwrap();
        }
    }
    restored.prompt(&mut engine, &[10, 11, 12, 13]).unwrap();
    advance(&mut restored, &mut engine, 6);
    assert_eq!(restored.events().len(), 7);
    let record = record_json(&restored, &engine, STEPS);
    for budget in [3, usize::MAX] {
        let end = replay_with(&mut engine, &record, all.to_vec(), budget);
        assert_eq!(end, ReplayStep::SameBits, "{budget}");
    }
    // One that is not at hand is missed where it comes.
    let some = vec![a.clone(), c.clone()];
    let parsed = ReplayRecord::parse(record.as_bytes()).unwrap();
    let mut without = Replay::new(&mut engine, parsed, some).unwrap();
    let error = loop {
        if let Err(error) = without.step(&mut engine, 8) {
            break error;
        }
    };
    let other = SessionErrorKind::RecordOfOther("list of adapters");
    assert_eq!(error.kind, other);
    // Going back over changes and on with another mix is recorded as it was.
    branch.rewind(&mut engine, middle).unwrap();
    let mut stack = engine.new_stack(StackLimits::default());
    stack.push(c.clone(), 0.5).unwrap();
    branch.change_stack(&mut engine, stack).unwrap();
    advance(&mut branch, &mut engine, 100);
    let record = record_json(&branch, &engine, STEPS);
    let end = replay_with(&mut engine, &record, all.to_vec(), 4);
    assert_eq!(end, ReplayStep::SameBits);
}

#[test]
fn factors_by_layer_and_module_are_recorded_replayed_and_restored() {
    let mut engine = engine();
    let all = [(5, "w_q"), (6, "w_")].map(|(seed, part)| load(&engine, seed, part));
    let [a, b] = &all;
    let refined = Weighing {
        weight: 1.5,
        layer_weights: vec![0.5, -2.0, 0.0],
        module_weights: vec![(TensorRole::WDown, 0.25), (TensorRole::Wq, -1.0)],
    };
    let by_layer = Weighing {
        layer_weights: vec![1.0, 0.0, 3.0],
        ..Weighing::from(-0.5)
    };
    let stack_of = |engine: &Engine, parts: &[(&Arc<LoadedAdapter>, &Weighing)]| {
        let mut stack = engine.new_stack(StackLimits::default());
        for (adapter, weighing) in parts {
            let pushed = stack.push_weighed(Arc::clone(adapter), (*weighing).clone());
            pushed.unwrap();
        }
        stack
    };
    let stack = stack_of(&engine, &[(b, &refined)]);
    let id = engine.add_stack(stack).unwrap();
    let mut session = conversation(&mut engine, Some(id));
    advance(&mut session, &mut engine, 4);
    let stack = stack_of(&engine, &[(a, &by_layer), (b, &refined)]);
    session.change_stack(&mut engine, stack).unwrap();
    advance(&mut session, &mut engine, 3);
    let last = session.events().last().unwrap();
    assert_eq!(
        last.adapters,
        [(a.weights, by_layer.clone()), (b.weights, refined.clone())]
    );
    // A snapshot goes on with them, and is the same file again.
    let bytes = session.snapshot(&engine).unwrap();
    let mut restored = Session::restore(&mut engine, &bytes, &all).unwrap();
    assert!(restored.snapshot(&engine).unwrap() == bytes);
    advance(&mut session, &mut engine, 100);
    advance(&mut restored, &mut engine, 100);
    assert_eq!(restored.run_digest(), session.run_digest());
    let record = record_json(&session, &engine, STEPS);
    let spelt = r#""layer_weights":[0.5,-2,0],"module_weights":{"w_down":0.25,"w_q":-1}"#;
    assert!(record.contains(spelt), "{record}");
    for budget in [1, usize::MAX] {
        let end = replay_with(&mut engine, &record, all.to_vec(), budget);
        assert_eq!(end, ReplayStep::SameBits, "{budget}");
    }
    // Other factors are another assembly; those of another shape or of no module are refused.
    let of = |from: &str, to: &str| {
        let changed = record.replace(from, to);
        assert_ne!(changed, record);
        ReplayRecord::parse(changed.as_bytes())
    };
    for (from, to) in [("[0.5,-2,0]", "[0.5,-2,1]"), ("[0.5,-2,0]", "[0.5,-2]")] {
        let parsed = of(from, to).unwrap();
        let error = Replay::new(&mut engine, parsed, all.to_vec())
            .err()
            .unwrap();
        assert!(
            matches!(error.kind, SessionErrorKind::RecordOfOther(_)),
            "{to}"
        );
    }
    for (from, to) in [("\"w_q\":-1", "\"w_z\":-1"), ("[0.5,-2,0]", "0.5")] {
        let error = of(from, to).err().unwrap();
        assert_eq!(error.kind, SessionErrorKind::Record("adapters"), "{to}");
    }
}

#[test]
fn a_change_while_a_full_context_is_read_again_is_replayed_where_it_was() {
    let mut engine = engine();
    let adapter = load(&engine, 5, "w_q");
    // Wide enough for whole pages among what is read again.
    let json = r#"{"max_tokens":300,"context_len":96,"context_shift":4,"ignore_stop":true}"#;
    let mut session = Session::new(&mut engine, Settings::from_json(json).unwrap()).unwrap();
    session.prompt(&mut engine, &[256, 84, 104]).unwrap();
    let mut n_changes = 0;
    // A row's layer at a time: a batch that was begun is given up at a change.
    while !matches!(session.step_part(&mut engine, 5, 5).unwrap(), Step::Done(_)) {
        let n_left = session.tokens().len() - session.n_computed();
        let place = [39, 4][n_changes % 2];
        if session.tokens().len() > 96 && session.n_computed() == place && n_left > 1 {
            let mut stack = engine.new_stack(StackLimits::default());
            n_changes += 1;
            stack.push(adapter.clone(), n_changes as f32).unwrap();
            session.change_stack(&mut engine, stack).unwrap();
        }
    }
    assert!(n_changes > 1);
    let positions = session.events().iter().map(|event| event.position);
    assert!(positions.eq((0..n_changes).map(|i| [39, 4][i % 2])));
    let record = record_json(&session, &engine, STEPS);
    for budget in [1, 5, usize::MAX] {
        let end = replay_with(&mut engine, &record, vec![adapter.clone()], budget);
        assert_eq!(end, ReplayStep::SameBits, "{budget}");
    }
}

/// Bits of the next token's logits in a session that reads all of these tokens at once.
fn logits_after(engine: &mut Engine, stack: StackId, tokens: &[u32]) -> Vec<u32> {
    let settings = Settings::from_json(r#"{"kv":"f16","ignore_stop":true}"#).unwrap();
    let mut session = Session::new(engine, settings).unwrap();
    session.use_stack(engine, Some(stack)).unwrap();
    session.prompt(engine, tokens).unwrap();
    advance(&mut session, engine, 1);
    let bits = session.logits(engine).iter().map(|l| l.to_bits());
    let bits = bits.collect();
    session.close(engine);
    bits
}

#[test]
fn a_session_that_reads_again_is_one_that_never_had_other_weights() {
    let mut engine = engine();
    let stack = add_stack(&mut engine);
    let mut session = conversation(&mut engine, Some(stack));
    session.reread(&mut engine).unwrap();
    advance(&mut session, &mut engine, 5);
    session.reread(&mut engine).unwrap();
    assert!(session.events().is_empty(), "nothing was read otherwise");
    engine.set_adapter_weight(stack, 0, -1.5).unwrap();
    advance(&mut session, &mut engine, 2);
    let mixed = session.tokens().to_vec();
    advance(&mut session, &mut engine, 1);
    let bits = |session: &Session, engine: &Engine| -> Vec<u32> {
        session.logits(engine).iter().map(|l| l.to_bits()).collect()
    };
    let was_mixed = bits(&session, &engine);
    assert_ne!(was_mixed, logits_after(&mut engine, stack, &mixed));
    engine.set_adapter_weight(stack, 0, 2.0).unwrap();
    session.reread(&mut engine).unwrap();
    assert_eq!(session.n_computed(), 0);
    let before = session.tokens().to_vec();
    advance(&mut session, &mut engine, 1);
    let read_again = bits(&session, &engine);
    assert_eq!(read_again, logits_after(&mut engine, stack, &before));
    let positions: Vec<usize> = session.events().iter().map(|e| e.position).collect();
    assert_eq!(positions.len(), 2);
    assert!(positions[0] > 0 && positions[1] == 0);
    // The record of it replays to the same bits, whole or from a snapshot.
    let bytes = session.snapshot(&engine).unwrap();
    advance(&mut session, &mut engine, 100);
    let record = record_json(&session, &engine, STEPS);
    for budget in [1, 5, usize::MAX] {
        engine.set_adapter_weight(stack, 0, 0.5).unwrap();
        let end = replay(&mut engine, &record, Some(stack), budget);
        assert_eq!(end, ReplayStep::SameBits);
    }
    let adapters = pool(&engine, Some(stack));
    let mut restored = Session::restore(&mut engine, &bytes, &adapters).unwrap();
    advance(&mut restored, &mut engine, 100);
    assert_eq!(restored.run_digest(), session.run_digest());
    // Going back to before the change leaves nothing that the later weights have read unnoted.
    session.rewind(&mut engine, before.len() - 4).unwrap();
    advance(&mut session, &mut engine, 1);
    let expected = logits_after(&mut engine, stack, &before[..before.len() - 4]);
    assert_eq!(bits(&session, &engine), expected);
    advance(&mut session, &mut engine, 100);
    let record = record_json(&session, &engine, STEPS);
    let end = replay(&mut engine, &record, Some(stack), 8);
    assert_eq!(end, ReplayStep::SameBits);
}

#[test]
fn a_redacted_prompt_keeps_its_hash() {
    let mut engine = engine();
    let mut session = conversation(&mut engine, None);
    advance(&mut session, &mut engine, 100);
    let options = RecordOptions {
        redacts_prompts: true,
        ..STEPS
    };
    let record = record_json(&session, &engine, options);
    assert!(!record.contains("prompt_ids"));
    let mut parsed = ReplayRecord::parse(record.as_bytes()).unwrap();
    let error = Replay::new(&mut engine, parsed.clone(), Vec::new())
        .err()
        .unwrap();
    assert_eq!(error.kind, SessionErrorKind::RecordPrompt(0));
    let prompts = [vec![256, 84, 104, 101, 32, 99], vec![10, 11, 12]];
    let wrong = [prompts[0].clone(), vec![10, 11, 13]];
    let error = parsed.clone().fill_prompts(&wrong).unwrap_err();
    assert_eq!(error.kind, SessionErrorKind::RecordPrompt(1));
    let error = parsed.clone().fill_prompts(&prompts[..1]).unwrap_err();
    assert_eq!(error.kind, SessionErrorKind::RecordPrompt(1));
    parsed.fill_prompts(&prompts).unwrap();
    let mut replay = Replay::new(&mut engine, parsed, Vec::new()).unwrap();
    while let ReplayStep::Going(_) = replay.step(&mut engine, 8).unwrap() {}
    assert_eq!(replay.step(&mut engine, 8).unwrap(), ReplayStep::SameBits);
}

#[test]
fn what_is_no_record_is_refused_by_name() {
    let mut engine = engine();
    let mut session = conversation(&mut engine, None);
    advance(&mut session, &mut engine, 3);
    let record = record_json(&session, &engine, STEPS);
    let refuse = |text: &str| ReplayRecord::parse(text.as_bytes()).unwrap_err();
    assert!(matches!(refuse("{").kind, SessionErrorKind::Json(_)));
    let fields = [
        "schema",
        "numerics_version",
        "assembly",
        "adapters",
        "settings",
        "turns",
        "events",
        "step_digests",
        "run_digest",
    ];
    for field in fields {
        let without = record.replacen(&format!("\"{field}\":"), "\"other\":", 1);
        let of_kind = record.replacen(
            &format!("\"{field}\":"),
            &format!("\"{field}\":null,\"x\":"),
            1,
        );
        let named = |text: &str| match ReplayRecord::parse(text.as_bytes()) {
            Err(error) => error.to_string(),
            Ok(_) => "accepted".to_string(),
        };
        let expected = format!("this is no replay record: its {field} is missing or wrong");
        // Digests of steps may be absent, and settings name their own fields.
        if field != "step_digests" {
            assert_eq!(named(&without), expected);
        }
        if field != "settings" {
            assert_eq!(named(&of_kind), expected);
        }
    }
    let other = record.replacen("\"numerics_version\":1", "\"numerics_version\":9", 1);
    assert_eq!(
        refuse(&other).kind,
        SessionErrorKind::RecordOfOther("numerics version")
    );
    let parsed = ReplayRecord::parse(record.as_bytes()).unwrap();
    let options = EngineOptions::default();
    let mut foreign = load_engine(&ModelSpec::tiny("f16").build(), options);
    let error = Replay::new(&mut foreign, parsed, Vec::new()).err().unwrap();
    assert_eq!(
        error.kind,
        SessionErrorKind::RecordOfOther("model or adapters")
    );
}
