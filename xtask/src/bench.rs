//! `bench`: builds what is measured (command line, modules, random-weight packages), serves it, and
//! leaves the measuring to `web/test/bench/run.mjs`, which drives native runs and Chromium in
//! interleaved rounds. Nothing here is timed, so nothing here needs to be optimized.

use crate::flags::Given;
use crate::npm_tools::{self, Wanted};
use crate::serve::{Server, Site};
use crate::{TaskResult, chromium, process, wasm, workspace};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// A model: name, and how many tokens are decoded after the prompt. Slow shapes decode fewer.
const MODELS: &[(&str, u32)] = &[
    ("15m-q8_0", 128),
    ("15m-q4_0", 128),
    ("15m-q4_k", 128),
    ("135m-q8_0", 32),
    ("135m-q4_0", 32),
    ("135m-q4_k", 32),
];

/// How many of `MODELS` are of the small shape.
const N_SMALL: usize = 3;

const WASM_ENGINES: &[&str] = &["scalar", "simd128", "relaxed"];

/// The task.
pub fn run(given: &Given) -> TaskResult {
    let quick = given.has("--quick");
    let rounds = given
        .number("--rounds", 1, 100)?
        .unwrap_or(if quick { 1 } else { 3 });
    let folder = workspace::target_dir().join("bench");
    println!("building the command line and the packages");
    let mut build = process::cargo();
    process::run(
        build.args(["build", "--quiet", "--release", "-p", "cultivar-cli"]),
        "build",
    )?;
    write_packages(&folder, quick)?;
    let mut engines = vec!["native"];
    let mut measure = Command::new(npm_tools::node()?);
    if !given.has("--native-only") {
        engines.extend(WASM_ENGINES);
        wasm::build(true, false)?;
        npm_tools::install(Wanted::All)?;
        let mounts = vec![
            ("", workspace::root().join("web")),
            ("packages/", folder.clone()),
        ];
        let server = Server::bind(
            Site {
                mounts,
                isolation: true,
            },
            None,
        )?;
        measure.env("CULTIVAR_URL", server.spawn()?);
        measure.env("CHROMIUM", chromium::find_or_install()?);
        measure.env("CULTIVAR_TOOLS", npm_tools::folder());
    }
    let models = if quick { &MODELS[..N_SMALL] } else { MODELS };
    measure.env(
        "BENCH_PLAN",
        plan(
            models,
            &engines,
            (rounds, quick),
            &folder,
            given.value("--json"),
        ),
    );
    measure.arg(workspace::root().join("web/test/bench/run.mjs"));
    process::run(&mut measure, "bench")
}

fn write_packages(folder: &Path, quick: bool) -> TaskResult {
    let mut write = process::cargo();
    write.args([
        "run",
        "--quiet",
        "--release",
        "-p",
        "xtask",
        "--features",
        "bench",
    ]);
    write.args(["--bin", "bench-packages", "--"]).arg(folder);
    if quick {
        write.arg("--small");
    }
    process::run(&mut write, "writing the packages")
}

/// What run.mjs is to measure, as JSON.
fn plan(
    models: &[(&str, u32)],
    engines: &[&str],
    (rounds, quick): (u32, bool),
    folder: &Path,
    json: Option<&str>,
) -> String {
    let mut out = format!("{{\"rounds\":{rounds},\"quick\":{quick},\"engines\":[");
    out.push_str(
        &engines
            .iter()
            .map(|name| quoted(name))
            .collect::<Vec<_>>()
            .join(","),
    );
    out.push_str("],\"models\":[");
    for (idx, (name, decode)) in models.iter().enumerate() {
        let path = folder.join(format!("{name}.slm"));
        let _ = write!(
            out,
            "{}{{\"name\":{},\"path\":{},\"url\":{},\"decode\":{decode}}}",
            if idx == 0 { "" } else { "," },
            quoted(name),
            quoted(&path.to_string_lossy()),
            quoted(&format!("/packages/{name}.slm")),
        );
    }
    let cli = workspace::target_dir().join("release/cultivar");
    let _ = write!(out, "],\"cli\":{}", quoted(&cli.to_string_lossy()));
    if let Some(file) = json {
        let _ = write!(out, ",\"json\":{}", quoted(file));
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

    #[test]
    fn the_plan_is_json() {
        assert_eq!(quoted("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
        let text = plan(
            &MODELS[..1],
            &["native"],
            (2, false),
            Path::new("packages"),
            Some("out.json"),
        );
        let start = "{\"rounds\":2,\"quick\":false,\"engines\":[\"native\"],\"models\":[{\"name\":";
        assert!(text.starts_with(start), "{text}");
        assert!(text.contains("\"decode\":128}]") && text.ends_with("\"json\":\"out.json\"}"));
    }
}
