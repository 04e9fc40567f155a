//! Sampling as sessions do it: stops, streams, log-probabilities, digests, refusals.

use cultivar_core::digest::Digest;
use cultivar_core::model::{Engine, EngineOptions};
use cultivar_core::session::{OutputText, Session, Settings, Step, StopReason};
use cultivar_testdata::loading::load_engine;
use cultivar_testdata::models::ModelSpec;

fn engine() -> Engine {
    load_engine(&ModelSpec::tiny("q8_0").build(), EngineOptions::default())
}

fn prompt(text: &str) -> Vec<u32> {
    let bytes = text.bytes().map(u32::from);
    [256].into_iter().chain(bytes).collect()
}

/// Output, stop reason and digest of one prompt.
fn run(engine: &mut Engine, json: &str) -> (Vec<u32>, StopReason, Digest) {
    let settings = Settings::from_json(json).unwrap();
    let mut session = Session::new(engine, settings).unwrap();
    session.prompt(engine, &prompt("a story")).unwrap();
    let reason = loop {
        if let Step::Done(reason) = session.step(engine, 8).unwrap() {
            break reason;
        }
    };
    let result = (session.output_ids().to_vec(), reason, session.run_digest());
    session.close(engine);
    result
}

const PLAIN: &str = r#"{"max_tokens":40,"ignore_stop":true,"temperature":0.9,"seed":5}"#;

fn with(field: &str) -> String {
    PLAIN.replacen('{', &format!("{{{field},"), 1)
}

#[test]
fn where_a_run_ends_is_no_part_of_its_digest() {
    let mut engine = engine();
    let (whole, reason, digest) = run(&mut engine, PLAIN);
    assert_eq!((whole.len(), reason), (40, StopReason::MaxTokens));
    let at = whole.iter().position(|id| (35..91).contains(id)).unwrap();
    let fields = [
        format!(r#""stop_tokens":[{}]"#, whole[at]),
        format!(
            r#""stop_strings":["{}"]"#,
            char::from(whole[at] as u8).escape_default()
        ),
    ];
    let reasons = [StopReason::StopToken, StopReason::StopString];
    for (field, expected) in fields.iter().zip(reasons) {
        let (ids, reason, _) = run(&mut engine, &with(field));
        assert_eq!((ids.as_slice(), reason), (&whole[..=at], expected));
    }
    for field in [
        r#""stop_tokens":[257]"#,
        r#""stop_strings":["never"]"#,
        r#""logprobs":3"#,
    ] {
        assert_eq!(
            run(&mut engine, &with(field)),
            (whole.clone(), reason_max(), digest)
        );
    }
}

fn reason_max() -> StopReason {
    StopReason::MaxTokens
}

#[test]
fn a_stop_string_is_found_across_tokens_after_a_rewind_and_in_a_fork() {
    let mut engine = engine();
    let (whole, ..) = run(&mut engine, PLAIN);
    // Three tokens in a row that are plain characters, so that every one is a border.
    let is_plain = |ids: &[u32]| {
        ids.iter()
            .all(|id| (32..127).contains(id) && *id != 34 && *id != 92)
    };
    let at = whole
        .windows(2)
        .position(is_plain)
        .expect("two plain characters");
    let stop: String = whole[at..at + 2]
        .iter()
        .map(|id| *id as u8 as char)
        .collect();
    let settings = Settings::from_json(&with(&format!(r#""stop_strings":"{stop}""#))).unwrap();
    let mut session = Session::new(&mut engine, settings).unwrap();
    session.prompt(&mut engine, &prompt("a story")).unwrap();
    let n_prompt = session.tokens().len();
    let finish = |session: &mut Session, engine: &mut Engine| loop {
        if let Step::Done(reason) = session.step(engine, 8).unwrap() {
            return (reason, session.output_ids().len());
        }
    };
    let expected = (StopReason::StopString, at + 2);
    assert_eq!(finish(&mut session, &mut engine), expected);
    session.rewind(&mut engine, n_prompt + at + 1).unwrap();
    let mut fork = session.fork(&mut engine).unwrap();
    assert_eq!(finish(&mut session, &mut engine), expected);
    assert_eq!(finish(&mut fork, &mut engine), expected);
    let mut text = OutputText::new(&session.settings().stop_strings).unwrap();
    let mut out = String::new();
    let found = session
        .output_ids()
        .iter()
        .any(|id| text.push(&engine.model.tokenizer, *id, &mut out));
    text.finish(&mut out);
    assert!(found && !out.contains(&stop));
}

#[test]
fn options_change_digests_and_only_where_they_are_on() {
    let mut engine = engine();
    let (_, _, plain) = run(&mut engine, PLAIN);
    let off = [
        r#""min_p":0"#,
        r#""typical_p":1"#,
        r#""repetition_penalty":1"#,
        r#""frequency_penalty":-0.0"#,
        r#""presence_penalty":0"#,
        r#""penalty_window":7"#,
        r#""logit_bias":{"3":0}"#,
        r#""banned_tokens":[]"#,
        r#""random_stream":"session""#,
    ];
    for field in off {
        assert_eq!(run(&mut engine, &with(field)).2, plain, "{field}");
    }
    let on = [
        r#""min_p":1e-9"#,
        r#""typical_p":0.999"#,
        r#""repetition_penalty":1.001"#,
        r#""frequency_penalty":0.001"#,
        r#""presence_penalty":0.001"#,
        r#""presence_penalty":0.001,"penalty_window":7"#,
        r#""logit_bias":{"3":0.001}"#,
        r#""logit_bias":{"4":0.001}"#,
        r#""banned_tokens":[3]"#,
        r#""random_stream":"prompt""#,
        r#""kv":"f16""#,
        r#""kv":"q8""#,
    ];
    let mut digests: Vec<Digest> = on.iter().map(|f| run(&mut engine, &with(f)).2).collect();
    digests.push(plain);
    for (i, a) in digests.iter().enumerate() {
        assert!(digests[..i].iter().all(|b| a != b), "{i}");
    }
}

#[test]
fn penalties_and_bans_rule_what_comes() {
    let mut engine = engine();
    let greedy =
        r#"{"max_tokens":40,"ignore_stop":true,"frequency_penalty":100,"penalty_window":0}"#;
    let (ids, ..) = run(&mut engine, greedy);
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), ids.len(), "no token comes twice");
    let banned: Vec<u32> = (0..250).collect();
    let json = with(&format!(r#""banned_tokens":{banned:?}"#));
    assert!(run(&mut engine, &json).0.iter().all(|id| *id >= 250));
}

#[test]
fn the_prompt_stream_gives_equal_prompts_equal_numbers() {
    let mut engine = engine();
    // Two candidates at a temperature that leaves only the bias: the numbers decide.
    let json = r#"{"max_tokens":30,"ignore_stop":true,"temperature":100,"top_k":2,"top_p":1,
        "seed":1,"logit_bias":{"65":1000,"66":900},"random_stream":"STREAM"}"#;
    let halves = |engine: &mut Engine, stream: &str| {
        let settings = Settings::from_json(&json.replace("STREAM", stream)).unwrap();
        let mut session = Session::new(engine, settings).unwrap();
        let turns = ["first", "second, longer"].map(|text| {
            session.prompt(engine, &prompt(text)).unwrap();
            while !matches!(session.step(engine, 8).unwrap(), Step::Done(_)) {}
            session.output_ids().to_vec()
        });
        turns[0] == turns[1]
    };
    assert!(halves(&mut engine, "prompt"));
    assert!(!halves(&mut engine, "session"));
}

#[test]
fn logprobs_are_those_of_the_logits_and_only_on_request() {
    let mut engine = engine();
    let mut session = Session::new(&mut engine, Settings::default()).unwrap();
    session.prompt(&mut engine, &prompt("x")).unwrap();
    session.step(&mut engine, 8).unwrap();
    assert!(session.logprobs().is_none());
    let settings = Settings::from_json(&with(r#""logprobs":4,"banned_tokens":[0,1]"#)).unwrap();
    let mut session = Session::new(&mut engine, settings).unwrap();
    session.prompt(&mut engine, &prompt("x")).unwrap();
    assert!(session.logprobs().is_none());
    for _ in 0..5 {
        let Step::Token(token) = session.step(&mut engine, 8).unwrap() else {
            panic!("a token is due");
        };
        let logprobs = session.logprobs().unwrap();
        let logits = engine.logits(0);
        let sum: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum();
        assert_eq!((logprobs.chosen.token, logprobs.top.len()), (token, 4));
        for p in logprobs.top.iter().chain([&logprobs.chosen]) {
            let expected = (f64::from(logits[p.token as usize]).exp() / sum).ln();
            assert!((f64::from(p.logprob) - expected).abs() < 1e-5);
        }
    }
    session.rewind(&mut engine, 4).unwrap();
    assert!(session.logprobs().is_none());
}

#[test]
fn settings_that_name_foreign_tokens_are_refused_and_hold_no_page() {
    let mut engine = engine();
    let all: Vec<u32> = (0..258).collect();
    let cases = [
        (
            r#"{"banned_tokens":[258]}"#.into(),
            "banned_tokens names a token outside the vocabulary",
        ),
        (
            r#"{"logit_bias":{"258":1}}"#.into(),
            "logit_bias names a token outside the vocabulary",
        ),
        (
            r#"{"stop_tokens":[258]}"#.into(),
            "stop_tokens names a token outside the vocabulary",
        ),
        (
            format!(r#"{{"banned_tokens":{all:?}}}"#),
            "banned_tokens must leave a token to choose",
        ),
    ];
    for (json, message) in cases {
        let json: String = json;
        let settings = Settings::from_json(&json).unwrap();
        let error = Session::new(&mut engine, settings).err().unwrap();
        assert_eq!(error.to_string(), message);
    }
    assert_eq!(engine.kv().allocated_bytes(), 0);
}
