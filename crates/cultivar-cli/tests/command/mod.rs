//! Runs the built command in a folder of its own and reads what it says.

// Each test binary uses a part of this.
#![allow(dead_code)]

use cultivar_core::json::{self, JsonValue};
use cultivar_testdata::models::ModelSpec;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a run of the command gave.
pub struct Answer {
    pub exit: i32,
    pub out: String,
    pub err: String,
}

impl Answer {
    /// Standard output as the one JSON object that it must be.
    pub fn json(&self) -> JsonValue {
        let value = json::parse(self.out.trim_end().as_bytes());
        let value = value.unwrap_or_else(|error| panic!("{error}: {} {}", self.out, self.err));
        assert!(value.as_object().is_some(), "{}", self.out);
        assert_eq!(self.out.lines().count(), 1, "one line: {}", self.out);
        value
    }
}

/// A folder that is empty at the start.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // Left over from an earlier run, if it exists.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs `cultivar` with these arguments in this folder.
pub fn cultivar(folder: &Path, arguments: &[&str]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cultivar"));
    let output = command
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    Answer {
        exit: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The same with `--json`: the exit code must be this, the object is returned.
pub fn asked(folder: &Path, exit: i32, arguments: &[&str]) -> JsonValue {
    let answer = cultivar(folder, &[arguments, &["--json"]].concat());
    assert_eq!(
        answer.exit, exit,
        "{arguments:?}: {} {}",
        answer.out, answer.err
    );
    answer.json()
}

/// A folder with the tiny model as `tiny.slm`.
pub fn folder_with_model(name: &str, format: &'static str) -> PathBuf {
    let folder = folder(name);
    std::fs::write(folder.join("tiny.slm"), ModelSpec::tiny(format).build()).unwrap();
    folder
}

pub fn text<'a>(value: &'a JsonValue, key: &str) -> &'a str {
    value
        .get(key)
        .and_then(JsonValue::as_str)
        .unwrap_or_else(|| panic!("no text {key}"))
}

pub fn ids(value: &JsonValue, key: &str) -> Vec<u32> {
    let list = value.get(key).and_then(JsonValue::as_array).unwrap();
    list.iter().map(|id| id.as_u32().unwrap()).collect()
}

/// Names of the files in a folder, sorted.
pub fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The folder of test data, if there is one.
pub fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("CULTIVAR_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: CULTIVAR_DATA is not set");
    }
    folder
}
