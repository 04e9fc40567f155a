//! `cultivar replay`: a recorded run computed again, and whether it has the same bits.

use super::{BACKEND_FLAG, Command, backend};
use crate::adapter_files::{self, ADAPTER_FLAG};
use crate::arguments::{Arguments, Flag, ids_of, text_of};
use crate::constraint_flag;
use crate::failure::{Exit, Failure};
use crate::output::Report;
use crate::package_file::PackageFile;
use cultivar_core::json::JsonWriter;
use cultivar_core::model::{Engine, EngineOptions};
use cultivar_core::session::{Difference, Replay, ReplayRecord, ReplayStep};
use cultivar_core::tokenizer::EncodeOptions;
use std::path::Path;

/// Flags that give a prompt.
const PROMPT_FLAGS: [&str; 2] = ["--prompt", "--prompt-ids"];

pub const COMMAND: Command = Command {
    name: "replay",
    summary: "Compute a recorded run again and compare every bit",
    usage: &["RECORD --model FILE [--prompt TEXT | --prompt-ids 1,2,3] … [FLAGS]"],
    about: "Says \"same bits\", or names the first step that differs (exit code 1). A record is\n\
            made by cultivar run or chat with --record FILE. Where its prompts were left out,\n\
            give them again: one --prompt or --prompt-ids per turn, in order.",
    flags: &[
        Flag::with("--model", "FILE", "the package that was run"),
        Flag::repeated(
            "--prompt",
            "TEXT",
            "the prompt that was left out; repeatable, in order of turns",
        ),
        Flag::repeated("--prompt-ids", "1,2,3", "the same as token ids"),
        Flag::switch(
            "--special",
            "markers such as <s> in prompts become their ids",
        ),
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
    let prompts = prompts(given, &record, &mut file)?;
    let mut engine = Engine::new(file.model()?, options).map_err(|error| file.about(error))?;
    record.fill_prompts(&prompts).map_err(bad)?;
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

/// The prompts that were given, for the turns that lack one.
fn prompts(
    given: &Arguments,
    record: &ReplayRecord,
    file: &mut PackageFile,
) -> Result<Vec<Vec<u32>>, Failure> {
    let turns = record.turns.iter().enumerate();
    let lack: Vec<usize> = turns
        .filter(|(_, turn)| turn.prompt_ids.is_none())
        .map(|(i, _)| i)
        .collect();
    let n_given = given.sequence(&PROMPT_FLAGS).count();
    if n_given > lack.len() {
        return Err(Failure::usage(format!(
            "the record leaves out {} prompts, {n_given} are given: leave out what it has",
            lack.len()
        )));
    }
    let (mut prompts, mut tokenizer) = (Vec::new(), None);
    for (turn, (name, value)) in lack.into_iter().zip(given.sequence(&PROMPT_FLAGS)) {
        let text = text_of(name, value)?;
        let options = EncodeOptions {
            // Only the first begins a sequence.
            add_bos: Some(false).filter(|_| turn > 0),
            parse_special: given.has("--special"),
        };
        prompts.push(match name {
            "--prompt-ids" => ids_of(name, text)?,
            _ => {
                let tokenizer = match &mut tokenizer {
                    Some(tokenizer) => tokenizer,
                    none => none.insert(file.tokenizer()?),
                };
                tokenizer.ids(text, options)?
            }
        });
    }
    Ok(prompts)
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
