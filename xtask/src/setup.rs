//! `setup`: everything the other tasks install when they need it, at once. A second call finds all
//! of it and changes nothing.

use crate::npm_tools::Wanted;
use crate::{TaskResult, chromium, npm_tools, process, wasm_toolchain};
use std::process::Command;

/// Installs what is missing and says what is there.
pub fn run() -> TaskResult {
    let toolchain = wasm_toolchain::find_or_install()?;
    println!("wasm      {}", toolchain.describe());
    let node = npm_tools::node()?;
    npm_tools::install(Wanted::All)?;
    let version = process::output(Command::new(&node).arg("--version"), "node")?;
    println!("node      {} at {}", version.trim(), node.display());
    println!("wasm-opt  puppeteer-core and typescript in xtask/tools");
    let browser = chromium::find_or_install()?;
    let version = process::output(Command::new(&browser).arg("--version"), "Chromium")?;
    println!("chromium  {} at {}", version.trim(), browser.display());
    Ok(())
}
