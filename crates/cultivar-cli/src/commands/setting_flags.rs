//! Flags that set how tokens are chosen, where an output ends and what is stored: one table for
//! every command that generates text.

use super::{KV_FLAG, kv_format};
use crate::arguments::{Arguments, Flag};
use crate::failure::Failure;
use cultivar_core::json::{self, JsonValue};
use cultivar_core::session::Settings;

/// The flags.
pub const SETTING_FLAGS: &[Flag] = &[
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
];

/// Flags that are settings of the same name, read as JSON where they are that, else as text.
const NAMED: [&str; 13] = [
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

/// A command's own flags with these behind them; `N` is how many that makes.
pub const fn and_settings<const N: usize>(own: &[Flag]) -> [Flag; N] {
    let mut all = [KV_FLAG; N];
    let mut i = 0;
    while i < N {
        all[i] = match i < own.len() {
            true => own[i],
            false => SETTING_FLAGS[i - own.len()],
        };
        i += 1;
    }
    all
}

/// What these flags say; what is out of its range is named.
pub fn settings(given: &Arguments) -> Result<Settings, Failure> {
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
    for flag in NAMED {
        if let Some(text) = given.text(flag)? {
            let value = json::parse_unique(text.as_bytes());
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
