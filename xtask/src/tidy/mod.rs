//! `tidy`: the rules of the house that a program can check. Each file below this folder holds the
//! checks of one kind; `CHECKS` lists them all. A check reads files and reports places; it never
//! changes anything (`--bless` alone does, and only the hashes in documents).

mod blank;
mod doc_hashes;
mod files;
mod functions;
mod rust_layers;
mod traces;
mod unsafe_code;
mod web_layers;

use crate::flags::Given;
use crate::{TaskError, TaskResult, workspace};
use std::path::{Path, PathBuf};

/// One place where a rule is broken.
pub struct Finding {
    path: String,
    /// Counted from 1; 0 means the file as a whole.
    line: usize,
    what: String,
}

/// A file of the workspace, read once for all checks.
pub struct Source {
    /// Relative to the root, with `/` between folders.
    pub path: String,
    /// The file's text; `None` if it is not UTF-8.
    pub text: Option<String>,
    /// Its length.
    pub bytes: u64,
}

impl Source {
    /// Whether the path has this ending, given with its dot.
    fn ends(&self, ending: &str) -> bool {
        self.path.ends_with(ending)
    }

    /// The text, empty for a file that is not UTF-8.
    fn text(&self) -> &str {
        self.text.as_deref().unwrap_or("")
    }
}

/// The workspace as the checks see it.
pub struct Tree {
    root: PathBuf,
    files: Vec<Source>,
}

impl Tree {
    /// Reads every file that belongs to the workspace.
    pub fn read(root: &Path) -> Tree {
        let read = |path: String| {
            let content = std::fs::read(root.join(&path)).unwrap_or_default();
            let bytes = content.len() as u64;
            Source {
                path,
                text: String::from_utf8(content).ok(),
                bytes,
            }
        };
        let files = workspace::files(root).into_iter().map(read).collect();
        Tree {
            root: root.to_path_buf(),
            files,
        }
    }

    fn find(&self, path: &str) -> Option<&Source> {
        self.files.iter().find(|file| file.path == path)
    }
}

type Check = fn(&Tree, &mut Vec<Finding>);

const CHECKS: &[Check] = &[
    files::check_sizes,
    files::check_lines,
    files::check_first_line,
    files::check_names,
    functions::check,
    traces::check_marks,
    traces::check_machine,
    rust_layers::check_engine,
    rust_layers::check_crates,
    rust_layers::check_lock,
    unsafe_code::check_bans,
    unsafe_code::check,
    web_layers::check_imports,
    web_layers::check_memory,
    web_layers::check_repeatable,
    web_layers::check_markup,
    doc_hashes::check_required,
    doc_hashes::check,
];

/// The task.
pub fn run(given: &Given) -> TaskResult {
    if given.has("--bless") {
        doc_hashes::bless(&Tree::read(&workspace::root()))?;
    }
    check_all()
}

/// Runs every check over the workspace; the error lists all findings.
pub fn check_all() -> TaskResult {
    let findings = findings(&Tree::read(&workspace::root()));
    if findings.is_empty() {
        return Ok(());
    }
    Err(TaskError::Failed(format!(
        "tidy found {}:\n{}",
        findings.len(),
        findings.join("\n")
    )))
}

fn findings(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for check in CHECKS {
        check(tree, &mut found);
    }
    found.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    found
        .iter()
        .map(|one| format!("  {}:{}: {}", one.path, one.line, one.what))
        .collect()
}

/// Adds a finding.
fn report(found: &mut Vec<Finding>, file: &Source, line: usize, what: impl Into<String>) {
    found.push(Finding {
        path: file.path.clone(),
        line,
        what: what.into(),
    });
}

/// Adds a finding about a file that should be there.
fn report_missing(found: &mut Vec<Finding>, path: &str, what: impl Into<String>) {
    found.push(Finding {
        path: path.into(),
        line: 0,
        what: what.into(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs one check over files given as (path, text); returns the findings' texts.
    pub fn check_files(check: Check, files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(path, text)| Source {
            path: (*path).into(),
            text: Some((*text).into()),
            bytes: text.len() as u64,
        });
        let tree = Tree {
            root: PathBuf::new(),
            files: files.collect(),
        };
        let mut found = Vec::new();
        check(&tree, &mut found);
        found
            .iter()
            .map(|one| format!("{}:{}: {}", one.path, one.line, one.what))
            .collect()
    }

    #[test]
    fn the_workspace_is_tidy() {
        let findings = findings(&Tree::read(&workspace::root()));
        assert!(findings.is_empty(), "\n{}", findings.join("\n"));
    }
}
