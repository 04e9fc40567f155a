//! The cache as sessions use it: prefixes found again, one copy for forks, budgets, context shift,
//! snapshots and what refuses them. Rows computed and bytes held are counted, never timed.

use cultivar_core::digest::{Digest, Sha256};
use cultivar_core::kv_cache::KvBudget;
use cultivar_core::model::{Engine, EngineOptions};
use cultivar_core::session::{Batch, Session, SessionErrorKind, Settings, Step, StopReason};
use cultivar_testdata::loading::load_engine;
use cultivar_testdata::models::ModelSpec;

fn engine_of(context_len: usize) -> Engine {
    let mut spec = ModelSpec::tiny("q8_0");
    spec.config.context_len = context_len;
    let options = EngineOptions {
        max_rows: 32,
        max_logit_rows: 20,
        ..Default::default()
    };
    load_engine(&spec.build(), options)
}

fn ids(n: usize, salt: u32) -> Vec<u32> {
    (0..n as u32)
        .map(|i| (i * i * 7 + i * 31 + salt) % 250)
        .collect()
}

fn open(engine: &mut Engine, json: &str) -> Session {
    Session::new(engine, Settings::from_json(json).unwrap()).unwrap()
}

fn finish(session: &mut Session, engine: &mut Engine) -> StopReason {
    loop {
        if let Step::Done(reason) = session.step(engine, 32).unwrap() {
            return reason;
        }
    }
}

const SAMPLED: &str = r#"{"max_tokens":40,"ignore_stop":true,"temperature":0.9,"seed":3}"#;

#[test]
fn a_second_turn_costs_only_its_new_tokens() {
    let mut engine = engine_of(600);
    let mut session = open(&mut engine, r#"{"max_tokens":8,"ignore_stop":true}"#);
    session.prompt(&mut engine, &ids(480, 1)).unwrap();
    finish(&mut session, &mut engine);
    let n_first = session.diagnostics().n_rows;
    assert_eq!(n_first, 480 + 7);
    session.prompt(&mut engine, &ids(20, 2)).unwrap();
    finish(&mut session, &mut engine);
    // The last token of the first turn, the prompt, and all but the last token of the second.
    assert_eq!(session.diagnostics().n_rows - n_first, 1 + 20 + 7);
    // The same conversation by someone else finds all whole pages of its first 508 tokens.
    let all = session.tokens()[..508].to_vec();
    session.close(&mut engine);
    let mut session = open(&mut engine, r#"{"max_tokens":1,"ignore_stop":true}"#);
    session.prompt(&mut engine, &all).unwrap();
    finish(&mut session, &mut engine);
    let diagnostics = session.diagnostics();
    assert_eq!(diagnostics.n_rows, 508 - 480);
    assert_eq!(
        (diagnostics.pages.n_hits, diagnostics.pages.n_misses),
        (15, 0)
    );
}

#[test]
fn forks_of_a_prefix_hold_one_copy_of_its_pages() {
    let mut engine = engine_of(512);
    let mut session = open(&mut engine, r#"{"max_tokens":1,"ignore_stop":true}"#);
    session.prompt(&mut engine, &ids(256, 1)).unwrap();
    finish(&mut session, &mut engine);
    let one_copy = engine.kv().used_bytes();
    let page_bytes = one_copy / 8;
    let mut forks: Vec<Session> = (0..32)
        .map(|_| session.fork(&mut engine).unwrap())
        .collect();
    assert_eq!(
        engine.kv().used_bytes(),
        one_copy,
        "32 forks hold nothing of their own"
    );
    for (i, fork) in forks.iter_mut().enumerate() {
        fork.prompt(&mut engine, &ids(5, i as u32)).unwrap();
        finish(fork, &mut engine);
        assert_eq!(fork.diagnostics().n_rows, 1 + 5);
    }
    assert_eq!(engine.kv().used_bytes(), one_copy + 32 * page_bytes);
    let digests: Vec<Digest> = forks.iter().map(Session::run_digest).collect();
    assert!(digests[1..].iter().all(|digest| *digest != digests[0]));
}

#[test]
fn sessions_of_one_batch_are_what_they_are_alone() {
    let mut engine = engine_of(160);
    let json = |i: usize| SAMPLED.replace("\"seed\":3", &format!("\"seed\":{i}"));
    let prompts: Vec<Vec<u32>> = (0..5).map(|i| ids(10 + 17 * i, i as u32)).collect();
    let alone: Vec<Digest> = (0..5)
        .map(|i| {
            let mut session = open(&mut engine, &json(i));
            session.prompt(&mut engine, &prompts[i]).unwrap();
            finish(&mut session, &mut engine);
            session.run_digest()
        })
        .collect();
    for lookup in [0, 3] {
        let mut sessions: Vec<Session> = (0..5)
            .map(|i| {
                let lookup = format!("{{\"prompt_lookup\":{lookup},");
                let mut session = open(&mut engine, &json(i).replacen('{', &lookup, 1));
                session.prompt(&mut engine, &prompts[i]).unwrap();
                session
            })
            .collect();
        let mut batch = Batch::new(&engine, 5).unwrap();
        let mut all: Vec<&mut Session> = sessions.iter_mut().collect();
        while all.iter().any(|session| session.stop_reason().is_none()) {
            let n_done = batch.step(&mut engine, &mut all, 8).unwrap().iter();
            assert!(n_done.filter(|step| step.is_some()).count() > 0);
            all.rotate_left(1);
        }
        let together: Vec<Digest> = sessions.iter().map(Session::run_digest).collect();
        assert_eq!(together, alone);
        sessions
            .into_iter()
            .for_each(|session| session.close(&mut engine));
    }
}

#[test]
fn a_refusal_of_one_session_leaves_the_others_of_its_batch_alone() {
    let mut engine = engine_of(160);
    let mut alone = open(&mut engine, SAMPLED);
    alone.prompt(&mut engine, &ids(20, 1)).unwrap();
    finish(&mut alone, &mut engine);
    let mut sessions = [open(&mut engine, SAMPLED), open(&mut engine, SAMPLED)];
    sessions[1].prompt(&mut engine, &ids(20, 1)).unwrap();
    let mut batch = Batch::new(&engine, 2).unwrap();
    while sessions[1].stop_reason().is_none() {
        let mut all: Vec<&mut Session> = sessions.iter_mut().collect();
        let steps = batch.step(&mut engine, &mut all, 8).unwrap();
        let refused = steps[0].clone().unwrap().unwrap_err();
        assert_eq!(refused.kind, SessionErrorKind::NotPrompted);
        assert!(steps[1].clone().is_some_and(|step| step.is_ok()));
    }
    assert_eq!(sessions[1].run_digest(), alone.run_digest());
}

#[test]
fn batches_of_another_size_in_the_middle_of_a_run_change_no_bit() {
    let mut engine = engine_of(160);
    let lookup = SAMPLED.replacen('{', "{\"prompt_lookup\":3,", 1);
    let digests: Vec<Digest> = [false, true]
        .into_iter()
        .map(|resizes| {
            let mut session = open(&mut engine, &lookup);
            session.prompt(&mut engine, &ids(40, 2)).unwrap();
            for rows in [(3, 1), (90, 8), (2, 0)] {
                session.step(&mut engine, usize::MAX).unwrap();
                if resizes {
                    engine.set_rows(rows.0, rows.1).unwrap();
                    assert_eq!(engine.max_logit_rows(), rows.1.max(1));
                }
            }
            finish(&mut session, &mut engine);
            let digest = session.run_digest();
            session.close(&mut engine);
            digest
        })
        .collect();
    assert_eq!(digests[0], digests[1]);
    let rows = (engine.max_rows(), engine.max_logit_rows());
    let refused = engine.set_rows(1 << 42, 1).unwrap_err();
    assert_eq!(refused.code(), 251);
    assert_eq!((engine.max_rows(), engine.max_logit_rows()), rows);
}

#[test]
fn drafts_change_speed_alone() {
    let mut engine = engine_of(400);
    let phrase = ids(9, 4);
    let prompt: Vec<u32> = phrase
        .iter()
        .chain(&phrase)
        .chain(&phrase)
        .copied()
        .collect();
    let plain = |engine: &mut Engine, fields: &str| {
        let json = format!(r#"{{{fields}"max_tokens":200,"ignore_stop":true}}"#);
        let mut session = open(engine, &json);
        session.prompt(engine, &prompt).unwrap();
        let reason = finish(&mut session, engine);
        let result = (session.tokens().to_vec(), session.run_digest(), reason);
        let d = session.diagnostics();
        let counts = (d.n_drafted, d.n_drafts_accepted, d.n_rows);
        session.close(engine);
        (result, counts)
    };
    let kinds = [
        "",
        r#""temperature":0.3,"seed":9,"#,
        r#""kv":"q8","#,
        r#""repetition_penalty":1.1,"#,
        r#""stop_strings":"zzz","#,
        r#""stop_tokens":[7],"#,
    ];
    let mut n_accepted = 0;
    for fields in kinds {
        let (expected, (_, _, n_rows)) = plain(&mut engine, fields);
        engine.set_kv_budget(KvBudget {
            retained_bytes: 0,
            ..KvBudget::default()
        });
        for lookup in [1, 4, 16] {
            let with = format!(r#""prompt_lookup":{lookup},{fields}"#);
            let (got, (drafted, accepted, n_rows_drafted)) = plain(&mut engine, &with);
            assert_eq!(got, expected, "{with}");
            assert!(accepted <= drafted && n_rows_drafted >= n_rows);
            n_accepted += accepted;
        }
    }
    assert!(
        n_accepted > 50,
        "a repetitive output drafts itself: {n_accepted}"
    );
}

#[test]
fn drafts_are_forgotten_where_the_session_leaves_them() {
    let mut engine = engine_of(400);
    let plain_json = r#"{"max_tokens":120,"ignore_stop":true}"#;
    let json = r#"{"max_tokens":120,"ignore_stop":true,"prompt_lookup":8}"#;
    let prompt = ids(12, 4);
    let mut plain = open(&mut engine, plain_json);
    plain.prompt(&mut engine, &prompt).unwrap();
    let mut session = open(&mut engine, json);
    session.prompt(&mut engine, &prompt).unwrap();
    for round in 0..6 {
        for _ in 0..9 + round {
            plain.step(&mut engine, 32).unwrap();
            session.step(&mut engine, 32).unwrap();
        }
        assert_eq!(session.tokens(), plain.tokens());
        assert_eq!(session.run_digest(), plain.run_digest());
        let mut fork = session.fork(&mut engine).unwrap();
        let mut restored = {
            let bytes = session.snapshot(&engine).unwrap();
            Session::restore(&mut engine, &bytes, &[]).unwrap()
        };
        match round % 3 {
            0 => {
                let n = session.tokens().len() - 3;
                session.rewind(&mut engine, n).unwrap();
                plain.rewind(&mut engine, n).unwrap();
            }
            1 => {
                session.cancel();
                plain.cancel();
                session.prompt(&mut engine, &ids(3, 9)).unwrap();
                plain.prompt(&mut engine, &ids(3, 9)).unwrap();
            }
            _ => {}
        }
        let mut other = plain.fork(&mut engine).unwrap();
        let mut twin = session.fork(&mut engine).unwrap();
        finish(&mut other, &mut engine);
        finish(&mut twin, &mut engine);
        assert_eq!(other.run_digest(), twin.run_digest(), "round {round}");
        finish(&mut fork, &mut engine);
        finish(&mut restored, &mut engine);
        assert_eq!(fork.run_digest(), restored.run_digest(), "round {round}");
        let all = [other, twin, fork, restored].into_iter();
        all.for_each(|session| session.close(&mut engine));
    }
}

#[test]
fn a_full_context_keeps_its_beginning_and_goes_on_if_asked() {
    let mut engine = engine_of(160);
    let json = r#"{"max_tokens":150,"ignore_stop":true,"context_len":48,"context_shift":4,
        "temperature":0.8,"seed":2}"#;
    let run = |engine: &mut Engine, json: &str, n_rewound: usize| {
        let mut session = open(engine, json);
        session.prompt(engine, &ids(20, 1)).unwrap();
        finish(&mut session, engine);
        if n_rewound > 0 {
            session.rewind(engine, n_rewound).unwrap();
            finish(&mut session, engine);
        }
        assert!(session.diagnostics().n_context_shifts > 2);
        let result = (session.tokens().to_vec(), session.run_digest());
        session.close(engine);
        result
    };
    let whole = run(&mut engine, json, 0);
    assert_eq!(whole.0.len(), 170);
    for n in [169, 130, 96, 50, 49, 48, 30, 21] {
        assert_eq!(run(&mut engine, json, n), whole, "rewound to {n}");
    }
    let drafted = json.replacen('{', r#"{"prompt_lookup":5,"#, 1);
    assert_eq!(run(&mut engine, &drafted, 0), whole);
    // After a shift the logits are those of a session that holds just what stayed.
    let mut shifted = open(&mut engine, &json.replace("150", "29"));
    shifted.prompt(&mut engine, &ids(20, 1)).unwrap();
    finish(&mut shifted, &mut engine);
    let (sinks, rest) = (&shifted.tokens()[..4], &shifted.tokens()[26..]);
    let kept: Vec<u32> = sinks.iter().chain(rest).copied().collect();
    shifted.prompt(&mut engine, &[65]).unwrap();
    while !matches!(shifted.step(&mut engine, 32).unwrap(), Step::Token(_)) {}
    let logits: Vec<u32> = shifted
        .logits(&engine)
        .iter()
        .map(|l| l.to_bits())
        .collect();
    let mut fresh = open(&mut engine, r#"{"max_tokens":1}"#);
    fresh
        .prompt(&mut engine, &[&kept[..], &[65]].concat())
        .unwrap();
    finish(&mut fresh, &mut engine);
    let expected: Vec<u32> = fresh.logits(&engine).iter().map(|l| l.to_bits()).collect();
    assert_eq!(logits, expected);
    // The mode and its numbers are part of the digest.
    let digest = |engine: &mut Engine, json: &str| open(engine, json).run_digest();
    let digests = [
        digest(&mut engine, r#"{"context_len":48}"#),
        digest(&mut engine, r#"{"context_len":48,"context_shift":4}"#),
        digest(&mut engine, r#"{"context_len":48,"context_shift":5}"#),
        digest(&mut engine, r#"{"context_len":49,"context_shift":4}"#),
    ];
    for (i, a) in digests.iter().enumerate() {
        assert!(digests[..i].iter().all(|b| a != b));
    }
    let settings = Settings::from_json(r#"{"context_len":48,"context_shift":47}"#).unwrap();
    let error = Session::new(&mut engine, settings).err().unwrap();
    assert_eq!(
        error.to_string(),
        "context_shift must leave at least 2 positions of the context"
    );
}

#[test]
fn a_budget_refuses_by_name_and_the_session_lives() {
    let mut engine = engine_of(160);
    let mut session = open(&mut engine, SAMPLED);
    session.prompt(&mut engine, &ids(40, 1)).unwrap();
    session.step(&mut engine, 32).unwrap();
    engine.set_kv_budget(KvBudget {
        total_bytes: engine.kv().allocated_bytes(),
        retained_bytes: 0,
    });
    // A session needs pages with its first prompt, and is as it was when they are refused.
    let mut other = open(&mut engine, SAMPLED);
    let error = other.prompt(&mut engine, &ids(40, 1)).err().unwrap();
    assert_eq!(error.code(), 405);
    assert!(error.to_string().contains("budget"), "{error}");
    assert!(other.tokens().is_empty());
    assert_eq!(session.fork(&mut engine).err().unwrap().code(), 405);
    finish(&mut session, &mut engine);
    assert_eq!(session.output_ids().len(), 40);
    session.close(&mut engine);
    other.prompt(&mut engine, &ids(40, 1)).unwrap();
}

#[test]
fn short_memory_takes_what_is_kept_before_it_refuses_and_changes_no_bit() {
    let mut engine = engine_of(160);
    let run = |engine: &mut Engine, salt: u32| {
        let mut session = open(engine, SAMPLED);
        session.prompt(engine, &ids(40, salt)).unwrap();
        finish(&mut session, engine);
        let n_hits = session.diagnostics().pages.n_hits;
        let digest = session.run_digest();
        session.close(engine);
        (n_hits, digest)
    };
    let expected = [run(&mut engine, 1), run(&mut engine, 2)];
    assert_eq!(run(&mut engine, 1), (1, expected[0].1));
    // Room for one session and nothing beside it: what the last one left gives way.
    let total_bytes = 3 * engine.kv().retained_bytes() / 4;
    engine.set_kv_budget(KvBudget {
        total_bytes,
        ..KvBudget::default()
    });
    for (salt, expected) in [(2, expected[1]), (1, expected[0]), (2, expected[1])] {
        let (_, digest) = run(&mut engine, salt);
        assert_eq!(digest, expected.1);
        assert!(engine.kv().allocated_bytes() <= total_bytes);
    }
    assert_eq!(run(&mut engine, 1), expected[0], "its pages were given up");
}

#[test]
fn snapshots_go_on_with_the_same_bits_and_survive_the_trip() {
    for kv in ["f32", "f16", "q8"] {
        let mut engine = engine_of(160);
        let json = SAMPLED.replacen('{', &format!(r#"{{"kv":"{kv}","#), 1);
        let mut session = open(&mut engine, &json);
        session.prompt(&mut engine, &ids(50, 1)).unwrap();
        finish(&mut session, &mut engine);
        session.prompt(&mut engine, &ids(20, 2)).unwrap();
        for _ in 0..9 {
            session.step(&mut engine, 8).unwrap();
        }
        let bytes = session.snapshot(&engine).unwrap();
        finish(&mut session, &mut engine);
        let mut elsewhere = engine_of(160);
        let mut restored = Session::restore(&mut elsewhere, &bytes, &[]).unwrap();
        assert!(restored.snapshot(&elsewhere).unwrap() == bytes, "canonical");
        finish(&mut restored, &mut elsewhere);
        assert_eq!(restored.tokens(), session.tokens());
        assert_eq!(restored.run_digest(), session.run_digest());
        let n_rows = restored.diagnostics().n_rows;
        assert!(n_rows < 40, "nothing is read again: {n_rows}");
        restored.rewind(&mut elsewhere, 30).unwrap();
        session.rewind(&mut engine, 30).unwrap();
        finish(&mut restored, &mut elsewhere);
        finish(&mut session, &mut engine);
        assert_eq!(restored.run_digest(), session.run_digest());
    }
}

/// The snapshot with these bytes replaced and a checksum that fits again.
fn forged(snapshot: &[u8], at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = snapshot[..snapshot.len() - 32].to_vec();
    bytes[at..at + with.len()].copy_from_slice(with);
    let mut hash = Sha256::new();
    hash.update(&bytes);
    let checksum = hash.finish();
    bytes.extend_from_slice(&checksum.0);
    bytes
}

#[test]
fn hostile_snapshots_are_refused_by_name_and_leave_nothing() {
    let mut engine = engine_of(160);
    let mut session = open(&mut engine, SAMPLED);
    session.prompt(&mut engine, &ids(40, 1)).unwrap();
    finish(&mut session, &mut engine);
    let good = session.snapshot(&engine).unwrap();
    session.close(&mut engine);
    engine.set_kv_budget(KvBudget {
        retained_bytes: 0,
        ..KvBudget::default()
    });
    let refuse = |engine: &mut Engine, bytes: &[u8]| {
        let error = Session::restore(engine, bytes, &[]).err().expect("refused");
        assert_eq!(engine.kv().allocated_bytes(), 0);
        error.kind.clone()
    };
    assert_eq!(refuse(&mut engine, b""), SessionErrorKind::NotASnapshot);
    assert_eq!(
        refuse(&mut engine, b"CVSNAP\r"),
        SessionErrorKind::NotASnapshot
    );
    let damaged = |kind| matches!(kind, SessionErrorKind::SnapshotDamaged(_));
    for len in (8..good.len()).step_by(97).chain([good.len() - 1]) {
        assert!(damaged(refuse(&mut engine, &good[..len])), "{len}");
    }
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    assert!(damaged(refuse(&mut engine, &flipped)));
    let version = forged(&good, 8, &1u32.to_le_bytes());
    assert_eq!(
        refuse(&mut engine, &version),
        SessionErrorKind::SnapshotVersion(1)
    );
    let of_other = |kind| match kind {
        SessionErrorKind::SnapshotOfOther(what) => what,
        other => panic!("{other:?}"),
    };
    let cases = [
        (12, "numerics version"),
        (16, "assembly of model and adapters"),
        (48, "shape of keys and values"),
    ];
    for (at, what) in cases {
        let bytes = forged(&good, at, &[77]);
        assert_eq!(of_other(refuse(&mut engine, &bytes)), what);
    }
    // Every word of the body in turn, with a checksum that fits: refused or harmless.
    let settings_len = u32::from_le_bytes(good[60..64].try_into().unwrap()) as usize;
    // Behind the settings comes the number of adapters: none.
    let body = 68 + settings_len;
    let n_tokens = u32::from_le_bytes(good[body..body + 4].try_into().unwrap());
    assert_eq!(n_tokens, 80);
    for at in (body..body + 400).step_by(4).chain([60, body - 4]) {
        for word in [u32::MAX, 0x7FFF_FFFF, 1000, 81] {
            let bytes = forged(&good, at, &word.to_le_bytes());
            if let Ok(session) = Session::restore(&mut engine, &bytes, &[]) {
                session.close(&mut engine);
            }
            assert_eq!(engine.kv().allocated_bytes(), 0, "{at}");
        }
    }
    assert!(damaged(refuse(
        &mut engine,
        &forged(&good, body, &81u32.to_le_bytes())
    )));
    let mut other = load_engine(&ModelSpec::tiny("f16").build(), EngineOptions::default());
    assert_eq!(
        of_other(refuse(&mut other, &good)),
        "assembly of model and adapters"
    );
}
