//! Finds the browsers that `test --all-browsers` drives beside Chromium, or installs Debian's:
//! Firefox ESR, and WebKitGTK's small browser with its driver and a display of its own. Never
//! downloads a browser past the system's package manager.

use crate::{TaskError, TaskResult, process};
use std::path::PathBuf;

/// Firefox's program; `FIREFOX` names another one.
pub fn firefox() -> TaskResult<PathBuf> {
    let find = || match std::env::var_os("FIREFOX").filter(|value| !value.is_empty()) {
        Some(path) => Some(PathBuf::from(path)),
        None => ["firefox-esr", "firefox"]
            .iter()
            .find_map(|name| process::find_program(name)),
    };
    if let Some(path) = find() {
        return Ok(path);
    }
    process::apt_install(&["firefox-esr"], "Firefox ESR")?;
    find().ok_or_else(|| TaskError::Usage("Firefox is missing; set FIREFOX to it".into()))
}

/// WebKitGTK's browser program, once its driver and a virtual display are there too.
pub fn webkit() -> TaskResult<PathBuf> {
    let tools = ["WebKitWebDriver", "xvfb-run", "xauth"];
    let has_tools = || {
        tools
            .iter()
            .all(|name| process::find_program(name).is_some())
    };
    if let Some(path) = mini_browser().filter(|_| has_tools()) {
        return Ok(path);
    }
    let packages = ["webkit2gtk-driver", "libwebkit2gtk-4.1-0", "xvfb", "xauth"];
    process::apt_install(&packages, "WebKitGTK")?;
    mini_browser()
        .filter(|_| has_tools())
        .ok_or_else(|| TaskError::Usage("WebKitGTK's MiniBrowser is missing".into()))
}

/// The browser that comes with the library, in the folder of this machine's architecture.
fn mini_browser() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let mut programs = folders.map(|entry| entry.path().join("webkit2gtk-4.1/MiniBrowser"));
    programs.find(|path| process::is_executable(path))
}
