//! Every task, every flag and all help text, in one table. Parsing is strict: what the table does
//! not name is refused, with the name, so a misspelt flag never runs a long task with defaults.

use crate::{TaskError, TaskResult};
use std::fmt::Write;

/// One flag of one task.
struct Flag {
    name: &'static str,
    /// Name of the value in the help text; `None` for a switch.
    value: Option<&'static str>,
    help: &'static str,
}

/// One task: its name, what it does in one line, what a user should know, its flags.
struct Task {
    name: &'static str,
    summary: &'static str,
    details: &'static str,
    flags: &'static [Flag],
}

const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        value: None,
        help,
    }
}

const fn value(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        value: Some(value),
        help,
    }
}

const TASKS: &[Task] = &[
    Task {
        name: "setup",
        summary: "install what the other tasks need; quick when all is there",
        details: "Rust's sources by rustup, else its wasm32 target, else a distribution's sources; \
                  wasm-opt, puppeteer-core and typescript by npm (pinned in xtask/tools); \
                  Chromium by apt. \
                  Installing with apt needs root; without it the command to run is printed.",
        flags: &[],
    },
    Task {
        name: "wasm",
        summary: "build the modules into web/wasm: cultivar, -relaxed, -text, -packer, …",
        details: "Each module is optimized by wasm-opt where npm's binaryen is installed, then \
                  checked: no imports, the exports of the ABI table, kernels without lane-by-lane \
                  loads. The demo is copied to web/demo. CULTIVAR_RUSTC names another rustc (its \
                  cargo beside it) to build with.",
        flags: &[
            switch(
                "--scalar",
                "also build cultivar-scalar.wasm, which only the bench uses",
            ),
            switch(
                "--debug-names",
                "keep function names, for profiles (larger modules)",
            ),
        ],
    },
    Task {
        name: "lab",
        summary: "build the modules and serve the page on 127.0.0.1",
        details: "The first free port from 8080 is taken, and the address printed. Ctrl-C stops.",
        flags: &[
            value("--port", "N", "use this port only"),
            switch("--no-isolation", "leave out the COOP and COEP headers"),
            switch("--open", "open the page in the default browser"),
        ],
    },
    Task {
        name: "site",
        summary: "build the modules and write the folder to publish on a static host",
        details: "The page, the kit, the modules and the demo, without tests; scripts are joined \
                  into a few files, without comments, indentation and needless spaces. It \
                  goes to target/site, which is replaced.",
        flags: &[value(
            "-o",
            "DIR",
            "write here instead; must be new or empty",
        )],
    },
    Task {
        name: "test",
        summary: "set up, then run every check and test; prints a timing summary",
        details: "fmt, clippy, native tests, doc tests, tidy, ABI table, modules, sizes, modules \
                  in Node, page unit tests, kit in TypeScript, page in headless Chromium. Tests \
                  against reference data that is not in this repository need \
                  CULTIVAR_DATA=FOLDER. FIREFOX names another Firefox than Debian's.",
        flags: &[
            switch(
                "--native",
                "only what needs neither wasm, Node nor a browser",
            ),
            switch("--skip-browser", "all but the tests in Chromium"),
            switch(
                "--all-browsers",
                "also the determinism matrix in Firefox ESR and WebKitGTK",
            ),
        ],
    },
    Task {
        name: "bench",
        summary: "speed and memory: native, and the modules in Node and Chromium",
        details: "Random-weight models of four shapes. Rounds interleave what is measured; each \
                  measurement has a fresh process; the table holds medians. Lists are separated \
                  by commas, or \"all\". Phases: roofline, instantiate, load, first, prefill, \
                  decode, memory, chat, forks, constraint, batch, adapters, profile, workers; \
                  docs/performance.md says what each is.",
        flags: &[
            switch("--quick", "small shape only, one round"),
            value("--shapes", "LIST", "15m, 135m, 360m, 600m (15m,135m)"),
            value(
                "--formats",
                "LIST",
                "q8_0, q4_0, q5_0, q4_k (q8_0,q4_0,q4_k)",
            ),
            value("--engines", "LIST", "native, node, chromium (all)"),
            value(
                "--modules",
                "LIST",
                "relaxed, simd128, scalar (relaxed,simd128)",
            ),
            value("--phases", "LIST", "some of those above (all)"),
            value("--repeats", "N", "rounds over all measurements (3)"),
            value(
                "--peers",
                "FOLDER",
                "beside a bench of other runtimes there: docs/performance.md",
            ),
            value("--out", "FILE", "also write every single measurement there"),
        ],
    },
    Task {
        name: "tidy",
        summary: "check sizes, layers, docs, unsafe, imports and traces in the source tree",
        details: "Runs with the tests too. Prints every finding as FILE:LINE: what is wrong.",
        flags: &[switch(
            "--bless",
            "rewrite the source hashes in documents that specify bytes",
        )],
    },
    Task {
        name: "abi",
        summary: "write web/runtime/abi.js from the export table",
        details: "",
        flags: &[switch(
            "--check",
            "change nothing; fail if the file is not fresh",
        )],
    },
    Task {
        name: "unicode",
        summary: "write the tokenizers' Unicode tables from fixtures/unicode",
        details: "",
        flags: &[switch(
            "--check",
            "change nothing; fail if the file is not fresh",
        )],
    },
];

/// What the command line asked for.
pub enum Request {
    /// Print this and stop.
    Help(String),
    /// Run the named task with these flags.
    Run(&'static str, Given),
}

/// The flags that were given, with their values.
#[derive(Default)]
pub struct Given(Vec<(&'static str, String)>);

impl Given {
    /// Whether the flag was given.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(given, _)| *given == name)
    }

    /// The flag's value, if it was given.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(given, _)| *given == name)
            .map(|(_, value)| value.as_str())
    }

    /// The flag's value as a number in `low..=high`; an error that names the flag otherwise.
    pub fn number(&self, name: &str, low: u32, high: u32) -> TaskResult<Option<u32>> {
        let Some(text) = self.value(name) else {
            return Ok(None);
        };
        match text.parse::<u32>() {
            Ok(number) if (low..=high).contains(&number) => Ok(Some(number)),
            _ => Err(TaskError::Usage(format!(
                "{name} must be a number from {low} to {high}, not \"{text}\""
            ))),
        }
    }
}

/// Reads the command line against the table.
pub fn parse(args: &[String]) -> TaskResult<Request> {
    let Some((first, rest)) = args.split_first() else {
        return Ok(Request::Help(overview()));
    };
    if matches!(first.as_str(), "help" | "--help" | "-h") {
        return Ok(Request::Help(overview()));
    }
    let Some(task) = TASKS.iter().find(|task| task.name == first) else {
        return Err(TaskError::Usage(format!(
            "there is no task \"{first}\"; `cargo xtask --help` lists them"
        )));
    };
    let mut given = Given::default();
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        if matches!(word.as_str(), "--help" | "-h") {
            return Ok(Request::Help(task_help(task)));
        }
        let Some(flag) = task.flags.iter().find(|flag| flag.name == word) else {
            return Err(TaskError::Usage(format!(
                "{} has no flag \"{word}\"; `cargo xtask {} --help` lists them",
                task.name, task.name
            )));
        };
        let text = match flag.value {
            None => String::new(),
            Some(what) => words
                .next()
                .cloned()
                .ok_or_else(|| TaskError::Usage(format!("{} needs a value: {what}", flag.name)))?,
        };
        given.0.push((flag.name, text));
    }
    Ok(Request::Run(task.name, given))
}

fn overview() -> String {
    let mut out = String::from("Usage: cargo xtask TASK [FLAGS]\n\nTasks:\n");
    for task in TASKS {
        let _ = writeln!(out, "  {:<7} {}", task.name, task.summary);
    }
    out.push_str("\nFlags of a task: cargo xtask TASK --help\n");
    out.push_str("Exit codes: 0 done, 1 a check failed, 2 wrong usage or a missing tool\n");
    out
}

fn task_help(task: &Task) -> String {
    let mut out = format!("cargo xtask {}: {}\n", task.name, task.summary);
    if !task.details.is_empty() {
        let _ = write!(out, "\n{}", wrap(task.details, 88));
    }
    if !task.flags.is_empty() {
        out.push_str("\nFlags:\n");
        for flag in task.flags {
            let shown = match flag.value {
                None => flag.name.to_string(),
                Some(value) => format!("{} {value}", flag.name),
            };
            let _ = writeln!(out, "  {shown:<16} {}", flag.help);
        }
    }
    out
}

/// Breaks text at spaces so that no line is longer than `columns`, unless one word is.
fn wrap(text: &str, columns: usize) -> String {
    let mut out = String::new();
    let mut line_len = 0;
    for word in text.split_whitespace() {
        if line_len > 0 && line_len + 1 + word.len() > columns {
            out.push('\n');
            line_len = 0;
        } else if line_len > 0 {
            out.push(' ');
            line_len += 1;
        }
        out.push_str(word);
        line_len += word.len();
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(String::from).collect()
    }

    fn refused(line: &str) -> String {
        match parse(&words(line)) {
            Err(TaskError::Usage(reason)) => reason,
            _ => String::from("accepted"),
        }
    }

    #[test]
    fn only_what_the_table_names_is_accepted() {
        assert!(refused("brew").contains("\"brew\""));
        assert!(refused("lab --prot 1").contains("\"--prot\""));
        assert!(refused("lab --port").contains("needs a value"));
        assert!(refused("tidy extra").contains("\"extra\""));
    }

    #[test]
    fn values_and_switches_are_read() {
        let Ok(Request::Run("lab", given)) = parse(&words("lab --port 9000 --open")) else {
            unreachable!("a valid line is accepted")
        };
        assert_eq!(given.number("--port", 1, 65535).ok().flatten(), Some(9000));
        assert!(given.has("--open") && !given.has("--no-isolation"));
        assert!(given.number("--port", 1, 80).is_err());
    }

    #[test]
    fn every_task_has_help() {
        for task in TASKS {
            let Ok(Request::Help(text)) = parse(&[task.name.into(), "--help".into()]) else {
                unreachable!("--help is accepted by every task")
            };
            assert!(
                task.flags.iter().all(|flag| text.contains(flag.name)),
                "{}",
                task.name
            );
            assert!(text.lines().all(|line| line.len() <= 100), "{text}");
        }
    }
}
