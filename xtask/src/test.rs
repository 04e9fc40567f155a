//! `test`: everything that must hold, in one command, from a fresh clone.
//!
//! How the tests outside cargo are called, for whoever writes one:
//! - `web/test/runtime/*.test.mjs` (kit and modules, in Node): `node --test`, with the flags
//!   that this Node needs to run relaxed SIMD exactly. The modules lie in `web/wasm`.
//! - `web/test/lab/**/*.test.mjs` (page without a browser) and `web/test/bench/*.test.mjs` (the
//!   bench's table): `node --test`.
//! - `web/test/runtime/kit-types.ts`: the TypeScript compiler, which runs nothing.
//! - `web/test/browser/*.test.mjs` (page in headless Chromium): `node --test`, one file at a time,
//!   with these variables: `CULTIVAR_URL` the address of the site, served with isolation headers
//!   and ending in `/`; `CHROMIUM` the browser's program; `CULTIVAR_TOOLS` the folder that holds
//!   `node_modules`, so that
//!   `createRequire(process.env.CULTIVAR_TOOLS + "/")("puppeteer-core")` finds it.
//!   Beside the site, the server has `web/` as `sources/`, with `fixtures/` in it and, with
//!   CULTIVAR_DATA, `data/`.
//! - `web/test/all-browsers/*.test.mjs`, with `--all-browsers`: the same server, `FIREFOX` and
//!   `WEBKIT` the other browsers' programs; also what takes Chromium long.
//! - `CULTIVAR_DATA`, if set, is an absolute path in all of them.

use crate::flags::Given;
use crate::npm_tools::{self, Wanted};
use crate::serve::{Server, Site};
use crate::{TaskError, TaskResult};
use crate::{
    abi_js, chromium, other_browsers, process, site, tidy, unicode, wasm, wasm_toolchain, workspace,
};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// What a module may weigh, in bytes after gzip.
const MODULE_GZIP_MAX: u64 = 160 * 1024;
/// What a compiler's own library adds where there are no sources of it: the texts of panics, and
/// forms for speed that nobody asked for.
const OWN_LIBRARY_GZIP: u64 = 20 * 1024;
/// What all scripts of the site, page and kit, may weigh, in bytes after gzip.
const SCRIPTS_GZIP_MAX: u64 = 60 * 1024;

/// One step: its name and what it does.
struct Stage {
    name: &'static str,
    run: fn(&Setting) -> TaskResult,
    /// Without this step the later ones make no sense.
    needed: bool,
}

const NATIVE: &[Stage] = &[
    Stage {
        name: "format",
        run: format,
        needed: false,
    },
    Stage {
        name: "clippy",
        run: clippy,
        needed: false,
    },
    Stage {
        name: "native tests",
        run: native_tests,
        needed: false,
    },
    Stage {
        name: "doc tests",
        run: doc_tests,
        needed: false,
    },
    Stage {
        name: "tidy",
        run: |_| tidy::check_all(),
        needed: false,
    },
    Stage {
        name: "ABI table",
        run: |_| abi_js::run(true),
        needed: false,
    },
    Stage {
        name: "Unicode tables",
        run: |_| unicode::run(true),
        needed: false,
    },
];

const WASM: &[Stage] = &[
    Stage {
        name: "modules",
        run: |_| wasm::build(false, false),
        needed: true,
    },
    Stage {
        name: "clippy for wasm",
        run: clippy_wasm,
        needed: false,
    },
    Stage {
        name: "sizes",
        run: sizes,
        needed: false,
    },
    Stage {
        name: "modules in Node",
        run: module_tests,
        needed: false,
    },
    Stage {
        name: "page in Node",
        run: page_tests,
        needed: false,
    },
    Stage {
        name: "kit in TypeScript",
        run: kit_types,
        needed: false,
    },
];

const BROWSER: &[Stage] = &[Stage {
    name: "page in Chromium",
    run: browser_tests,
    needed: false,
}];

const OTHER_BROWSERS: &[Stage] = &[Stage {
    name: "other browsers",
    run: other_browser_tests,
    needed: false,
}];

/// What all stages share.
struct Setting {
    /// Absolute folder of the reference data, if given.
    data: Option<PathBuf>,
}

impl Setting {
    fn apply<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        match &self.data {
            Some(data) => command.env("CULTIVAR_DATA", data),
            None => command.env_remove("CULTIVAR_DATA"),
        }
    }
}

/// The task.
pub fn run(given: &Given) -> TaskResult {
    let setting = Setting {
        data: data_folder()?,
    };
    if setting.data.is_none() {
        println!("CULTIVAR_DATA is not set: tests against outside reference data skip themselves");
    }
    let (native, browser) = (given.has("--native"), given.has("--skip-browser"));
    let mut stages: Vec<&Stage> = NATIVE.iter().collect();
    let start = Instant::now();
    if !native {
        stages.extend(WASM);
        wasm_toolchain::find_or_install()?;
        npm_tools::install(Wanted::All)?;
    }
    if !native && !browser {
        stages.extend(BROWSER);
        chromium::find_or_install()?;
    }
    if given.has("--all-browsers") {
        if native || browser {
            let reason = "--all-browsers does not go with --native or --skip-browser";
            return Err(TaskError::Usage(reason.into()));
        }
        stages.extend(OTHER_BROWSERS);
        other_browsers::firefox()?;
        other_browsers::webkit()?;
    }
    let mut times = vec![("setup", start.elapsed(), "")];
    let failures = run_stages(&stages, &setting, &mut times)?;
    println!("\n{:<18} {:>8}", "step", "seconds");
    for (name, time, verdict) in times {
        println!("{name:<18} {:>8.1}  {verdict}", time.as_secs_f64());
    }
    println!("{:<18} {:>8.1}", "all", start.elapsed().as_secs_f64());
    match failures.is_empty() {
        true => Ok(()),
        false => Err(TaskError::Failed(format!(
            "failed: {}",
            failures.join(", ")
        ))),
    }
}

type Times = Vec<(&'static str, std::time::Duration, &'static str)>;

/// Runs the stages in order; a failure is told and the next stage runs, so that one run shows all
/// that is wrong. A missing tool ends the run.
fn run_stages(
    stages: &[&Stage],
    setting: &Setting,
    times: &mut Times,
) -> TaskResult<Vec<&'static str>> {
    let mut failures = Vec::new();
    for stage in stages {
        println!("\n== {}", stage.name);
        let start = Instant::now();
        let result = (stage.run)(setting);
        times.push((
            stage.name,
            start.elapsed(),
            if result.is_ok() { "" } else { "FAILED" },
        ));
        match result {
            Ok(()) => {}
            Err(TaskError::Usage(reason)) => return Err(TaskError::Usage(reason)),
            Err(TaskError::Failed(reason)) => {
                eprintln!("{}: {reason}", stage.name);
                failures.push(stage.name);
                if stage.needed {
                    break;
                }
            }
        }
    }
    Ok(failures)
}

/// `CULTIVAR_DATA` as an absolute path: cargo starts each test in its own crate's folder.
fn data_folder() -> TaskResult<Option<PathBuf>> {
    let Some(given) = std::env::var_os("CULTIVAR_DATA").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    std::fs::canonicalize(&given).map(Some).map_err(|error| {
        let shown = Path::new(&given).display();
        TaskError::Usage(format!("CULTIVAR_DATA={shown} cannot be read: {error}"))
    })
}

fn format(_: &Setting) -> TaskResult {
    process::run(
        process::cargo().args(["fmt", "--all", "--check"]),
        "cargo fmt --check",
    )
}

fn clippy(_: &Setting) -> TaskResult {
    let mut command = process::cargo();
    command.args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--all-features",
    ]);
    process::run(command.args(["--", "-D", "warnings"]), "cargo clippy")
}

/// Code for wasm alone is invisible to the native run. A distribution's compiler may come without
/// clippy; then the modules' build is the check.
fn clippy_wasm(_: &Setting) -> TaskResult {
    let toolchain = wasm_toolchain::find_or_install()?;
    let Some(mut command) = toolchain.clippy("+simd128,+relaxed-simd") else {
        println!("this compiler has no clippy; the code for wasm was only compiled");
        return Ok(());
    };
    command.args(["--quiet", "-p", "cultivar-wasm", "--target-dir"]);
    command.arg(workspace::target_dir().join("wasm-clippy"));
    process::run(
        command.args(["--", "-D", "warnings"]),
        "cargo clippy for wasm",
    )
}

fn native_tests(setting: &Setting) -> TaskResult {
    let mut command = process::cargo();
    if process::find_program("cargo-nextest").is_some() {
        command.args([
            "nextest",
            "run",
            "--workspace",
            "--no-fail-fast",
            "--status-level",
            "slow",
        ]);
    } else {
        command.args([
            "test",
            "--quiet",
            "--workspace",
            "--lib",
            "--bins",
            "--tests",
        ]);
    }
    process::run(setting.apply(&mut command), "native tests")
}

fn doc_tests(setting: &Setting) -> TaskResult {
    let mut command = process::cargo();
    command.args(["test", "--quiet", "--workspace", "--doc"]);
    process::run(setting.apply(&mut command), "doc tests")
}

/// What a visitor downloads stays small: each module, and page and kit scripts together.
fn sizes(_: &Setting) -> TaskResult {
    let root = workspace::root();
    let missing = || TaskError::Usage("gzip is missing; run: apt-get install gzip".into());
    let mut wrong = Vec::new();
    let is_smallest = wasm_toolchain::find().is_some_and(|found| found.makes_smallest());
    let most = match is_smallest {
        true => MODULE_GZIP_MAX,
        false => MODULE_GZIP_MAX + OWN_LIBRARY_GZIP,
    };
    for file in wasm::SHIPPED {
        let len = wasm::gzip_len(&wasm::folder().join(file)).ok_or_else(missing)?;
        println!("{file}: {} gzip", wasm::kib(len));
        if len > most {
            wrong.push(format!("{file} is above {}", wasm::kib(most)));
        }
    }
    let mut sum = 0;
    for (_, text) in site::scripts(&root.join("web"))? {
        sum += wasm::gzip_bytes_len(text.as_bytes()).ok_or_else(missing)?;
    }
    println!("page and kit scripts of the site: {} gzip", wasm::kib(sum));
    if sum > SCRIPTS_GZIP_MAX {
        wrong.push(format!(
            "page and kit scripts are above {}",
            wasm::kib(SCRIPTS_GZIP_MAX)
        ));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(TaskError::Failed(wrong.join("; ")))
    }
}

fn module_tests(setting: &Setting) -> TaskResult {
    let node = npm_tools::node()?;
    let mut command = Command::new(&node);
    command.args(npm_tools::relaxed_flags(&node));
    node_tests(setting.apply(&mut command), "web/test/runtime/")
}

fn page_tests(setting: &Setting) -> TaskResult {
    for folder in ["web/test/lab/", "web/test/bench/"] {
        let mut command = Command::new(npm_tools::node()?);
        node_tests(setting.apply(&mut command), folder)?;
    }
    Ok(())
}

/// The kit's declarations, by a consumer that uses all of them.
fn kit_types(_: &Setting) -> TaskResult {
    let mut command = Command::new(npm_tools::node()?);
    command.current_dir(workspace::root());
    command
        .arg(npm_tools::typescript())
        .args(["--noEmit", "--strict"]);
    command.args(["--target", "es2022", "--lib", "es2022,dom,dom.iterable"]);
    command.args(["--module", "nodenext", "web/test/runtime/kit-types.ts"]);
    process::run(&mut command, "tsc")
}

fn browser_tests(setting: &Setting) -> TaskResult {
    let mut command = browser_command(setting)?;
    command.env("CHROMIUM", chromium::find_or_install()?);
    node_tests(setting.apply(&mut command), "web/test/browser/")
}

fn other_browser_tests(setting: &Setting) -> TaskResult {
    let mut command = browser_command(setting)?;
    command.env("CHROMIUM", chromium::find_or_install()?);
    command.env("FIREFOX", other_browsers::firefox()?);
    command.env("WEBKIT", other_browsers::webkit()?);
    node_tests(setting.apply(&mut command), "web/test/all-browsers/")
}

/// Node with the site served as it is published; sources, fixtures and reference data beside it.
fn browser_command(setting: &Setting) -> TaskResult<Command> {
    let root = workspace::root();
    let folder = workspace::target_dir().join("tested-site");
    if folder.exists() {
        let gone = std::fs::remove_dir_all(&folder);
        gone.map_err(|error| TaskError::Failed(format!("{}: {error}", folder.display())))?;
    }
    site::write_to(&folder)?;
    let mut mounts = vec![("", folder), ("sources/", root.join("web"))];
    mounts.push(("sources/fixtures/", root.join("fixtures")));
    mounts.extend(setting.data.clone().map(|data| ("sources/data/", data)));
    let site = Site {
        mounts,
        isolation: true,
    };
    let mut command = Command::new(npm_tools::node()?);
    command.env("CULTIVAR_URL", Server::bind(site, None)?.spawn()?);
    command.env("CULTIVAR_TOOLS", npm_tools::folder());
    // One browser at a time: two would share the cores and make each other late.
    command.arg("--test-concurrency=1");
    Ok(command)
}

/// Runs every `*.test.mjs` below the folder; none at all is a failure, not a pass.
fn node_tests(command: &mut Command, folder: &str) -> TaskResult {
    let root = workspace::root();
    let files: Vec<String> = workspace::files(&root)
        .into_iter()
        .filter(|path| path.starts_with(folder) && path.ends_with(".test.mjs"))
        .collect();
    if files.is_empty() {
        return Err(TaskError::Failed(format!("there is no test in {folder}")));
    }
    command
        .current_dir(&root)
        .args(["--test", "--test-reporter=spec"])
        .args(files);
    process::run(command, folder)
}
