//! Finds the Chromium that tests and benches drive, or installs Debian's. `CHROMIUM` names another
//! one. Never downloads a browser past the system's package manager.

use crate::{TaskError, TaskResult, process};
use std::path::PathBuf;

const NAMES: &[&str] = &[
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
    "chrome",
];

/// The browser's program, if there is one.
pub fn find() -> Option<PathBuf> {
    match std::env::var_os("CHROMIUM").filter(|value| !value.is_empty()) {
        Some(path) => Some(PathBuf::from(path)),
        None => NAMES.iter().find_map(|name| process::find_program(name)),
    }
}

/// The browser's program, installed if need be.
pub fn find_or_install() -> TaskResult<PathBuf> {
    if let Some(path) = find() {
        if process::is_executable(&path) {
            return Ok(path);
        }
        return Err(TaskError::Usage(format!(
            "CHROMIUM={} cannot be run",
            path.display()
        )));
    }
    process::apt_install(&["chromium"], "Chromium")?;
    find().ok_or_else(|| TaskError::Usage("Chromium is missing; set CHROMIUM to it".into()))
}
