//! What a command prints: one JSON object, or text for people; and whose fault it is if it cannot.

use crate::failure::{Exit, Failure};
use cultivar_core::json::JsonWriter;
use std::io::{self, Write};

/// What a command has to say at its end.
#[derive(Debug)]
pub struct Report {
    /// One JSON object, for `--json`.
    pub json: String,
    /// Lines for people; may be empty where they were printed on the way.
    pub text: String,
    /// Whether the answer is no: exit code 1.
    pub is_no: bool,
}

impl Report {
    /// A report of a command that did what it was asked.
    pub fn new(json: String, text: String) -> Report {
        Report {
            json,
            text,
            is_no: false,
        }
    }
}

/// Prints to standard output at once.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    printed.map_err(|error| Failure::printing(&error))
}

/// Prints one line of news for people to standard error; a closed one is nobody's concern.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints help or the version: as text, or as an object with that text if `schema` is given.
pub fn print_text(text: &str, schema: Option<&str>) -> Result<(), Failure> {
    let Some(schema) = schema else {
        return print(text);
    };
    print(&(object(&[("schema", schema), ("text", text)]) + "\n"))
}

/// One JSON object of texts.
pub fn object(fields: &[(&str, &str)]) -> String {
    let mut json = JsonWriter::new();
    json.begin_object();
    for (name, value) in fields {
        json.field_str(name, value);
    }
    json.end_object();
    json.finish()
}

/// A failed command as the one JSON object it prints.
pub fn failure_json(failure: &Failure) -> String {
    let kind = match failure.exit {
        Exit::Usage => "usage",
        Exit::BadInput => "bad_input",
        Exit::OutOfSpace => "out_of_space",
        Exit::Stopped => "stopped",
    };
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field_str("schema", "cultivar.error.v1");
    json.field_str("kind", kind);
    json.field_u64("exit_code", failure.exit as u64);
    json.field_u64("code", failure.code.unsigned_abs().into());
    json.field_str("message", &failure.message);
    json.end_object();
    json.finish()
}
