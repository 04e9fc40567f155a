//! `--resume`: the session of a snapshot, whose own settings hold.
//!
//! A flag that would say something else is refused by name, never ignored. What is wrong with the
//! snapshot is the file's fault (exit code 3).

use super::setting_flags::SETTING_FLAGS;
use crate::arguments::Arguments;
use crate::constraint_flag::{self, CONSTRAINT_FLAG};
use crate::failure::{Exit, Failure};
use cultivar_core::grammar::GrammarErrorKind;
use cultivar_core::model::{Engine, StackId};
use cultivar_core::session::{Session, SessionError, SessionErrorKind, Settings};
use std::path::Path;

/// Where a snapshot has its settings: the number of bytes, then JSON (`docs/numerics.md`).
const SETTINGS_AT: usize = 60;

/// Refuses flags that have no effect on a session that goes on.
pub fn check_flags(given: &Arguments) -> Result<(), Failure> {
    if !given.has("--resume") {
        return Ok(());
    }
    let settings = SETTING_FLAGS.iter().map(|flag| flag.name);
    let mut fixed = settings.chain([CONSTRAINT_FLAG.name, "--logprobs"]);
    fixed.find(|name| given.has(name)).map_or(Ok(()), |name| {
        Err(Failure::usage(format!(
            "{name} is what the snapshot says: leave it out, or leave out --resume and begin anew"
        )))
    })
}

/// The session of this snapshot, with its constraint; its adapters are those of the stack.
pub fn restore(
    engine: &mut Engine,
    path: &Path,
    stack: Option<StackId>,
) -> Result<Session, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::reading(path, &error))?;
    let stack = stack.and_then(|id| engine.stack(id));
    let entries = stack.map_or(&[][..], |stack| stack.entries()).iter();
    let pool: Vec<_> = entries.map(|entry| entry.adapter().clone()).collect();
    let mut restored = Session::restore(engine, &bytes, &pool);
    // Only a snapshot that is whole and of this form gets so far.
    if restored.as_ref().is_err_and(lacks_grammar) {
        add_grammar(engine, &bytes).map_err(|failure| of_file(failure, path))?;
        restored = Session::restore(engine, &bytes, &pool);
    }
    let session = restored.map_err(|error| of_file(error.into(), path))?;
    // The settings were not known when the engine was made.
    let n_logit_rows = 1 + session.settings().prompt_lookup as usize;
    engine.set_rows(engine.max_rows(), n_logit_rows)?;
    Ok(session)
}

fn lacks_grammar(error: &SessionError) -> bool {
    matches!(&error.kind, SessionErrorKind::Grammar(error)
        if error.kind == GrammarErrorKind::NotCompiled)
}

/// Gives the engine the table of a snapshot's constraint.
fn add_grammar(engine: &mut Engine, snapshot: &[u8]) -> Result<(), Failure> {
    let settings = snapshot.get(SETTINGS_AT..).and_then(|rest| {
        let (n_bytes, rest) = rest.split_first_chunk()?;
        let json = rest.get(..u32::from_le_bytes(*n_bytes) as usize)?;
        core::str::from_utf8(json).ok()
    });
    let settings = Settings::from_json(settings.unwrap_or_default())?;
    if let Some(source) = &settings.constraint {
        engine.add_grammar(constraint_flag::compiled(source)?);
    }
    Ok(())
}

fn of_file(mut failure: Failure, path: &Path) -> Failure {
    if failure.exit == Exit::Usage {
        failure.exit = Exit::BadInput;
    }
    failure.about(path)
}
