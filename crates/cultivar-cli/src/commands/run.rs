//! `cultivar run`: a prompt in, text out, token by token; or one JSON report with the run digest.

use super::generate::generate;
use super::recording::{self, RECORD_FLAG, REDACT_FLAG, STEPS_FLAG};
use super::resume;
use super::setting_flags::{SETTING_FLAGS, and_settings, settings};
use super::{BACKEND_FLAG, Command, backend};
use crate::adapter_files::{self, ADAPTER_FLAG};
use crate::arguments::{Arguments, Flag};
use crate::constraint_flag::{self, CONSTRAINT_FLAG};
use crate::failure::Failure;
use crate::output::{self, Report};
use crate::package_file::PackageFile;
use cultivar_core::grammar::Grammar;
use cultivar_core::kv_cache::KvBudget;
use cultivar_core::model::{Engine, EngineOptions};
use cultivar_core::session::{LoadTimes, ReportOptions, Session, Settings, report_json};
use cultivar_core::tokenizer::EncodeOptions;
use std::sync::OnceLock;
use std::time::Instant;

const OWN_FLAGS: &[Flag] = &[
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
    ADAPTER_FLAG,
    CONSTRAINT_FLAG,
    Flag::with("--kv-budget-mib", "N", "most memory for keys and values"),
    RECORD_FLAG,
    STEPS_FLAG,
    REDACT_FLAG,
    Flag::with(
        "--snapshot",
        "FILE",
        "write the session, to go on from later",
    ),
    Flag::with(
        "--resume",
        "FILE",
        "go on from a snapshot of this model, with its settings",
    ),
    Flag::with(
        "--logprobs",
        "N",
        "ln p of each token and of the N likeliest, to 20; JSON, or standard error",
    ),
    Flag::with(
        "--watts",
        "W",
        "with --json: estimate the energy per token from this",
    ),
    Flag::switch("--profile", "with --json: where the time went"),
    Flag::switch(
        "--without-text",
        "with --json: leave out text and token ids",
    ),
    BACKEND_FLAG,
];
const FLAGS: [Flag; OWN_FLAGS.len() + SETTING_FLAGS.len()] = and_settings(OWN_FLAGS);

pub const COMMAND: Command = Command {
    name: "run",
    summary: "Continue a prompt",
    usage: &["FILE (--prompt TEXT | --prompt-ids 1,2,3) [FLAGS]"],
    about: "Prints the text that follows the prompt as it is made, then figures on standard \
            error.\nSame package, prompt, settings and seed: same tokens, same run digest.\n\
            With --resume the snapshot has the settings, the constraint, the log-probabilities\n\
            and the weights of its adapters, which are given again with --adapter.",
    flags: &FLAGS,
    run,
};

fn run(given: &Arguments) -> Result<Report, Failure> {
    let path = given.file()?;
    resume::check_flags(given)?;
    let mut settings = settings(given)?;
    let constraint = constraint_flag::read(given)?;
    settings.constraint = constraint.as_ref().map(|(source, _)| source.clone());
    settings.logprobs = given.number("--logprobs")?;
    settings.check()?;
    let options = EngineOptions {
        backend: backend(given)?,
        max_logit_rows: 1 + settings.prompt_lookup as usize,
        ..EngineOptions::default()
    };
    let watts: Option<f64> = given.number("--watts")?;
    if watts.is_some_and(|watts| !(watts > 0.0 && watts < 1e6)) {
        return Err(Failure::usage("--watts must be above 0, below 1000000"));
    }
    let prompt = Prompt::of(given)?;
    let started = Instant::now();
    let mut file = PackageFile::open(path)?;
    let ids = prompt.ids(&mut file)?;
    let mut engine = Engine::new(file.model()?, options).map_err(|error| file.about(error))?;
    let load = LoadTimes {
        load_ms: elapsed_ms(started),
    };

    if let Some(mib) = given.number::<u32>("--kv-budget-mib")? {
        engine.set_kv_budget(KvBudget {
            total_bytes: u64::from(mib) << 20,
            ..KvBudget::default()
        });
    }
    if given.has("--profile") {
        clock_ms();
        engine.start_profile(clock_ms);
    }
    let grammar = constraint.map(|(_, grammar)| grammar);
    let mut session = open(given, &mut engine, settings, grammar)?;
    session.prompt(&mut engine, &ids)?;
    let output = generate(&mut session, &mut engine, &ids, !given.has("--json"))?;
    recording::write(given, &session, &engine)?;
    if let Some(path) = given.path("--snapshot") {
        let bytes = session.snapshot(&engine)?;
        std::fs::write(path, bytes).map_err(|error| Failure::writing(path, &error))?;
    }
    let report = ReportOptions {
        text: Some(&*output.text).filter(|_| !given.has("--without-text")),
        load,
        watts,
        heap_bytes: [0; 2],
    };
    let mut json = report_json(&session, &engine, report);
    let tokenizer = &engine.model.tokenizer;
    if session.settings().logprobs.is_some() && !given.has("--without-text") {
        // The report is an object, so that another field can stand before its end.
        json.truncate(json.len() - 1);
        json += &format!(",\"logprobs\":{}}}", output.logprobs_json(tokenizer));
    }
    if !given.has("--json") {
        output::print("\n")?;
        output::note(output.logprob_lines(tokenizer).trim_end());
        print_figures(&session);
        output.note_fallbacks();
    }
    // The text was printed on the way.
    Ok(Report::new(json, String::new()))
}

/// A new session, or that of a snapshot, whose own settings hold.
fn open(
    given: &Arguments,
    engine: &mut Engine,
    settings: Settings,
    grammar: Option<Grammar>,
) -> Result<Session, Failure> {
    let stack = adapter_files::put(given, engine)?;
    if let Some(grammar) = grammar {
        engine.add_grammar(grammar);
    }
    let Some(path) = given.path("--resume") else {
        let mut session = Session::new(engine, settings)?;
        session.use_stack(engine, stack)?;
        return Ok(session);
    };
    resume::restore(engine, path, stack)
}

/// A prompt as it was given.
enum Prompt<'a> {
    Text(&'a str, EncodeOptions),
    Ids(Vec<u32>),
}

impl<'a> Prompt<'a> {
    fn of(given: &'a Arguments) -> Result<Prompt<'a>, Failure> {
        let options = EncodeOptions {
            // A session that goes on began long ago.
            add_bos: given.path("--resume").map(|_| false),
            parse_special: given.has("--special"),
        };
        match (given.text("--prompt")?, given.ids("--prompt-ids")?) {
            (Some(text), None) => Ok(Prompt::Text(text, options)),
            (None, Some(ids)) => Ok(Prompt::Ids(ids)),
            _ => Err(Failure::usage("give either --prompt or --prompt-ids")),
        }
    }

    fn ids(self, file: &mut PackageFile) -> Result<Vec<u32>, Failure> {
        match self {
            Prompt::Text(text, options) => Ok(file.tokenizer()?.ids(text, options)?),
            Prompt::Ids(ids) => Ok(ids),
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

/// Milliseconds since the first call.
fn clock_ms() -> f64 {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    elapsed_ms(*STARTED.get_or_init(Instant::now))
}

fn elapsed_ms(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1000.0
}
