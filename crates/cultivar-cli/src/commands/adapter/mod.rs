//! `cultivar adapter`: looking at adapters, checking them against a base, making new ones.

mod extract;
mod inspect;
mod merge;
mod validate;

pub use merge::write;

use super::Command;
use crate::adapter_files::{ADAPTER_FLAG, EXACT_BASE_FLAG, LICENSE_FLAG};
use crate::arguments::{Arguments, Flag, closest};
use crate::failure::Failure;
use crate::output::Report;
use std::path::Path;

pub const COMMAND: Command = Command {
    name: "adapter",
    summary: "Inspect, validate, merge and extract adapters",
    usage: &[
        "inspect FILE.sla [--json]",
        "validate FILE.sla[=W] --base MODEL.slm [--adapter BELOW.sla[=W] ...] [--json]",
        "merge A.sla[=W] [B.sla[=W] ...] --base MODEL.slm --method M -o OUT.sla [--json]",
        "extract --base MODEL.slm CHILD.slm (--rank R | --density D) -o OUT.sla [--json]",
    ],
    about: "Methods: cat (exact; ranks add up), svd (--rank), blend (two adapters, --alpha,\n\
            --noise) and sum (every element). validate answers with no (exit 1) where the\n\
            adapter is refused, alone or on top of the stack that --adapter gives.",
    flags: &[
        Flag::with("--base", "MODEL.slm", "the base model"),
        ADAPTER_FLAG,
        Flag::with("--method", "cat|svd|blend|sum", "how to merge (cat)"),
        Flag::with("--rank", "R", "components to keep, 1 to 4096"),
        Flag::with("--density", "D", "part of the elements to keep, up to 1"),
        Flag::with(
            "--alpha",
            "A",
            "share of the first adapter of a blend (0.5)",
        ),
        Flag::with(
            "--noise",
            "N",
            "bound of a blend's noise, in parts of the spread (0)",
        ),
        Flag::with(
            "--factors",
            "F",
            "store factors as f32, f16, bf16 or q8_0 (as they come)",
        ),
        Flag::with("--seed", "S", "names noise and sketches, below 2^64 (0)"),
        Flag::with("--name", "TEXT", "name in the metadata (that of the file)"),
        LICENSE_FLAG,
        EXACT_BASE_FLAG,
        Flag {
            name: "--out",
            short: "-o",
            repeats: false,
            value: "OUT.sla",
            help: "where the new adapter goes",
        },
    ],
    run,
};

/// A verb and what does it.
type Verb = (&'static str, fn(&Arguments) -> Result<Report, Failure>);

const VERBS: &[Verb] = &[
    ("inspect", inspect::run),
    ("validate", validate::run),
    ("merge", merge::run),
    ("extract", extract::run),
];

fn run(given: &Arguments) -> Result<Report, Failure> {
    let words = given.files().map_err(|_| {
        Failure::usage("what? Give inspect, validate, merge or extract, then a file")
    })?;
    let verb = words.first().map(|word| word.to_string_lossy());
    let verb = verb.unwrap_or_default();
    let found = VERBS.iter().find(|(name, _)| *name == verb);
    let (_, run) = found.ok_or_else(|| {
        let hint = closest(&verb, VERBS.iter().map(|(name, _)| *name));
        Failure::usage(format!("cannot {verb:?} an adapter{hint}"))
    })?;
    run(given)
}

/// The only file behind the verb.
fn only_file(given: &Arguments) -> Result<&Path, Failure> {
    match given.files()? {
        [_, file] => Ok(Path::new(file)),
        [_, _, second, ..] => Err(Failure::usage(format!(
            "one file is enough: what is {second:?} for?"
        ))),
        _ => Err(Failure::usage("which file? Give its name")),
    }
}

/// The base that `--base` names.
fn base(given: &Arguments) -> Result<&Path, Failure> {
    let base = given.path("--base");
    base.ok_or_else(|| Failure::usage("which base? Give --base MODEL.slm"))
}
