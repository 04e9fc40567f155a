//! `cultivar replay`: a recorded run computed again, and whether it has the same bits.

use super::{BACKEND_FLAG, Command, backend};
use crate::adapter_files::{self, ADAPTER_FLAG};
use crate::arguments::{Arguments, Flag};
use crate::constraint_flag;
use crate::failure::{Exit, Failure};
use crate::output::Report;
use crate::package_file::PackageFile;
use cultivar_core::json::JsonWriter;
use cultivar_core::model::{Engine, EngineOptions};
use cultivar_core::session::{Difference, Replay, ReplayRecord, ReplayStep};
use std::path::Path;

pub const COMMAND: Command = Command {
    name: "replay",
    summary: "Compute a recorded run again and compare every bit",
    usage: &["RECORD --model FILE [--prompt TEXT | --prompt-ids 1,2,3] [FLAGS]"],
    about: "Says \"same bits\", or names the first step that differs (exit code 1). A record is\n\
            made by cultivar run --record FILE. Where its prompt was left out, give it again.",
    flags: &[
        Flag::with("--model", "FILE", "the package that was run"),
        Flag::with("--prompt", "TEXT", "the prompt that was left out"),
        Flag::with("--prompt-ids", "1,2,3", "the same as token ids"),
        ADAPTER_FLAG,
        BACKEND_FLAG,
    ],
    run,
};

fn run(given: &Arguments) -> Result<Report, Failure> {
    let path = given.file()?;
    let model = given.path("--model");
    let model = model.ok_or(Failure::usage("which model? Give --model FILE"))?;
    let text = std::fs::read(path).map_err(|error| Failure::reading(path, &error))?;
    let bad = |error| about_record(path, error);
    let mut record = ReplayRecord::parse(&text).map_err(bad)?;
    let options = EngineOptions {
        backend: backend(given)?,
        ..EngineOptions::default()
    };
    let mut file = PackageFile::open(model)?;
    let prompt = match (given.text("--prompt")?, given.ids("--prompt-ids")?) {
        (Some(text), None) => Some(file.tokenizer()?.ids(text, Default::default())?),
        (None, ids) => ids,
        _ => return Err(Failure::usage("give either --prompt or --prompt-ids")),
    };
    let mut engine = Engine::new(file.model()?, options).map_err(|error| file.about(error))?;
    record.fill_prompts(prompt.as_slice()).map_err(bad)?;
    let stack = adapter_files::put(given, &mut engine)?;
    let stack = stack.and_then(|id| engine.stack(id));
    let entries = stack.map_or(&[][..], |stack| stack.entries()).iter();
    let pool = entries.map(|entry| entry.adapter().clone()).collect();
    if let Some(source) = &record.settings.constraint {
        engine.add_grammar(constraint_flag::compiled(source)?);
    }
    let mut replay = Replay::new(&mut engine, record, pool).map_err(bad)?;
    loop {
        match replay.step(&mut engine, usize::MAX)? {
            ReplayStep::Going(_) => {}
            end => return Ok(report(&replay, end)),
        }
    }
}

/// A record that is not one, or not of this model, is a bad input file.
fn about_record(path: &Path, error: cultivar_core::session::SessionError) -> Failure {
    let mut failure = Failure::from(error);
    failure.exit = Exit::BadInput;
    failure.about(path)
}

fn report(replay: &Replay, end: ReplayStep) -> Report {
    let session = replay.session();
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field_str("schema", "cultivar.replayed.v1");
    json.field_bool("same_bits", end == ReplayStep::SameBits);
    json.field_display("run_digest", session.run_digest());
    if let ReplayStep::Differs(difference) = end {
        json.key("first_difference");
        difference.write_json(&mut json);
    }
    json.end_object();
    let text = match end {
        ReplayStep::Differs(difference) => sentence(difference),
        ReplayStep::SameBits => format!("same bits: run digest {}", session.run_digest()),
        _ => "the same tokens from other logits; a record with --record-steps names the step"
            .to_string(),
    };
    Report {
        is_no: end != ReplayStep::SameBits,
        ..Report::new(json.finish(), text + "\n")
    }
}

fn sentence(difference: Difference) -> String {
    let name = |id: Option<u32>| id.map_or("none".to_string(), |id| format!("token {id}"));
    let digest = difference.recorded_digest.map(hex);
    format!(
        "step {} differs: {} (digest {}) was recorded, {} (digest {}) came",
        difference.step,
        name(difference.recorded_token),
        digest.as_deref().unwrap_or("not recorded"),
        name(difference.token),
        hex(difference.digest),
    )
}

fn hex(digest: [u8; 8]) -> String {
    format!("{:016x}", u64::from_be_bytes(digest))
}
