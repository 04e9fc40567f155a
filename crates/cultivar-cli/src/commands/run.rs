//! `cultivar run`: a prompt in, text out, token by token; or one JSON report with the run digest.

use super::{BACKEND_FLAG, Command, KV_FLAG, backend, kv_format};
use crate::adapter_files::{self, ADAPTER_FLAG};
use crate::arguments::{Arguments, Flag};
use crate::failure::{Exit, Failure};
use crate::output::{self, Report};
use crate::package_file::PackageFile;
use cultivar_core::json::{self, JsonValue};
use cultivar_core::kv_cache::KvBudget;
use cultivar_core::model::{Engine, EngineOptions};
use cultivar_core::session::{
    LoadTimes, OutputText, RecordOptions, ReportOptions, Session, Settings, Step, record_json,
    report_json,
};
use cultivar_core::tokenizer::{EncodeOptions, Tokenizer};
use std::sync::OnceLock;
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
        ADAPTER_FLAG,
        KV_FLAG,
        Flag::with(
            "--context-len",
            "N",
            "positions to hold (as many as the model has)",
        ),
        Flag::switch("--ignore-stop", "go on past end markers"),
        Flag::with(
            "--min-p",
            "P",
            "drop what is less likely than P times the likeliest (0)",
        ),
        Flag::with(
            "--typical-p",
            "P",
            "keep the P nearest to the expected surprise (1)",
        ),
        Flag::with(
            "--repetition-penalty",
            "R",
            "divide the logits of seen tokens, above 0 to 100 (1)",
        ),
        Flag::with(
            "--frequency-penalty",
            "F",
            "subtract F per time a token was seen (0)",
        ),
        Flag::with(
            "--presence-penalty",
            "F",
            "subtract F if a token was seen (0)",
        ),
        Flag::with(
            "--penalty-window",
            "N",
            "tokens back that penalties look; 0 is all (64)",
        ),
        Flag::with(
            "--logit-bias",
            "JSON",
            "{\"ID\": BIAS, …}, added to the logits",
        ),
        Flag::with("--banned-tokens", "[IDS]", "never choose these tokens"),
        Flag::with("--stop-tokens", "[IDS]", "these end the output too"),
        Flag::with(
            "--stop-strings",
            "TEXT",
            "ends the output and is cut off; several as [\"A\", \"B\"]",
        ),
        Flag::with(
            "--random-stream",
            "session|prompt",
            "count random numbers from here (session)",
        ),
        Flag::with(
            "--context-shift",
            "N",
            "when the context is full, keep the first N tokens and go on",
        ),
        Flag::with(
            "--prompt-lookup",
            "N",
            "verify drafts of N tokens found in the text, to 16; same bits (0)",
        ),
        Flag::with("--kv-budget-mib", "N", "most memory for keys and values"),
        Flag::with("--record", "FILE", "write a record for cultivar replay"),
        Flag::switch(
            "--record-steps",
            "with a digest after each token, to name a first difference",
        ),
        Flag::switch(
            "--redact-prompt",
            "leave the prompt out of the record but for its SHA-256",
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
    ],
    run,
};

fn run(given: &Arguments) -> Result<Report, Failure> {
    let path = given.file()?;
    let settings = settings(given)?;
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
    let ids = prompt.ids(&engine.model.tokenizer)?;
    let stack = adapter_files::put(given, &mut engine)?;
    let mut session = Session::new(&mut engine, settings)?;
    session.use_stack(&mut engine, stack)?;
    session.prompt(&engine, &ids)?;
    let text = generate(&mut session, &mut engine, &ids, !given.has("--json"))?;
    if let Some(path) = given.path("--record") {
        let options = RecordOptions {
            redacts_prompts: given.has("--redact-prompt"),
            has_steps: given.has("--record-steps"),
        };
        let record = record_json(&session, &engine, options) + "\n";
        std::fs::write(path, record).map_err(|error| Failure::writing(path, &error))?;
    }
    let report = ReportOptions {
        text: Some(&*text).filter(|_| !given.has("--without-text")),
        load,
        watts,
    };
    let json = report_json(&session, &engine, report);
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

/// Flags that are settings of the same name, read as JSON where they are that, else as text.
const SETTING_FLAGS: [&str; 13] = [
    "--min-p",
    "--typical-p",
    "--repetition-penalty",
    "--frequency-penalty",
    "--presence-penalty",
    "--penalty-window",
    "--logit-bias",
    "--banned-tokens",
    "--stop-tokens",
    "--stop-strings",
    "--random-stream",
    "--context-shift",
    "--prompt-lookup",
];

fn settings(given: &Arguments) -> Result<Settings, Failure> {
    let mut settings = Settings {
        kv_format: kv_format(given)?,
        ignore_stop: given.has("--ignore-stop"),
        ..Settings::default()
    };
    let sampling = &mut settings.sampling;
    replace(&mut settings.context_len, given.number("--context-len")?);
    replace(&mut settings.max_tokens, given.number("--max-tokens")?);
    replace(&mut sampling.temperature, given.number("--temperature")?);
    replace(&mut sampling.top_k, given.number("--top-k")?);
    replace(&mut sampling.top_p, given.number("--top-p")?);
    replace(&mut sampling.seed, given.number("--seed")?);
    for flag in SETTING_FLAGS {
        if let Some(text) = given.text(flag)? {
            let value = json::parse(text.as_bytes());
            let value = value.unwrap_or_else(|_| JsonValue::String(text.into()));
            settings.set(&flag[2..].replace('-', "_"), &value)?;
        }
    }
    settings.check()?;
    Ok(settings)
}

fn replace<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}

/// Runs to the end and returns the new text, printing it on the way if asked.
fn generate(
    session: &mut Session,
    engine: &mut Engine,
    prompt_ids: &[u32],
    prints: bool,
) -> Result<String, Failure> {
    let output = OutputText::new(&session.settings().stop_strings);
    let mut output = output.ok_or(Failure::new(Exit::OutOfSpace, "out of memory"))?;
    output.begin(&engine.model.tokenizer, prompt_ids);
    let mut text = String::new();
    let mut n_pushed = 0;
    loop {
        let started = Instant::now();
        let step = session.step(engine, engine.max_rows())?;
        session.note_ms(elapsed_ms(started));
        let n_before = text.len();
        for id in session.text_ids().iter().skip(n_pushed) {
            output.push(&engine.model.tokenizer, *id, &mut text);
        }
        n_pushed = session.output_ids().len();
        let is_done = matches!(step, Step::Done(_));
        if is_done {
            output.finish(&mut text);
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

/// Milliseconds since the first call.
fn clock_ms() -> f64 {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    elapsed_ms(*STARTED.get_or_init(Instant::now))
}

fn elapsed_ms(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1000.0
}
