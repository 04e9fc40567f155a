//! The command `cultivar`: arguments and files around the same crates that the page runs.
//!
//! Its contract (flags, JSON fields, exit codes) is what scripts rely on: it is added to, never
//! changed. No engine code lives here. One file per subcommand, listed in one table.
#![forbid(unsafe_code)]

mod adapter_files;
mod arguments;
mod commands;
mod constraint_flag;
mod failure;
mod help;
mod output;
mod package_file;
mod part_file;
mod tokenizer_file;

use arguments::{Arguments, closest};
use commands::{COMMANDS, Command};
use failure::Failure;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut given: Vec<OsString> = std::env::args_os().skip(1).collect();
    let wants_json = given
        .iter()
        .take_while(|word| *word != "--")
        .any(|word| word == "--json");
    if given.len() > 1 && given[0] == "--json" {
        // It may stand before the command too.
        given.swap(0, 1);
    }
    let failure = match perform(&given, wants_json) {
        Ok(is_no) => return ExitCode::from(u8::from(is_no)),
        Err(failure) => failure,
    };
    output::note(&format!("cultivar: {}", failure.message));
    if wants_json {
        // The exit code says what happened, even where nobody reads.
        let _ = output::print(&(output::failure_json(&failure) + "\n"));
    }
    ExitCode::from(failure.exit as u8)
}

/// Runs the command line; true if its answer is no.
fn perform(given: &[OsString], wants_json: bool) -> Result<bool, Failure> {
    let help_schema = wants_json.then_some("cultivar.help.v1");
    let print_help = |text: &str| output::print_text(text, help_schema).map(|()| false);
    let Some((first, rest)) = given.split_first() else {
        output::note(&help::overview());
        return Err(Failure::usage("which command? Try cultivar --help"));
    };
    match first.to_string_lossy().as_ref() {
        "--help" | "-h" => return print_help(&help::overview()),
        "--version" | "-V" => {
            return print_version(wants_json).map(|()| false);
        }
        "help" => {
            let text = match rest.iter().find(|word| *word != "--json") {
                Some(name) => help::of(find(&name.to_string_lossy())?),
                None => help::overview(),
            };
            return print_help(&text);
        }
        _ => {}
    }
    let command = find(&first.to_string_lossy())?;
    let given = Arguments::parse(rest, &[command.flags, commands::COMMON_FLAGS]);
    let hint = |mut failure: Failure| {
        if failure.exit == failure::Exit::Usage {
            failure.message += &format!(" (see cultivar {} --help)", command.name);
        }
        failure
    };
    let given = given.map_err(hint)?;
    if given.has("--help") {
        return print_help(&help::of(command));
    }
    let report = (command.run)(&given).map_err(hint)?;
    let text = if given.has("--json") {
        report.json + "\n"
    } else {
        report.text
    };
    output::print(&text)?;
    Ok(report.is_no)
}

/// The version as a line, or as an object with the number alone beside it.
fn print_version(wants_json: bool) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if !wants_json {
        return output::print(&format!("cultivar {version}\n"));
    }
    let fields = [("schema", "cultivar.version.v1"), ("version", version)];
    output::print(&(output::object(&fields) + "\n"))
}

fn find(name: &str) -> Result<&'static Command, Failure> {
    if let Some(command) = COMMANDS.iter().find(|command| command.name == name) {
        return Ok(command);
    }
    let hint = closest(name, COMMANDS.iter().map(|command| command.name));
    Err(Failure::usage(format!(
        "there is no command {name}{hint} (see cultivar --help)"
    )))
}
