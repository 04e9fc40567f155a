//! `bench`: builds what is measured (command line, modules, random-weight packages), serves it, and
//! leaves the measuring to `web/test/bench/run.mjs`, which drives native runs, Node and Chromium in
//! interleaved rounds. Nothing here is timed, so nothing here needs to be optimized.

use crate::flags::Given;
use crate::npm_tools::{self, Wanted};
use crate::serve::{Server, Site};
use crate::{TaskError, TaskResult, chromium, process, wasm, workspace};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const SHAPES: &[&str] = &["15m", "135m", "360m", "600m"];
const FORMATS: &[&str] = &["q8_0", "q4_0", "q5_0", "q4_k"];
const ENGINES: &[&str] = &["native", "node", "chromium"];
const MODULES: &[&str] = &["relaxed", "simd128", "scalar"];

/// What can be measured, in the order in which it is.
const PHASES: &[&str] = &[
    "roofline",
    "instantiate",
    "load",
    "first",
    "prefill",
    "decode",
    "memory",
    "chat",
    "forks",
    "constraint",
    "batch",
    "adapters",
    "profile",
    "workers",
];

/// What was asked for, each list without doubles and in the order of its table.
struct Choice {
    shapes: Vec<&'static str>,
    formats: Vec<&'static str>,
    engines: Vec<&'static str>,
    modules: Vec<&'static str>,
    phases: Vec<&'static str>,
    repeats: u32,
    out: Option<String>,
    peers: Option<String>,
}

impl Choice {
    fn of(given: &Given) -> TaskResult<Self> {
        let quick = given.has("--quick");
        let small = |all, few| if quick { few } else { all };
        Ok(Self {
            shapes: names(given, "--shapes", SHAPES, small("15m,135m", "15m"))?,
            formats: names(given, "--formats", FORMATS, "q8_0,q4_0,q4_k")?,
            engines: names(given, "--engines", ENGINES, "native,node,chromium")?,
            modules: names(given, "--modules", MODULES, "relaxed,simd128")?,
            phases: names(given, "--phases", PHASES, "all")?,
            repeats: given
                .number("--repeats", 1, 100)?
                .unwrap_or(if quick { 1 } else { 3 }),
            out: given.value("--out").map(String::from),
            peers: peers(given)?,
        })
    }

    fn has_wasm(&self) -> bool {
        self.peers.is_some() || self.engines.iter().any(|engine| *engine != "native")
    }
}

/// The folder of `--peers`, whole, since their bench runs in it.
fn peers(given: &Given) -> TaskResult<Option<String>> {
    let Some(folder) = given.value("--peers") else {
        return Ok(None);
    };
    let missing = |error| TaskError::Usage(format!("--peers {folder}: {error}"));
    let whole = Path::new(folder).canonicalize().map_err(missing)?;
    Ok(Some(whole.to_string_lossy().into_owned()))
}

/// The names in a flag's list, separated by commas; "all" is all of them.
fn names(
    given: &Given,
    flag: &str,
    known: &'static [&'static str],
    default: &str,
) -> TaskResult<Vec<&'static str>> {
    let text = given.value(flag).unwrap_or(default);
    if text == "all" {
        return Ok(known.to_vec());
    }
    for word in text.split(',') {
        if !known.contains(&word) {
            let all = known.join(", ");
            return Err(TaskError::Usage(format!(
                "{flag} knows {all} and all, not \"{word}\""
            )));
        }
    }
    let is_given = |name: &&&str| text.split(',').any(|word| word == **name);
    Ok(known.iter().filter(is_given).copied().collect())
}

/// The task.
pub fn run(given: &Given) -> TaskResult {
    let choice = Choice::of(given)?;
    let folder = workspace::target_dir().join("bench");
    println!("building the command line and the packages");
    let mut build = process::cargo();
    process::run(
        build.args(["build", "--quiet", "--release", "-p", "cultivar-cli"]),
        "build",
    )?;
    write_packages(&folder, &choice)?;
    let node = npm_tools::node()?;
    let mut measure = Command::new(&node);
    if choice.has_wasm() {
        wasm::build(choice.modules.contains(&"scalar"), false)?;
        npm_tools::install(Wanted::All)?;
        let mounts = vec![
            ("", workspace::root().join("web")),
            ("packages/", folder.clone()),
        ];
        let site = Site {
            mounts,
            isolation: true,
        };
        let server = Server::bind(site, None)?;
        measure.env("CULTIVAR_URL", server.spawn()?);
        measure.env("CULTIVAR_TOOLS", npm_tools::folder());
        measure.env(
            "CULTIVAR_NODE_FLAGS",
            npm_tools::relaxed_flags(&node).join(" "),
        );
        if choice.engines.contains(&"chromium") || choice.peers.is_some() {
            measure.env("CHROMIUM", chromium::find_or_install()?);
        }
    }
    measure.env("BENCH_PLAN", plan(&choice, &folder));
    measure.arg(workspace::root().join("web/test/bench/run.mjs"));
    process::run(&mut measure, "bench")
}

fn package(folder: &Path, shape: &str, format: &str) -> PathBuf {
    folder.join(format!("{shape}-{format}.slm"))
}

/// The adapter of a shape, whatever the format of its weights.
fn adapter(folder: &Path, shape: &str) -> PathBuf {
    folder.join(format!("{shape}-rank16.sla"))
}

fn write_packages(folder: &Path, choice: &Choice) -> TaskResult {
    let mut write = process::cargo();
    write.args(["run", "--quiet", "--release", "-p", "xtask"]);
    write.args(["--features", "bench", "--bin", "bench-packages", "--"]);
    for shape in &choice.shapes {
        for format in &choice.formats {
            write.arg(package(folder, shape, format));
        }
        write.arg(adapter(folder, shape));
    }
    write.arg(folder.join("constraint.table"));
    process::run(&mut write, "writing the packages")
}

/// What run.mjs is to measure, as JSON.
fn plan(choice: &Choice, folder: &Path) -> String {
    let mut out = format!("{{\"repeats\":{}", choice.repeats);
    for (key, list) in [
        ("engines", &choice.engines),
        ("modules", &choice.modules),
        ("phases", &choice.phases),
    ] {
        let quoted: Vec<_> = list.iter().map(|name| quoted(name)).collect();
        let _ = write!(out, ",\"{key}\":[{}]", quoted.join(","));
    }
    let mut cases = Vec::new();
    for shape in &choice.shapes {
        for format in &choice.formats {
            let path = package(folder, shape, format);
            cases.push(format!(
                "{{\"shape\":\"{shape}\",\"format\":\"{format}\",\"path\":{},\"adapter\":{}}}",
                quoted(&path.to_string_lossy()),
                quoted(&adapter(folder, shape).to_string_lossy())
            ));
        }
    }
    let _ = write!(out, ",\"cases\":[{}]", cases.join(","));
    let cli = workspace::target_dir().join("release/cultivar");
    let _ = write!(out, ",\"cli\":{}", quoted(&cli.to_string_lossy()));
    for (key, value) in [("out", &choice.out), ("peers", &choice.peers)] {
        if let Some(text) = value {
            let _ = write!(out, ",\"{key}\":{}", quoted(text));
        }
    }
    out.push('}');
    out
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", control as u32);
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{Request, parse};

    fn choice(line: &str) -> TaskResult<Choice> {
        let words: Vec<String> = line.split_whitespace().map(String::from).collect();
        let Ok(Request::Run("bench", given)) = parse(&words) else {
            unreachable!("a valid line is accepted: {line}")
        };
        Choice::of(&given)
    }

    #[test]
    fn the_plan_is_json() {
        assert_eq!(quoted("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
        let line = "bench --shapes 600m --formats q4_k,q8_0 --engines native --repeats 2 --out o";
        let text = plan(&choice(line).ok().unwrap(), Path::new("packages"));
        let start = "{\"repeats\":2,\"engines\":[\"native\"],\"modules\":[\"relaxed\",";
        assert!(text.starts_with(start), "{text}");
        let case = "{\"shape\":\"600m\",\"format\":\"q8_0\",\"path\":";
        assert!(text.contains(case) && text.ends_with(",\"out\":\"o\"}"));
    }

    #[test]
    fn lists_keep_the_order_of_their_table_and_refuse_strangers() {
        let phases = choice("bench --phases decode,load").ok().unwrap().phases;
        assert_eq!(phases, ["load", "decode"]);
        assert_eq!(choice("bench --phases all").ok().unwrap().phases, PHASES);
        let Err(TaskError::Usage(reason)) = choice("bench --formats q9_9") else {
            unreachable!("an unknown format is refused")
        };
        assert!(reason.contains("--formats") && reason.contains("\"q9_9\""));
    }
}
