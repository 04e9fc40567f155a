//! `cargo xtask`: everything that is done to this workspace besides compiling it. This file only
//! picks the task; flags are declared in `flags.rs`, each task is one file. Std only, so that a
//! fresh clone starts at once. After matklad's xtask pattern.
#![forbid(unsafe_code)]

mod abi_js;
mod bench;
mod chromium;
mod demo;
mod flags;
mod joined_scripts;
mod lab;
mod lean_script;
mod module_check;
mod npm_tools;
mod other_browsers;
mod process;
mod serve;
mod setup;
mod site;
mod test;
mod tidy;
mod unicode;
mod wasm;
mod wasm_binary;
mod wasm_toolchain;
mod workspace;

use std::process::ExitCode;

/// Why a task did not finish. The exit code tells a script which it was.
#[derive(Debug)]
pub enum TaskError {
    /// The work was done and the answer is no: a test failed, a check found something. Exit 1.
    Failed(String),
    /// The command line is wrong, or a tool is missing that cannot be installed here. Exit 2.
    Usage(String),
}

/// What every task returns.
pub type TaskResult<T = ()> = Result<T, TaskError>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match flags::parse(&args) {
        Ok(flags::Request::Help(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Ok(flags::Request::Run(task, given)) => exit(run(task, &given)),
        Err(error) => exit(Err(error)),
    }
}

fn run(task: &str, given: &flags::Given) -> TaskResult {
    match task {
        "setup" => setup::run(),
        "wasm" => wasm::run(given),
        "lab" => lab::run(given),
        "site" => site::run(given),
        "test" => test::run(given),
        "bench" => bench::run(given),
        "tidy" => tidy::run(given),
        "abi" => abi_js::run(given.has("--check")),
        "unicode" => unicode::run(given.has("--check")),
        _ => Err(TaskError::Usage(format!(
            "{task} is declared in flags.rs but has no task file"
        ))),
    }
}

fn exit(result: TaskResult) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(TaskError::Failed(reason)) => {
            eprintln!("xtask: {reason}");
            ExitCode::from(1)
        }
        Err(TaskError::Usage(reason)) => {
            eprintln!("xtask: {reason}");
            ExitCode::from(2)
        }
    }
}
