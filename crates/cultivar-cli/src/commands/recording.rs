//! `--record` and what goes with it: one table and one writer for every command that generates.

use crate::arguments::{Arguments, Flag};
use crate::failure::Failure;
use cultivar_core::model::Engine;
use cultivar_core::session::{RecordOptions, Session, record_json};

pub const RECORD_FLAG: Flag = Flag::with("--record", "FILE", "write a record for cultivar replay");

pub const STEPS_FLAG: Flag = Flag::switch(
    "--record-steps",
    "with a digest after each token, to name a first difference",
);

pub const REDACT_FLAG: Flag = Flag::switch(
    "--redact-prompt",
    "leave prompts out of the record but for their SHA-256",
);

/// Writes the record of the session so far, if one was asked for.
pub fn write(given: &Arguments, session: &Session, engine: &Engine) -> Result<(), Failure> {
    let Some(path) = given.path(RECORD_FLAG.name) else {
        return Ok(());
    };
    let options = RecordOptions {
        redacts_prompts: given.has(REDACT_FLAG.name),
        has_steps: given.has(STEPS_FLAG.name),
    };
    let record = record_json(session, engine, options) + "\n";
    std::fs::write(path, record).map_err(|error| Failure::writing(path, &error))
}
