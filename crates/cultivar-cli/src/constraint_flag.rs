//! `--constraint`: what an output must be a text of, from the flag and the file that it names.
//!
//! What is wrong with the file is the file's fault (exit code 3); an unknown form is usage.

use crate::arguments::{Arguments, Flag};
use crate::failure::{Exit, Failure};
use cultivar_core::grammar::{Grammar, GrammarSource};
use cultivar_core::json::{self, JsonValue};
use cultivar_core::session::SessionError;
use std::path::Path;

pub const CONSTRAINT_FLAG: Flag = Flag::with(
    "--constraint",
    "json|schema:FILE|grammar:FILE",
    "write JSON, a schema's JSON, or a grammar's text (GBNF)",
);

/// The constraint that was asked for, if any, and its compiled table.
pub fn read(given: &Arguments) -> Result<Option<(GrammarSource, Grammar)>, Failure> {
    let Some(value) = given.text(CONSTRAINT_FLAG.name)? else {
        return Ok(None);
    };
    match value.split_once(':') {
        None if value == "json" => {
            let grammar = compiled(&GrammarSource::Json)?;
            Ok(Some((GrammarSource::Json, grammar)))
        }
        Some(("schema", path)) => of_file(Path::new(path), |text| {
            let schema = json::parse_unique(text.as_bytes()).map_err(SessionError::from)?;
            Ok(("json_schema", schema))
        }),
        Some(("grammar", path)) => of_file(Path::new(path), |text| {
            Ok(("gbnf", JsonValue::String(text.to_string())))
        }),
        _ => {
            let wrong = "--constraint must be json, schema:FILE or grammar:FILE";
            Err(Failure::usage(wrong))
        }
    }
}

/// The table of a constraint.
pub fn compiled(source: &GrammarSource) -> Result<Grammar, Failure> {
    Ok(source.grammar().map_err(SessionError::from)?)
}

/// The constraint of a file's text.
fn of_file(
    path: &Path,
    read: fn(&str) -> Result<(&'static str, JsonValue), Failure>,
) -> Result<Option<(GrammarSource, Grammar)>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::reading(path, &error))?;
    let made = || {
        let (key, value) = read(&text)?;
        let value = JsonValue::Object(vec![(key.to_string(), value)]);
        let wrong = format!("a constraint {}", GrammarSource::RULE);
        let source = GrammarSource::from_value(&value);
        let source = source.ok_or(Failure::new(Exit::BadInput, wrong))?;
        let grammar = compiled(&source)?;
        Ok(Some((source, grammar)))
    };
    made().map_err(|failure: Failure| {
        let exit = match failure.exit {
            Exit::Usage => Exit::BadInput,
            exit => exit,
        };
        Failure { exit, ..failure }.about(path)
    })
}
