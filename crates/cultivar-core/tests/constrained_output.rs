//! Constrained output from random logits: what comes out parses, and satisfies its schema by the
//! judgement of a validator of its own.

use cultivar_core::grammar::{GrammarSource, Matcher, TokenTrie};
use cultivar_core::json::{self, JsonValue};
use cultivar_core::kernels::Backend;
use cultivar_core::model::{Engine, EngineOptions};
use cultivar_core::session::{
    RecordOptions, Replay, ReplayRecord, ReplayStep, Session, SessionError, Settings, Step,
    StopReason, record_json,
};
use cultivar_core::tokenizer::{PieceType, Tokenizer, TokenizerKind, TokenizerRecord};
use cultivar_testdata::loading::load_engine;
use cultivar_testdata::models::ModelSpec;
use std::sync::Arc;

/// A small generator for test inputs (xorshift64*, Vigna 2016).
struct Seeded(u64);

impl Seeded {
    fn unit(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1u64 << 24) as f32
    }
}

const SCHEMAS: [&str; 10] = [
    r#"{"type":"object","properties":{"name":{"type":"string","minLength":1,"maxLength":12},
        "age":{"type":"integer","minimum":0,"maximum":150},"tags":{"type":"array",
        "items":{"enum":["red","green \"x\"",7]},"maxItems":3}},"required":["name","tags"],
        "additionalProperties":false}"#,
    r#"{"type":"array","items":{"type":"number","minimum":-7,"maximum":1200},"minItems":2,
        "maxItems":5}"#,
    r##"{"$defs":{"tree":{"type":"object","properties":{"value":{"type":"boolean"},
        "children":{"type":"array","items":{"$ref":"#/$defs/tree"},"maxItems":2}},
        "required":["value"]}},"$ref":"#/$defs/tree"}"##,
    r#"{"anyOf":[{"const":{"kind":"none","list":[1,-2.5,null]}},{"type":["integer","null"],
        "exclusiveMinimum":-3,"exclusiveMaximum":1000}]}"#,
    r#"{"type":"object","properties":{"id":{"type":"string","pattern":"^[A-Z]{2}-\\d{3,4}$"},
        "path":{"type":"string","pattern":"^(/[a-z\\\\\"]+)+$"}},"required":["id","path"]}"#,
    r#"{"type":"object","properties":{"ab":{"type":"null"},"abc":{"type":"null"}},
        "additionalProperties":{"type":"integer"},"required":["abc"]}"#,
    r#"{"type":"object","additionalProperties":{"type":"string","maxLength":4}}"#,
    r#"{"type":"string","pattern":"x+|^y$"}"#,
    r#"{"type":"number"}"#,
    r#"{"type":["string","integer"],"enum":["a",1,null,2.5,"é\n"]}"#,
];

/// Whether a value satisfies a schema, by the words of the specification.
fn is_valid(schema: &JsonValue, value: &JsonValue, document: &JsonValue) -> bool {
    let Some(keys) = schema.as_object() else {
        return schema.as_bool() == Some(true);
    };
    keys.iter()
        .all(|(key, rule)| holds(key, rule, schema, value, document))
}

fn holds(
    key: &str,
    rule: &JsonValue,
    schema: &JsonValue,
    value: &JsonValue,
    document: &JsonValue,
) -> bool {
    let number = value.as_f64();
    let bound = rule.as_f64().unwrap_or(0.0);
    let length = value.as_str().map(|text| text.chars().count() as f64);
    let elements = value.as_array();
    let members = value.as_object();
    match key {
        "$defs" | "additionalProperties" => {
            key == "$defs" || others_hold(rule, schema, value, document)
        }
        "$ref" => {
            let path = rule.as_str().unwrap().trim_start_matches("#/").split('/');
            let target = path.fold(document, |at, part| at.get(part).unwrap());
            is_valid(target, value, document)
        }
        "type" => match rule {
            JsonValue::Array(types) => types.iter().any(|rule| is_of(rule, value)),
            rule => is_of(rule, value),
        },
        "const" => rule == value,
        "enum" => rule.as_array().unwrap().contains(value),
        "anyOf" => rule
            .as_array()
            .unwrap()
            .iter()
            .any(|s| is_valid(s, value, document)),
        "minimum" => number.is_none_or(|n| n >= bound),
        "maximum" => number.is_none_or(|n| n <= bound),
        "exclusiveMinimum" => number.is_none_or(|n| n > bound),
        "exclusiveMaximum" => number.is_none_or(|n| n < bound),
        "minLength" => length.is_none_or(|n| n >= bound),
        "maxLength" => length.is_none_or(|n| n <= bound),
        "minItems" => elements.is_none_or(|e| e.len() as f64 >= bound),
        "maxItems" => elements.is_none_or(|e| e.len() as f64 <= bound),
        "items" => elements.is_none_or(|e| e.iter().all(|e| is_valid(rule, e, document))),
        "required" => members.is_none_or(|_| {
            let names = rule.as_array().unwrap().iter();
            names
                .map(|n| n.as_str().unwrap())
                .all(|name| value.get(name).is_some())
        }),
        "properties" => rule.as_object().unwrap().iter().all(|(name, schema)| {
            value
                .get(name)
                .is_none_or(|value| is_valid(schema, value, document))
        }),
        "pattern" => value
            .as_str()
            .is_none_or(|text| has_pattern(rule.as_str().unwrap(), text)),
        key => panic!("the validator does not know {key}"),
    }
}

fn others_hold(
    rule: &JsonValue,
    schema: &JsonValue,
    value: &JsonValue,
    document: &JsonValue,
) -> bool {
    let listed = |name: &str| {
        schema
            .get("properties")
            .is_some_and(|p| p.get(name).is_some())
    };
    let mut others = value.as_object().unwrap_or(&[]).iter();
    others.all(|(name, value)| listed(name) || is_valid(rule, value, document))
}

fn is_of(rule: &JsonValue, value: &JsonValue) -> bool {
    match rule.as_str().unwrap() {
        "object" => value.as_object().is_some(),
        "array" => value.as_array().is_some(),
        "string" => value.as_str().is_some(),
        "number" => value.as_f64().is_some(),
        "integer" => value.as_f64().is_some_and(|n| n.fract() == 0.0),
        "boolean" => value.as_bool().is_some(),
        _ => value.is_null(),
    }
}

/// The patterns of this file, by hand.
fn has_pattern(pattern: &str, text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    match pattern {
        r"^[A-Z]{2}-\d{3,4}$" => {
            parts.len() == 2
                && parts[0].len() == 2
                && parts[0].bytes().all(|b| b.is_ascii_uppercase())
                && (3..=4).contains(&parts[1].len())
                && parts[1].bytes().all(|b| b.is_ascii_digit())
        }
        r#"^(/[a-z\\"]+)+$"# => {
            let mut pieces = text.split('/');
            let is_name = |piece: &str| {
                let mut chars = piece.chars();
                !piece.is_empty() && chars.all(|c| c.is_ascii_lowercase() || c == '\\' || c == '"')
            };
            pieces.next() == Some("") && text.len() > 1 && pieces.all(is_name)
        }
        "x+|^y$" => text.contains('x') || text == "y",
        pattern => panic!("the validator does not know {pattern}"),
    }
}

/// Bytes, and pieces that close what is open.
fn tokenizer() -> Tokenizer {
    let mut record = TokenizerRecord::empty(TokenizerKind::SentencePieceBpe);
    let mut add = |piece: &[u8], kind: PieceType| {
        assert!(record.pieces.push(piece));
        record.scores.push(0.0);
        record.types.push(kind as u8);
    };
    add(b"<unk>", PieceType::Unknown);
    add(b"</s>", PieceType::Control);
    (0..=255u8).for_each(|byte| add(&[byte], PieceType::Byte));
    for piece in [
        "\"}", "\"]", "\":", "\",", "}}", "]]", "{\"", "[{", "true", "null", "name", "é",
    ] {
        add(piece.as_bytes(), PieceType::Normal);
    }
    record.eos_ids = vec![1];
    Tokenizer::new(record).unwrap()
}

/// A text by random logits, on which closing tokens have an advantage.
fn random_text(matcher: &mut Matcher, tokenizer: &Tokenizer, seed: u64) -> Vec<u8> {
    let mut seeded = Seeded(seed * 2 + 1);
    let mut text = Vec::new();
    matcher.reset().unwrap();
    for _ in 0..5000 {
        if matcher.is_complete() || matcher.accepts() && seeded.unit() < 0.3 {
            return text;
        }
        let mask = matcher.mask().unwrap().to_vec();
        let allowed =
            (0..tokenizer.vocab_size()).filter(|id| mask[*id as usize / 64] >> (id % 64) & 1 == 1);
        let logit = |id: u32| {
            let closes = tokenizer
                .piece(id)
                .unwrap()
                .iter()
                .any(|b| b"\"]}".contains(b));
            seeded.unit() + if closes { 0.15 } else { 0.0 }
        };
        let mut best = (f32::NEG_INFINITY, u32::MAX);
        let mut logit = logit;
        for id in allowed {
            let logit = logit(id);
            if logit > best.0 {
                best = (logit, id);
            }
        }
        assert!(
            best.1 != u32::MAX,
            "no token can go on: {}",
            String::from_utf8_lossy(&text)
        );
        text.extend_from_slice(tokenizer.piece(best.1).unwrap());
        assert!(matcher.accept(tokenizer, best.1).unwrap());
    }
    panic!("no end: {}", String::from_utf8_lossy(&text));
}

#[test]
fn every_text_satisfies_its_schema() {
    let tokenizer = tokenizer();
    let trie = Arc::new(TokenTrie::new(&tokenizer).unwrap());
    for text in SCHEMAS {
        let schema = json::parse(text.as_bytes()).unwrap();
        let grammar = Arc::new(GrammarSource::Schema(schema.clone()).grammar().unwrap());
        let mut matcher = Matcher::new(grammar, trie.clone()).unwrap();
        let mut n_valid = 0;
        for seed in 0..120 {
            let output = random_text(&mut matcher, &tokenizer, seed);
            let shown = String::from_utf8_lossy(&output);
            // A name may come twice, which readers differ about; ours refuses it.
            match json::parse(&output) {
                Ok(value) => {
                    assert!(is_valid(&schema, &value, &schema), "{text}\n{shown}");
                    n_valid += 1;
                }
                Err(error) => {
                    let is_twice = error.kind == json::JsonErrorKind::DuplicateKey;
                    assert!(is_twice, "{text}\n{shown}: {error}");
                }
            }
        }
        assert!(n_valid > 100, "{text}");
    }
}

#[test]
fn json_mode_gives_json() {
    let tokenizer = tokenizer();
    let trie = Arc::new(TokenTrie::new(&tokenizer).unwrap());
    let mut matcher = Matcher::new(Arc::new(GrammarSource::Json.grammar().unwrap()), trie).unwrap();
    for seed in 0..200 {
        let output = random_text(&mut matcher, &tokenizer, seed);
        if let Err(error) = json::parse(&output) {
            let shown = String::from_utf8_lossy(&output);
            let is_twice = error.kind == json::JsonErrorKind::DuplicateKey;
            assert!(is_twice, "{shown}: {error}");
        }
    }
}

/// A session with the table of its constraint.
fn open(engine: &mut Engine, settings: &str) -> Result<Session, SessionError> {
    let settings = Settings::from_json(settings)?;
    let grammar = settings.constraint.as_ref().unwrap().grammar()?;
    engine.add_grammar(grammar);
    Session::new(engine, settings)
}

fn run(settings: &str, budget_rows: usize) -> (Option<StopReason>, String, String) {
    let options = EngineOptions {
        max_rows: 16,
        max_logit_rows: 1,
        backend: Backend::Fast,
    };
    let mut engine = load_engine(&ModelSpec::tiny("q8_0").build(), options);
    let mut session = open(&mut engine, settings).unwrap();
    session.prompt(&mut engine, &[256, 65, 66]).unwrap();
    while !matches!(
        session.step(&mut engine, budget_rows).unwrap(),
        Step::Done(_)
    ) {}
    let text = engine.model.tokenizer.decode(session.text_ids()).unwrap();
    // A rewind and a fork into the output go on alike.
    let n_output = session.output_ids().len();
    let digest = session.run_digest();
    session.rewind(&mut engine, 3 + n_output / 2).unwrap();
    let mut fork = session.fork(&mut engine).unwrap();
    for session in [&mut session, &mut fork] {
        while !matches!(
            session.step(&mut engine, budget_rows).unwrap(),
            Step::Done(_)
        ) {}
        assert_eq!(session.run_digest(), digest);
    }
    (session.stop_reason(), text, digest.to_string())
}

#[test]
fn sessions_obey_their_grammar() {
    let schema = json::parse(SCHEMAS[3].as_bytes()).unwrap();
    let mut n_ended = 0;
    for seed in 0..12 {
        let settings = |constraint: &str| {
            format!(
                r#"{{"temperature":2,"top_k":1024,"top_p":1,"seed":{seed},"max_tokens":90,
                    "repetition_penalty":1.3,"constraint":{constraint}}}"#
            )
        };
        let with_schema = settings(&format!(r#"{{"json_schema":{}}}"#, SCHEMAS[3]));
        let (reason, text, digest) = run(&with_schema, 1);
        if matches!(reason, Some(StopReason::GrammarEnd | StopReason::StopToken)) {
            let value = json::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert!(is_valid(&schema, &value, &schema), "{text}");
            n_ended += 1;
        }
        assert_eq!(run(&with_schema, 16).2, digest);
        let (_, text, other) = run(&settings(r#"{"gbnf":"root ::= \"yes\" | \"no\""}"#), 5);
        assert!(text == "yes" || text == "no", "{text}");
        assert_ne!(digest, other);
    }
    assert!(n_ended > 6, "{n_ended}");
}

#[test]
fn what_is_wrong_with_a_constraint_is_named_and_the_engine_goes_on() {
    let options = EngineOptions::default();
    let mut engine = load_engine(&ModelSpec::tiny("f32").build(), options);
    let mut error = |settings: &str| open(&mut engine, settings).err().unwrap();
    let wrong = error(r#"{"constraint":{"gbnf":"root ::= x"}}"#);
    assert_eq!(wrong.code(), 631);
    let wrong = error(r#"{"constraint":{"json_schema":{"not":{}}}}"#);
    assert_eq!(wrong.code(), 637);
    assert_eq!(
        wrong.to_string(),
        "the schema uses a keyword that is not supported: not"
    );
    // Every byte that could come is banned.
    let banned = r#"{"constraint":{"gbnf":"root ::= \"a\""},"banned_tokens":[97]}"#;
    let mut session = open(&mut engine, banned).unwrap();
    session.prompt(&mut engine, &[256, 65]).unwrap();
    assert_eq!(session.step(&mut engine, 8).err().unwrap().code(), 644);
}

#[test]
fn an_engine_needs_the_table_of_each_constraint_once() {
    let model = ModelSpec::tiny("f32").build();
    let mut engine = load_engine(&model, EngineOptions::default());
    let text = r#"{"constraint":{"gbnf":"root ::= \"abc\""},"max_tokens":8}"#;
    let settings = || Settings::from_json(text).unwrap();
    let source = GrammarSource::Gbnf("root ::= \"abc\"".into());
    engine.add_grammar(GrammarSource::Json.grammar().unwrap());
    let early = Session::new(&mut engine, settings()).err().unwrap();
    assert_eq!(early.code(), 645);
    engine.add_grammar(source.grammar().unwrap());
    let mut session = Session::new(&mut engine, settings()).unwrap();
    session.prompt(&mut engine, &[256, 65]).unwrap();
    while !matches!(session.step(&mut engine, 8).unwrap(), Step::Done(_)) {}
    assert_eq!(session.stop_reason(), Some(StopReason::GrammarEnd));
    let digest = session.run_digest();
    // A snapshot in the middle of the text, and a replay, need the table where they go on.
    session.rewind(&mut engine, 3).unwrap();
    let snapshot = session.snapshot(&engine).unwrap();
    let mut other = load_engine(&model, EngineOptions::default());
    let early = Session::restore(&mut other, &snapshot, &[]).err().unwrap();
    assert_eq!(early.code(), 645);
    other.add_grammar(source.grammar().unwrap());
    let mut restored = Session::restore(&mut other, &snapshot, &[]).unwrap();
    while !matches!(restored.step(&mut other, 8).unwrap(), Step::Done(_)) {}
    assert_eq!(restored.run_digest(), digest);
    let record = record_json(&restored, &other, RecordOptions::default());
    let record = ReplayRecord::parse(record.as_bytes()).unwrap();
    let mut replay = Replay::new(&mut other, record, Vec::new()).unwrap();
    let end = loop {
        match replay.step(&mut other, 8).unwrap() {
            ReplayStep::Going(_) => {}
            end => break end,
        }
    };
    assert_eq!(end, ReplayStep::SameBits);
    // Of more tables than are kept the oldest is forgotten; whoever has it keeps it.
    for i in 0..64 {
        let text = format!("root ::= \"{i}\"");
        engine.add_grammar(GrammarSource::Gbnf(text).grammar().unwrap());
    }
    let forgotten = Session::new(&mut engine, settings()).err().unwrap();
    assert_eq!(forgotten.code(), 645);
    while !matches!(session.step(&mut engine, 8).unwrap(), Step::Done(_)) {}
    assert_eq!(session.run_digest(), digest);
}
