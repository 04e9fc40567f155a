//! Checks on who may use whom: modules inside the engine, crates in the workspace, and nobody
//! outside. The tables are the architecture; docs/architecture.md says the same in words.

use super::blank::{Language, blank};
use super::{Finding, Source, Tree, report};

/// Layers of the engine's two crates, lowest first. A module uses lower layers and its own folder;
/// in one layer, it may use modules that stand left of it.
const LAYERS: &[&[&str]] = &[
    &["memory", "math", "rng"],
    &["tensor"],
    &["kernels"],
    &["bytes", "sorting", "digest", "json", "self_test"],
    &["kv_cache", "tokenizer", "package", "adapter"],
    &["grammar", "model", "sampler"],
    &["session"],
];

/// Where the modules of the table are. The arithmetic may not use what the core holds, and cannot:
/// its crate depends on nothing.
const ENGINE: &[&str] = &["crates/cultivar-numerics/src/", "crates/cultivar-core/src/"];

/// Each crate with what it may depend on, and what its tests may in addition.
const CRATES: &[(&str, &[&str], &[&str])] = &[
    ("crates/cultivar-numerics", &[], &["cultivar-testdata"]),
    (
        "crates/cultivar-core",
        &["cultivar-numerics"],
        &["cultivar-testdata"],
    ),
    (
        "crates/cultivar-import",
        &["cultivar-core"],
        &["cultivar-testdata"],
    ),
    (
        "crates/cultivar-breed",
        &["cultivar-core"],
        &["cultivar-testdata"],
    ),
    (
        "crates/cultivar-wasm",
        &["cultivar-core", "cultivar-import", "cultivar-breed"],
        &["cultivar-testdata"],
    ),
    (
        "crates/cultivar-cli",
        &["cultivar-core", "cultivar-import", "cultivar-breed"],
        &["cultivar-testdata"],
    ),
    ("crates/cultivar-testdata", &["cultivar-core"], &[]),
    ("xtask", &["cultivar-core", "cultivar-testdata"], &[]),
];

/// Modules of the engine use only what the layers allow.
pub fn check_engine(tree: &Tree, found: &mut Vec<Finding>) {
    for file in tree.files.iter().filter(|file| file.ends(".rs")) {
        let mut folders = ENGINE.iter();
        let Some(inside) = folders.find_map(|folder| file.path.strip_prefix(folder)) else {
            continue;
        };
        let module = inside.split(['/', '.']).next().unwrap_or_default();
        if module == "lib" {
            continue;
        }
        let Some(own) = place(module) else {
            report(
                found,
                file,
                1,
                format!("module {module} has no layer; add it to the table"),
            );
            continue;
        };
        let depth = depth(inside);
        for (line, used) in uses(file, depth) {
            let Some(other) = place(&used) else { continue };
            if used != module && other > own {
                report(
                    found,
                    file,
                    line,
                    format!("{module} may not use {used}, a higher layer"),
                );
            }
        }
    }
}

/// Position in the table: layer first, then column.
fn place(module: &str) -> Option<(usize, usize)> {
    LAYERS.iter().enumerate().find_map(|(layer, modules)| {
        modules
            .iter()
            .position(|name| *name == module)
            .map(|column| (layer, column))
    })
}

/// How many `super::` lead from the file's own module to the crate's root.
fn depth(inside: &str) -> usize {
    let n_folders = inside.matches('/').count();
    if inside.ends_with("/mod.rs") {
        n_folders
    } else {
        n_folders + 1
    }
}

/// First-level modules that the file names, with line numbers: `crate::x`, `crate::{x, y::z}` and
/// chains of `super::` that reach the root.
fn uses(file: &Source, depth: usize) -> Vec<(usize, String)> {
    let code = blank(file.text(), Language::Rust, false);
    let mut found = Vec::new();
    let to_root = "super::".repeat(depth);
    for start in ["crate::", to_root.as_str()] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back().unwrap_or(' ');
            let longer = code[..at].ends_with("super::");
            if before.is_alphanumeric() || before == '_' || before == '$' || longer {
                continue;
            }
            let line = code[..at].matches('\n').count() + 1;
            found.extend(
                names(&code[at + start.len()..])
                    .into_iter()
                    .map(|name| (line, name)),
            );
        }
    }
    found
}

/// The first name of each branch of a use tree.
fn names(tree: &str) -> Vec<String> {
    let first = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let Some(group) = tree.strip_prefix('{') else {
        return vec![first(tree)];
    };
    let mut depth = 0;
    let mut branches = vec![String::new()];
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => branches.push(String::new()),
            other if depth == 0 => branches.last_mut().into_iter().for_each(|b| b.push(other)),
            _ => {}
        }
    }
    branches.iter().map(|branch| first(branch)).collect()
}

/// Crates depend only on what the table allows.
pub fn check_crates(tree: &Tree, found: &mut Vec<Finding>) {
    for file in tree.files.iter().filter(|file| file.ends("/Cargo.toml")) {
        let folder = file.path.trim_end_matches("/Cargo.toml");
        let Some((_, normal, dev)) = CRATES.iter().find(|(name, _, _)| *name == folder) else {
            if folder.starts_with("crates/") {
                report(
                    found,
                    file,
                    1,
                    "a crate that the table of crates does not name",
                );
            }
            continue;
        };
        let mut section = "";
        for (idx, line) in file.text().lines().enumerate() {
            if line.starts_with('[') {
                section = line.trim();
                continue;
            }
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            if name.is_empty() || name.starts_with('#') {
                continue;
            }
            let allowed = match section {
                "[dependencies]" => normal.contains(&name),
                "[dev-dependencies]" => normal.contains(&name) || dev.contains(&name),
                "[build-dependencies]" => false,
                _ => !section.contains("dependencies"),
            };
            if !allowed {
                report(found, file, idx + 1, format!("may not depend on {name}"));
            }
        }
    }
}

/// The lock file names our own crates only.
pub fn check_lock(tree: &Tree, found: &mut Vec<Finding>) {
    let Some(file) = tree.find("Cargo.lock") else {
        return;
    };
    for (idx, line) in file.text().lines().enumerate() {
        if line.starts_with("source = ") {
            report(
                found,
                file,
                idx + 1,
                "a package from elsewhere; what ships has none",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_files;
    use super::*;

    #[test]
    fn higher_layers_are_refused() {
        let files = [
            (
                "crates/cultivar-numerics/src/tensor/a.rs",
                "use crate::kernels::dot;\n",
            ),
            (
                "crates/cultivar-numerics/src/tensor/b.rs",
                "use crate::{math::exp, session::S};\n",
            ),
            (
                "crates/cultivar-numerics/src/tensor/c.rs",
                "use super::super::model::M;\n",
            ),
            (
                "crates/cultivar-numerics/src/rng.rs",
                "fn f() { crate::model::x() }\n",
            ),
            ("crates/cultivar-core/src/fresh.rs", "\n"),
        ];
        assert_eq!(check_files(check_engine, &files).len(), 5);
    }

    #[test]
    fn lower_layers_and_the_own_folder_are_accepted() {
        let files = [
            (
                "crates/cultivar-core/src/lib.rs",
                "pub use crate::session::S;\n",
            ),
            (
                "crates/cultivar-core/src/session/mod.rs",
                "use crate::model::M;\n",
            ),
            (
                "crates/cultivar-numerics/src/tensor/a.rs",
                "// crate::model\nuse super::half::f;\n",
            ),
            (
                "crates/cultivar-numerics/src/tensor/b.rs",
                "use crate::tensor::half;\n",
            ),
            (
                "crates/cultivar-core/src/package/a.rs",
                "use crate::tokenizer::Record;\n",
            ),
            (
                "crates/cultivar-numerics/src/rng.rs",
                "mod tests {\n    use super::*;\n}\n",
            ),
        ];
        let found = check_files(check_engine, &files);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn crates_point_downwards() {
        let wrong = "[dependencies]\ncultivar-import = { workspace = true }\nserde = \"1\"\n";
        let right = "[dev-dependencies]\ncultivar-testdata = { workspace = true }\n";
        let files = [
            ("crates/cultivar-core/Cargo.toml", wrong),
            ("crates/cultivar-cli/Cargo.toml", right),
        ];
        assert_eq!(check_files(check_crates, &files).len(), 2);
        assert_eq!(
            check_files(check_lock, &[("Cargo.lock", "source = \"x\"\n")]).len(),
            1
        );
    }
}
