//! The demo family of `fixtures/family`, for tests: its package, its suites and the reference
//! numbers that PyTorch gave for it. It reads those files and changes none.

use cultivar_core::json::{self, JsonValue};
use std::path::PathBuf;

/// The five skills, in the order of the family's figures.
pub const SKILLS: [&str; 5] = ["reverse", "add", "json", "plural", "fact"];

/// One line of a suite: it is answered right by exactly `expected_ids` and then `end_id`.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// `skill-split-number`.
    pub id: String,
    /// What is asked.
    pub prompt: String,
    /// The right answer.
    pub expected: String,
    /// The prompt's ids, start token first.
    pub prompt_ids: Vec<u32>,
    /// The answer's ids, without the end token.
    pub expected_ids: Vec<u32>,
    /// The end token.
    pub end_id: u32,
}

/// The folder of the family.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/family")
}

/// The bytes of a file of the family.
///
/// # Panics
/// When it is not there.
pub fn file(path: &str) -> Vec<u8> {
    let path = folder().join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `reference.json`: PyTorch's numbers.
///
/// # Panics
/// When it is not JSON.
pub fn reference() -> JsonValue {
    json::parse(&file("reference.json")).expect("reference.json is JSON")
}

/// The cases of a suite; `split` is `public` or `holdout`.
///
/// # Panics
/// When a line lacks something.
pub fn cases(skill: &str, split: &str) -> Vec<Case> {
    let bytes = file(&format!("suites/{skill}.{split}.jsonl"));
    let text = String::from_utf8(bytes).expect("suites are UTF-8");
    text.lines().map(case).collect()
}

fn case(line: &str) -> Case {
    let line = json::parse(line.as_bytes()).expect("a line of a suite is JSON");
    let text = |key: &str| line.get(key).and_then(JsonValue::as_str).expect(key).into();
    Case {
        id: text("id"),
        prompt: text("prompt"),
        expected: text("expected"),
        prompt_ids: ids(&line, "prompt_ids"),
        expected_ids: ids(&line, "expected_ids"),
        end_id: line
            .get("end_id")
            .and_then(JsonValue::as_u32)
            .expect("end_id"),
    }
}

/// The list under a key.
///
/// # Panics
/// When there is none.
pub fn list<'a>(value: &'a JsonValue, key: &str) -> &'a [JsonValue] {
    value.get(key).and_then(JsonValue::as_array).expect(key)
}

/// The ids under a key.
///
/// # Panics
/// When there are none.
pub fn ids(value: &JsonValue, key: &str) -> Vec<u32> {
    let ids = list(value, key).iter().map(JsonValue::as_u32);
    ids.collect::<Option<_>>().expect(key)
}

/// The numbers under a key.
///
/// # Panics
/// When there are none.
pub fn numbers(value: &JsonValue, key: &str) -> Vec<f64> {
    let numbers = list(value, key).iter().map(JsonValue::as_f64);
    numbers.collect::<Option<_>>().expect(key)
}
