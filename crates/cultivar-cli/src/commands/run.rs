//! `cultivar run`: a prompt in, text out, token by token; or one JSON report with the run digest.

use super::{BACKEND_FLAG, Command, KV_FLAG, backend, kv_format};
use crate::arguments::{Arguments, Flag};
use crate::failure::Failure;
use crate::output::{self, Report};
use crate::package_file::PackageFile;
use cultivar_core::model::{Engine, EngineOptions};
use cultivar_core::session::{LoadTimes, Session, Settings, Step, report_json};
use cultivar_core::tokenizer::{EncodeOptions, StreamDecoder, Tokenizer};
use std::time::Instant;

pub const COMMAND: Command = Command {
    name: "run",
    summary: "Continue a prompt",
    usage: &["FILE (--prompt TEXT | --prompt-ids 1,2,3) [FLAGS]"],
    about: "Prints the text that follows the prompt as it is made, then figures on standard \
            error.\nSame package, prompt, settings and seed: same tokens, same run digest.",
    flags: &[
        Flag::with("--prompt", "TEXT", "the text to continue"),
        Flag::with(
            "--prompt-ids",
            "1,2,3",
            "the same as token ids, taken as they are",
        ),
        Flag::switch(
            "--special",
            "markers such as <s> in the prompt become their ids",
        ),
        Flag::with("--max-tokens", "N", "stop after so many tokens (256)"),
        Flag::with(
            "--temperature",
            "T",
            "0 takes the likeliest token; up to 100 (0)",
        ),
        Flag::with(
            "--top-k",
            "K",
            "choose among the K likeliest, 1 to 1024 (40)",
        ),
        Flag::with(
            "--top-p",
            "P",
            "and among those that make up P, up to 1 (0.95)",
        ),
        Flag::with("--seed", "S", "names the random choices, below 2^64 (0)"),
        KV_FLAG,
        Flag::with(
            "--context-len",
            "N",
            "positions to hold (as many as the model has)",
        ),
        Flag::switch("--ignore-stop", "go on past end markers"),
        BACKEND_FLAG,
    ],
    run,
};

fn run(given: &Arguments) -> Result<Report, Failure> {
    let path = given.file()?;
    let settings = settings(given)?;
    let options = EngineOptions {
        backend: backend(given)?,
        ..EngineOptions::default()
    };
    let prompt = Prompt::of(given)?;
    let started = Instant::now();
    let mut file = PackageFile::open(path)?;
    let mut engine = Engine::new(file.model()?, options).map_err(|error| file.about(error))?;
    let load = LoadTimes {
        load_ms: elapsed_ms(started),
    };

    let ids = prompt.ids(&engine.model.tokenizer)?;
    let mut session = Session::new(&mut engine, settings)?;
    session.prompt(&engine, &ids)?;
    let text = generate(&mut session, &mut engine, &ids, !given.has("--json"))?;
    let json = report_json(&session, &engine, &text, load);
    if !given.has("--json") {
        output::print("\n")?;
        print_figures(&session);
    }
    // The text was printed on the way.
    Ok(Report::new(json, String::new()))
}

/// A prompt as it was given.
enum Prompt<'a> {
    Text(&'a str, EncodeOptions),
    Ids(Vec<u32>),
}

impl<'a> Prompt<'a> {
    fn of(given: &'a Arguments) -> Result<Prompt<'a>, Failure> {
        let options = EncodeOptions {
            add_bos: None,
            parse_special: given.has("--special"),
        };
        match (given.text("--prompt")?, given.ids("--prompt-ids")?) {
            (Some(text), None) => Ok(Prompt::Text(text, options)),
            (None, Some(ids)) => Ok(Prompt::Ids(ids)),
            _ => Err(Failure::usage("give either --prompt or --prompt-ids")),
        }
    }

    fn ids(self, tokenizer: &Tokenizer) -> Result<Vec<u32>, Failure> {
        match self {
            Prompt::Text(text, options) => Ok(tokenizer.ids(text, options)?),
            Prompt::Ids(ids) => Ok(ids),
        }
    }
}

fn settings(given: &Arguments) -> Result<Settings, Failure> {
    let default = Settings::default();
    let settings = Settings {
        context_len: given
            .number("--context-len")?
            .unwrap_or(default.context_len),
        kv_format: kv_format(given)?,
        max_tokens: given.number("--max-tokens")?.unwrap_or(default.max_tokens),
        temperature: given
            .number("--temperature")?
            .unwrap_or(default.temperature),
        top_k: given.number("--top-k")?.unwrap_or(default.top_k),
        top_p: given.number("--top-p")?.unwrap_or(default.top_p),
        seed: given.number("--seed")?.unwrap_or(default.seed),
        ignore_stop: given.has("--ignore-stop"),
    };
    settings.check()?;
    Ok(settings)
}

/// Runs to the end and returns the new text, printing it on the way if asked.
fn generate(
    session: &mut Session,
    engine: &mut Engine,
    prompt_ids: &[u32],
    prints: bool,
) -> Result<String, Failure> {
    let mut decoder = StreamDecoder::new();
    let mut text = String::new();
    // The prompt goes through the decoder too: a character may be split between it and the rest.
    for id in prompt_ids {
        decoder.push(&engine.model.tokenizer, *id, &mut text);
    }
    text.clear();
    let mut n_pushed = 0;
    loop {
        let started = Instant::now();
        let step = session.step(engine, engine.max_rows())?;
        session.note_ms(elapsed_ms(started));
        let n_before = text.len();
        for id in session.output_ids().iter().skip(n_pushed) {
            decoder.push(&engine.model.tokenizer, *id, &mut text);
        }
        n_pushed = session.output_ids().len();
        let is_done = matches!(step, Step::Done(_));
        if is_done {
            decoder.finish(&mut text);
        }
        if prints && let Some(new) = text.get(n_before..).filter(|new| !new.is_empty()) {
            output::print(new)?;
        }
        if is_done {
            return Ok(text);
        }
    }
}

fn print_figures(session: &Session) {
    let diagnostics = session.diagnostics();
    let rate = diagnostics.decode_tokens_per_s();
    let rate = rate.map_or(String::new(), |rate| format!(", {rate:.1} tokens/s"));
    let reason = session.stop_reason().map_or("", |reason| reason.name());
    output::note(&format!(
        "{} tokens{rate}, stopped by {reason}, run digest {}",
        session.output_ids().len(),
        session.run_digest(),
    ));
}

fn elapsed_ms(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1000.0
}
