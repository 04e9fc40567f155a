//! The table of subcommands: one row and one file each.

mod adapter;
mod bake;
mod chat;
mod detokenize;
mod export;
mod generate;
mod import;
mod import_adapter;
mod inspect;
mod logits;
mod recording;
mod replay;
mod resume;
mod run;
mod setting_flags;
mod tokenize;
mod unbake;
mod verify;

use crate::arguments::{Arguments, Flag};
use crate::failure::Failure;
use crate::output::Report;
use cultivar_core::kernels::Backend;
use cultivar_core::kv_cache::KvFormat;

/// A subcommand.
pub struct Command {
    /// Its name on the command line.
    pub name: &'static str,
    /// One line of help.
    pub summary: &'static str,
    /// What follows the name, one line per form.
    pub usage: &'static [&'static str],
    /// What else is good to know; may be empty.
    pub about: &'static str,
    /// Its flags, without the common ones.
    pub flags: &'static [Flag],
    /// What it does.
    pub run: fn(&Arguments) -> Result<Report, Failure>,
}

/// Every subcommand, in the order of help.
pub const COMMANDS: &[Command] = &[
    import::COMMAND,
    export::COMMAND,
    inspect::COMMAND,
    verify::COMMAND,
    run::COMMAND,
    chat::COMMAND,
    replay::COMMAND,
    logits::COMMAND,
    tokenize::COMMAND,
    detokenize::COMMAND,
    adapter::COMMAND,
    bake::COMMAND,
    unbake::COMMAND,
];

/// Flags of every subcommand.
pub const COMMON_FLAGS: &[Flag] = &[
    Flag::switch("--json", "print exactly one JSON object"),
    Flag {
        name: "--help",
        short: "-h",
        repeats: false,
        value: "",
        help: "print this help",
    },
];

/// How keys and values are stored.
const KV_FLAG: Flag = Flag::with("--kv", "f32|f16|q8", "storage of keys and values (f32)");

/// Which kernels compute.
const BACKEND_FLAG: Flag = Flag::with(
    "--backend",
    "fast|scalar",
    "kernels; both give the same bits (fast)",
);

fn kv_format(given: &Arguments) -> Result<KvFormat, Failure> {
    let format = given.choice("--kv", "f32, f16, q8", KvFormat::by_name)?;
    Ok(format.unwrap_or(KvFormat::F32))
}

fn backend(given: &Arguments) -> Result<Backend, Failure> {
    let backend = given.choice("--backend", "fast, scalar", |name| match name {
        "fast" => Some(Backend::Fast),
        "scalar" => Some(Backend::Scalar),
        _ => None,
    })?;
    Ok(backend.unwrap_or(Backend::Fast))
}

/// Bytes with a unit that people read.
fn human_bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB"];
    let mut value = bytes as f64 / 1024.0;
    if value < 1.0 {
        return format!("{bytes} B");
    }
    let mut unit_idx = 0;
    while value >= 1024.0 && unit_idx + 1 < units.len() {
        value /= 1024.0;
        unit_idx += 1;
    }
    format!("{value:.1} {}", units.get(unit_idx).unwrap_or(&""))
}
