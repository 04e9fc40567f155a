//! Sessions of models with sliding windows: pages behind a window are given back, and going back
//! past them, forks, cache hits, eviction, snapshots and context shift still change no bit.

use cultivar_core::digest::Digest;
use cultivar_core::kv_cache::KvBudget;
use cultivar_core::model::{Engine, EngineOptions};
use cultivar_core::session::{ReportOptions, Session, Settings, Step, report_json};
use cultivar_testdata::loading::load_engine;
use cultivar_testdata::models::ModelSpec;
use cultivar_testdata::variants::variants;

/// Two windowed layers of three, as Gemma's; or all of them, as Mistral's.
fn engine_of(context_len: usize, kinds: [u32; 3]) -> Engine {
    let mut spec = ModelSpec::tiny("q8_0");
    let like = variants("q8_0").swap_remove(1);
    assert_eq!(like.name, "local");
    spec.config = like.config;
    spec.config.context_len = context_len;
    spec.config.attention_kinds = kinds.into();
    if kinds == [0, 0, 0] {
        spec.config.attention_kinds = Vec::new();
        spec.config.sliding_window = 0;
    }
    let options = EngineOptions {
        max_rows: 32,
        max_logit_rows: 8,
        ..Default::default()
    };
    load_engine(&spec.build(), options)
}

const GEMMA: [u32; 3] = [1, 1, 0];
const MISTRAL: [u32; 3] = [1, 1, 1];

fn ids(n: usize, salt: u32) -> Vec<u32> {
    (0..n as u32)
        .map(|i| (i * i * 7 + i * 31 + salt) % 250)
        .collect()
}

fn open(engine: &mut Engine, more: &str) -> Session {
    let json =
        format!(r#"{{"max_tokens":40,"ignore_stop":true,"temperature":0.9,"seed":3{more}}}"#);
    Session::new(engine, Settings::from_json(&json).unwrap()).unwrap()
}

fn finish(session: &mut Session, engine: &mut Engine, budget_rows: usize) -> Digest {
    while !matches!(session.step(engine, budget_rows).unwrap(), Step::Done(_)) {}
    session.run_digest()
}

/// Prompts of 150 and 90 tokens, each with an output of 40.
fn two_turns(engine: &mut Engine, more: &str, budget_rows: usize) -> (Session, [Digest; 2]) {
    let mut session = open(engine, more);
    let digests = [(150, 1), (90, 2)].map(|(n, salt)| {
        session.prompt(engine, &ids(n, salt)).unwrap();
        finish(&mut session, engine, budget_rows)
    });
    (session, digests)
}

#[test]
fn chunks_cache_hits_forks_eviction_and_drafts_change_no_bit() {
    for kinds in [GEMMA, MISTRAL] {
        for more in ["", r#","kv":"q8""#, r#","prompt_lookup":3"#] {
            let mut engine = engine_of(400, kinds);
            let (first, expected) = two_turns(&mut engine, more, 32);
            for budget_rows in [1, 7, 32] {
                // Cold, though what was there before is retained; warm; the second beside it.
                let (second, digests) = two_turns(&mut engine, more, budget_rows);
                assert_eq!(digests, expected, "{kinds:?} {more} {budget_rows}");
                let mut fork = second.fork(&mut engine).unwrap();
                fork.rewind(&mut engine, 150 + 40 + 90).unwrap();
                assert_eq!(finish(&mut fork, &mut engine, 7), expected[1]);
                fork.close(&mut engine);
                second.close(&mut engine);
                if budget_rows == 7 {
                    engine.set_kv_budget(KvBudget {
                        retained_bytes: 0,
                        ..KvBudget::default()
                    });
                }
            }
            first.close(&mut engine);
            assert_eq!(engine.kv().allocated_bytes(), 0);
        }
    }
}

#[test]
fn going_back_past_freed_pages_reads_again_and_gives_the_same_bits() {
    for retained_bytes in [0, 64 << 20] {
        let mut engine = engine_of(400, GEMMA);
        engine.set_kv_budget(KvBudget {
            retained_bytes,
            ..KvBudget::default()
        });
        let (mut session, expected) = two_turns(&mut engine, "", 32);
        let tokens = session.tokens().to_vec();
        // A little back: computed positions stay. Far back: the windows are gone.
        session.rewind(&mut engine, 300).unwrap();
        assert!(session.n_computed() >= 298);
        assert_eq!(finish(&mut session, &mut engine, 32), expected[1]);
        for n in [150, 151, 40, 1] {
            session.rewind(&mut engine, n).unwrap();
            assert_eq!(session.n_computed(), 0);
            if n < 150 {
                session.prompt(&mut engine, &tokens[n..150]).unwrap();
            }
            finish(&mut session, &mut engine, 32);
            assert_eq!(session.tokens(), &tokens[..190]);
            assert_eq!(session.run_digest() == expected[0], n >= 150, "{n}");
            session.prompt(&mut engine, &ids(90, 2)).unwrap();
            finish(&mut session, &mut engine, 32);
            assert_eq!(session.tokens(), tokens);
        }
    }
}

#[test]
fn snapshots_leave_out_what_is_behind_the_windows_and_go_on_with_the_same_bits() {
    for (kinds, kv) in [(GEMMA, "f32"), (MISTRAL, "f16"), (GEMMA, "q8")] {
        let more = format!(r#","kv":"{kv}","prompt_lookup":2"#);
        let mut engine = engine_of(400, kinds);
        let (mut session, _) = two_turns(&mut engine, &more, 32);
        session.prompt(&mut engine, &ids(9, 3)).unwrap();
        for _ in 0..9 {
            session.step(&mut engine, 8).unwrap();
        }
        let bytes = session.snapshot(&engine).unwrap();
        let expected = finish(&mut session, &mut engine, 32);
        let mut elsewhere = engine_of(400, kinds);
        let mut restored = Session::restore(&mut elsewhere, &bytes, &[]).unwrap();
        assert!(restored.snapshot(&elsewhere).unwrap() == bytes, "canonical");
        assert_eq!(finish(&mut restored, &mut elsewhere, 32), expected);
        assert!(restored.diagnostics().n_rows < 60, "nothing is read again");
        restored.rewind(&mut elsewhere, 150).unwrap();
        session.rewind(&mut engine, 150).unwrap();
        let again = finish(&mut restored, &mut elsewhere, 32);
        assert_eq!(again, finish(&mut session, &mut engine, 32));
    }
}

#[test]
fn a_full_context_shifts_with_windows_as_without_a_cache() {
    let run = |budget_rows: usize, retained_bytes: u64| {
        let mut engine = engine_of(128, GEMMA);
        engine.set_kv_budget(KvBudget {
            retained_bytes,
            ..KvBudget::default()
        });
        let mut session = open(&mut engine, r#","context_shift":4"#);
        for salt in 0..4 {
            session.prompt(&mut engine, &ids(60, salt)).unwrap();
            finish(&mut session, &mut engine, budget_rows);
        }
        assert!(session.diagnostics().n_context_shifts > 2);
        let mut back = session.fork(&mut engine).unwrap();
        back.rewind(&mut engine, 3 * 100 + 60).unwrap();
        assert_eq!(
            finish(&mut back, &mut engine, budget_rows),
            session.run_digest()
        );
        session.run_digest()
    };
    let expected = run(1, 0);
    for budget_rows in [7, 32] {
        assert_eq!(run(budget_rows, 0), expected);
        assert_eq!(run(budget_rows, 64 << 20), expected);
    }
}

/// A number of the report's memory section.
fn bytes_in(report: &str, key: &str) -> u64 {
    let rest = report.split(&format!("\"{key}\":")).nth(1).expect(key);
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect(key)
}

#[test]
fn windows_take_less_memory_and_the_report_says_so() {
    let sizes = [[0, 0, 0], GEMMA, MISTRAL].map(|kinds| {
        let mut engine = engine_of(2000, kinds);
        if kinds == [0, 0, 0] {
            assert_eq!(engine.kv().sliding_bytes(), 0);
        }
        let mut session = open(&mut engine, "");
        session.prompt(&mut engine, &ids(1500, 1)).unwrap();
        finish(&mut session, &mut engine, 32);
        let report = report_json(&session, &engine, ReportOptions::default());
        let keys = [
            "kv_bytes",
            "kv_used_bytes",
            "kv_sliding_bytes",
            "kv_peak_bytes",
        ];
        let [kv, used, sliding, peak] = keys.map(|key| bytes_in(&report, key));
        assert!(sliding <= kv && used <= kv && kv <= peak);
        assert_eq!(engine.kv().retained_bytes(), 0);
        (kv / 1024, sliding / 1024, peak / 1024)
    });
    // 1540 positions: 49 pages of 16 KiB a layer (1 head of 32, keys and values, f32 and 32
    // positions: 8 KiB). A window of 17 with batches of 32 holds 4 at once.
    assert_eq!(sizes[0], (3 * 49 * 8, 0, 3 * 49 * 8));
    assert_eq!(sizes[1], ((49 + 2 * 4) * 8, 2 * 4 * 8, (49 + 2 * 4) * 8));
    assert_eq!(sizes[2], (3 * 4 * 8, 3 * 4 * 8, 3 * 4 * 8));
}
