//! Node and the npm packages pinned in `xtask/tools`: binaryen (its wasm-opt reads the relaxed SIMD
//! opcodes that distributions' older ones refuse), puppeteer-core (drives Chromium in tests) and
//! typescript (checks the kit's declarations). Nothing of them ships.

use crate::{TaskError, TaskResult, process, workspace};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which packages a task needs.
#[derive(Clone, Copy, PartialEq)]
pub enum Wanted {
    /// wasm-opt alone.
    Optimizer,
    /// wasm-opt, what drives the browser, and the TypeScript compiler.
    All,
}

/// Folder that holds the pinned package list and, installed, `node_modules`.
pub fn folder() -> PathBuf {
    workspace::root().join("xtask/tools")
}

/// wasm-opt's script, if installed; run it with [`node`].
pub fn wasm_opt() -> Option<PathBuf> {
    let script = folder().join("node_modules/binaryen/bin/wasm-opt");
    script.is_file().then_some(script)
}

/// The TypeScript compiler's script; run it with [`node`].
pub fn typescript() -> PathBuf {
    folder().join("node_modules/typescript/bin/tsc")
}

/// Node, or one line that says how to get it.
pub fn node() -> TaskResult<PathBuf> {
    process::find_program("node").ok_or_else(|| {
        TaskError::Usage("Node 20 or later is missing; run: apt-get install nodejs npm".into())
    })
}

/// The flags this Node needs to run relaxed SIMD exactly; none if it has it as a matter of course.
///
/// Where the flag is still needed (V8 11, Node 20), the baseline compiler gets the relaxed dot
/// product wrong, so it is switched off: docs/notes/relaxed-dot-in-node-20.md.
pub fn relaxed_flags(node: &Path) -> &'static [&'static str] {
    const FLAGS: &[&str] = &["--experimental-wasm-relaxed-simd", "--no-liftoff"];
    // A module of one function: i8x16.relaxed_swizzle of two zero vectors, dropped.
    const PROBE: &str = "process.exit(WebAssembly.validate(new Uint8Array([0,97,115,109,1,0,0,0,1,\
        4,1,96,0,0,3,2,1,0,10,16,1,14,0,65,0,253,15,65,0,253,15,253,128,2,26,11])) ? 0 : 1)";
    let accepts = |flags: &[&str]| {
        let mut probe = Command::new(node);
        probe.args(flags).args(["-e", PROBE]);
        process::succeeds_within(&mut probe, std::time::Duration::from_secs(20))
    };
    if !accepts(&[]) && accepts(FLAGS) {
        FLAGS
    } else {
        &[]
    }
}

/// Installs what is missing or of another version than pinned.
pub fn install(wanted: Wanted) -> TaskResult {
    let packages: &[&str] = match wanted {
        Wanted::Optimizer => &["binaryen"],
        Wanted::All => &["binaryen", "puppeteer-core", "typescript"],
    };
    let pins = std::fs::read_to_string(folder().join("package.json")).unwrap_or_default();
    if packages
        .iter()
        .all(|name| installed_version(name) == json_text(&pins, name))
    {
        return Ok(());
    }
    node()?;
    let Some(npm) = process::find_program("npm") else {
        return Err(TaskError::Usage(
            "npm is missing; run: apt-get install npm".into(),
        ));
    };
    println!("installing {} into xtask/tools", packages.join(", "));
    let mut command = Command::new(npm);
    command.current_dir(folder()).args(["ci", "--silent"]);
    if wanted == Wanted::Optimizer {
        command.arg("--omit=dev");
    }
    process::output(&mut command, "npm ci in xtask/tools").map(|_| ())
}

fn installed_version(package: &str) -> Option<String> {
    let manifest = folder()
        .join("node_modules")
        .join(package)
        .join("package.json");
    json_text(&std::fs::read_to_string(manifest).ok()?, "version")
}

/// The text value of the first `"key": "value"` in a JSON file that npm formatted.
fn json_text(json: &str, key: &str) -> Option<String> {
    let after = json.split_once(&format!("\"{key}\":"))?.1.trim_start();
    after
        .strip_prefix('"')?
        .split_once('"')
        .map(|(value, _)| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_exact_versions() -> Result<(), std::io::Error> {
        let pins = std::fs::read_to_string(folder().join("package.json"))?;
        for name in ["binaryen", "puppeteer-core", "typescript"] {
            let version = json_text(&pins, name).unwrap_or_default();
            assert!(
                version.starts_with(|c: char| c.is_ascii_digit()),
                "{name}: {version}"
            );
        }
        Ok(())
    }
}
