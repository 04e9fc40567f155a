//! Help texts, made from the tables of commands and flags so that they cannot fall behind.

use crate::arguments::Flag;
use crate::commands::{COMMANDS, COMMON_FLAGS, Command};
use std::fmt::Write;

/// Help of the command as a whole.
pub fn overview() -> String {
    let mut text = String::from(
        "Cultivar runs and breeds tiny language models: the same bits here as in the browser.\n\n\
         Usage: cultivar COMMAND [FLAGS] FILE\n\nCommands:\n",
    );
    for command in COMMANDS {
        let _ = writeln!(text, "  {:<12} {}", command.name, command.summary);
    }
    text.push_str(
        "\nEvery command takes --json, and so do --help and --version: exactly one JSON object on\n\
         standard output, messages on standard error. Exit codes: 0 done, 1 the answer is no,\n\
         2 usage, 3 bad input file, 4 out of memory or space, 5 stopped.\n\n\
         cultivar COMMAND --help explains a command; cultivar --version prints the version.\n",
    );
    text
}

/// Help of one command.
pub fn of(command: &Command) -> String {
    let mut text = format!("{}\n\nUsage:\n", command.summary);
    for usage in command.usage {
        let _ = writeln!(text, "  cultivar {} {usage}", command.name);
    }
    if !command.about.is_empty() {
        let _ = writeln!(text, "\n{}", command.about);
    }
    text.push_str("\nFlags:\n");
    for flag in command.flags.iter().chain(COMMON_FLAGS) {
        let _ = writeln!(text, "  {:<24} {}", spelled(flag), flag.help);
    }
    text
}

fn spelled(flag: &Flag) -> String {
    let short = if flag.short.is_empty() {
        String::new()
    } else {
        format!("{}, ", flag.short)
    };
    match flag.value {
        "" => format!("{short}{}", flag.name),
        value => format!("{short}{} {value}", flag.name),
    }
}
