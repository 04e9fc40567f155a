//! Ties documents that specify bytes to the source that implements them. Such a document holds
//! `<!-- source-hash: PATH PATH HASH -->`; when a source changes, the check fails until somebody
//! has read the document again and run `cargo xtask tidy --bless`. After rust-analyzer's tidy.

use super::{Finding, Source, Tree, report, report_missing};
use crate::{TaskError, TaskResult};

/// Documents that must hold the mark.
const REQUIRED: &[&str] = &["docs/package-format.md", "docs/abi.md", "docs/numerics.md"];

const MARK: &str = "<!-- source-hash:";
const MARK_END: &str = "-->";

/// One mark in a document.
struct Tie<'a> {
    line: usize,
    /// The whole mark, as it stands in the text.
    mark: &'a str,
    paths: Vec<&'a str>,
    hash: &'a str,
}

/// Every required document is there and holds a mark.
pub fn check_required(tree: &Tree, found: &mut Vec<Finding>) {
    let what = format!("specifies bits, so it needs {MARK} PATH… HASH {MARK_END}");
    for path in REQUIRED {
        match tree.find(path) {
            None => report_missing(found, path, "does not exist; it specifies bits"),
            Some(file) if ties(file).is_empty() => report(found, file, 0, what.as_str()),
            Some(_) => {}
        }
    }
}

/// Every mark names sources that exist, with their hash.
pub fn check(tree: &Tree, found: &mut Vec<Finding>) {
    for file in tree.files.iter().filter(|file| file.ends(".md")) {
        for tie in ties(file) {
            match hash(tree, &tie.paths) {
                Err(missing) => report(found, file, tie.line, format!("{missing} does not exist")),
                Ok(hash) if hash != tie.hash => {
                    let what = "its sources have changed: read it against them, then run \
                                `cargo xtask tidy --bless`";
                    report(found, file, tie.line, what);
                }
                Ok(_) => {}
            }
        }
    }
}

/// Rewrites every stale hash.
pub fn bless(tree: &Tree) -> TaskResult {
    for file in tree.files.iter().filter(|file| file.ends(".md")) {
        let mut text = file.text().to_string();
        for tie in ties(file) {
            let Ok(hash) = hash(tree, &tie.paths) else {
                continue;
            };
            let fresh = format!("{MARK} {} {hash} {MARK_END}", tie.paths.join(" "));
            text = text.replace(tie.mark, &fresh);
        }
        if text != file.text() {
            println!("tidy: new source hash in {}", file.path);
            std::fs::write(tree.root.join(&file.path), text).map_err(|error| {
                TaskError::Failed(format!("cannot write {}: {error}", file.path))
            })?;
        }
    }
    Ok(())
}

fn ties(file: &Source) -> Vec<Tie<'_>> {
    let mut found = Vec::new();
    for (at, _) in file.text().match_indices(MARK) {
        let Some(len) = file.text()[at..].find(MARK_END) else {
            continue;
        };
        let mark = &file.text()[at..at + len + MARK_END.len()];
        let words = mark[MARK.len()..mark.len() - MARK_END.len()].split_whitespace();
        let (paths, rest): (Vec<&str>, Vec<&str>) = words.partition(|word| word.contains('/'));
        found.push(Tie {
            line: file.text()[..at].matches('\n').count() + 1,
            mark,
            paths,
            hash: rest.first().copied().unwrap_or_default(),
        });
    }
    found
}

/// FNV-1a over the names and bytes of the files, 16 hex digits. A folder stands for all `.rs`
/// files below it. The error is a path that names nothing.
fn hash(tree: &Tree, paths: &[&str]) -> Result<String, String> {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    for path in paths {
        let folder = format!("{}/", path.trim_end_matches('/'));
        let below = |file: &&Source| {
            file.path == *path || (file.path.starts_with(&folder) && file.ends(".rs"))
        };
        let files: Vec<&Source> = tree.files.iter().filter(below).collect();
        if files.is_empty() {
            return Err((*path).to_string());
        }
        for file in files {
            add(file.path.as_bytes());
            add(&file.bytes.to_le_bytes());
            add(file.text().as_bytes());
        }
    }
    Ok(format!("{state:016x}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_files;
    use super::*;

    #[test]
    fn a_changed_source_is_seen() {
        let source = ("src/a.rs", "//! a\n");
        let wrong = format!("{MARK} src/a.rs 0123456789abcdef {MARK_END}\n");
        assert_eq!(check_files(check, &[source, ("d.md", &wrong)]).len(), 1);
        let tree = Tree {
            root: std::path::PathBuf::new(),
            files: vec![Source {
                path: source.0.into(),
                text: Some(source.1.into()),
                bytes: 6,
            }],
        };
        let right = hash(&tree, &["src/"]).unwrap_or_default();
        let right = format!("{MARK} src/ {right} {MARK_END}\n");
        assert_eq!(check_files(check, &[source, ("d.md", &right)]).len(), 0);
        assert_eq!(
            check_files(check, &[("src/a.rs", "//! b\n"), ("d.md", &right)]).len(),
            1
        );
    }

    #[test]
    fn missing_marks_and_sources_are_seen() {
        let marked = format!("{MARK} src/a.rs 00 {MARK_END}\n");
        let mut docs: Vec<(&str, &str)> = REQUIRED.iter().map(|path| (*path, &*marked)).collect();
        assert_eq!(check_files(check_required, &docs).len(), 0);
        docs[0].1 = "text\n";
        assert_eq!(check_files(check_required, &docs).len(), 1);
        docs.pop();
        let found = check_files(check_required, &docs);
        assert_eq!(found.len(), 2, "a document that is gone: {found:?}");
        let gone = format!("{MARK} src/gone.rs 00 {MARK_END}\n");
        assert_eq!(check_files(check, &[("d.md", &gone)]).len(), 1);
    }
}
