//! Where the workspace is and which files belong to it. The tree is walked, not asked from git:
//! a source archive without history is checked the same way, and so are files not yet added.

use std::path::{Path, PathBuf};

/// Folders that never hold source: builds, installed tools, history.
const SKIPPED_FOLDERS: &[&str] = &["target", "node_modules", ".git"];

/// Paths from the root that are built or measured, not written: see `.gitignore`.
const SKIPPED_PATHS: &[&str] = &["web/wasm", "web/demo"];

/// The workspace's root: the folder above xtask's manifest, or the nearest one above the current
/// folder that holds `xtask/Cargo.toml`, if the tree was moved after compiling.
pub fn root() -> PathBuf {
    let compiled = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf);
    let is_root = |path: &Path| path.join("xtask/Cargo.toml").is_file();
    if let Some(path) = compiled.filter(|path| is_root(path)) {
        return path;
    }
    let here = std::env::current_dir().unwrap_or_default();
    here.ancestors()
        .find(|path| is_root(path))
        .map(Path::to_path_buf)
        .unwrap_or(here)
}

/// Cargo's target folder: `CARGO_TARGET_DIR` if set, else `target` in the root.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR").filter(|value| !value.is_empty()) {
        Some(value) => root().join(value),
        None => root().join("target"),
    }
}

/// All files below `root`, as sorted paths relative to it with `/` between folders.
pub fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    walk(root, String::new(), &mut found);
    found.sort();
    found
}

fn walk(folder: &Path, prefix: String, found: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let relative = format!("{prefix}{name}");
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            let skipped = SKIPPED_FOLDERS.contains(&name.as_str());
            if !skipped && !SKIPPED_PATHS.contains(&relative.as_str()) {
                walk(&entry.path(), format!("{relative}/"), found);
            }
        } else if kind.is_file() {
            found.push(relative);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_this_file_and_no_built_ones() {
        let files = files(&root());
        assert!(files.iter().any(|file| file == "xtask/src/workspace.rs"));
        assert!(!files.iter().any(|file| file.starts_with("target/")));
        assert!(!files.iter().any(|file| file.contains("node_modules/")));
    }
}
