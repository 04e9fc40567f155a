//! Checks on unsafe code: in the boundary crate only, and there with its proof beside it. The
//! compiler forbids it elsewhere; this makes sure that nobody lifts the ban.

use super::blank::{Language, blank};
use super::{Finding, Source, Tree, report, report_missing};

/// The one crate that may hold unsafe code.
const BOUNDARY: &str = "crates/cultivar-wasm/";

/// Every crate but the boundary, whose first lines must forbid it, whatever the workspace's lints
/// say: a lint can be lifted by an attribute further down, this cannot.
const FORBIDDING: &[&str] = &[
    "crates/cultivar-numerics/src/lib.rs",
    "crates/cultivar-core/src/lib.rs",
    "crates/cultivar-import/src/lib.rs",
    "crates/cultivar-breed/src/lib.rs",
    "crates/cultivar-cli/src/main.rs",
    "crates/cultivar-testdata/src/lib.rs",
    "xtask/src/main.rs",
    "xtask/src/bin/bench-packages.rs",
];

/// How far above an unsafe block its proof may begin.
const PROOF_LINES_MAX: usize = 12;

/// Every crate but the boundary forbids unsafe code in its root; a root that is gone is no pass.
pub fn check_bans(tree: &Tree, found: &mut Vec<Finding>) {
    for path in FORBIDDING {
        let Some(file) = tree.find(path) else {
            let what = "does not exist; it must forbid unsafe code";
            report_missing(found, path, what);
            continue;
        };
        let code = blank(file.text(), Language::Rust, false);
        if !code.contains("#![forbid(unsafe_code)]") {
            report(found, file, 1, "must say #![forbid(unsafe_code)]");
        }
    }
}

/// Unsafe only in the boundary crate, each with its proof.
pub fn check(tree: &Tree, found: &mut Vec<Finding>) {
    for file in tree.files.iter().filter(|file| file.ends(".rs")) {
        check_file(file, found);
    }
}

fn check_file(file: &Source, found: &mut Vec<Finding>) {
    let code = blank(file.text(), Language::Rust, false);
    let lines: Vec<&str> = file.text().lines().collect();
    let mut in_unsafe_impl = false;
    for (idx, line) in code.lines().enumerate() {
        if line.starts_with('}') {
            in_unsafe_impl = false;
        }
        if !has_unsafe(line) {
            continue;
        }
        let is_fn = line.contains("unsafe fn");
        if !file.path.starts_with(BOUNDARY) {
            report(
                found,
                file,
                idx + 1,
                format!("unsafe code belongs into {BOUNDARY} only"),
            );
        } else if is_fn && !in_unsafe_impl && !proof_above(&lines, idx, "# Safety") {
            report(found, file, idx + 1, "an unsafe fn without a # Safety list");
        } else if !is_fn && !proof_above(&lines, idx, "SAFETY:") {
            report(
                found,
                file,
                idx + 1,
                "unsafe without a // SAFETY: proof above it",
            );
        }
        // Methods of an unsafe trait answer to the trait's own list and the proof at the impl.
        in_unsafe_impl |= line.starts_with("unsafe impl") && line.ends_with('{');
    }
}

/// Whether a line of blanked code uses the keyword, other than in the attribute
/// `unsafe(no_mangle)`, which promises something about a name and not about memory.
fn has_unsafe(line: &str) -> bool {
    let mut rest = line;
    while let Some(at) = rest.find("unsafe") {
        let before = rest[..at].chars().next_back().unwrap_or(' ');
        let after = rest[at + 6..].chars().next().unwrap_or(' ');
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let in_attribute = after == '(';
        if !(in_attribute || is_word(before) || is_word(after)) {
            return true;
        }
        rest = &rest[at + 6..];
    }
    false
}

/// Whether `mark` stands on this line or above it, with no empty line between.
fn proof_above(lines: &[&str], idx: usize, mark: &str) -> bool {
    let above = lines[..=idx].iter().rev().take(PROOF_LINES_MAX);
    above
        .take_while(|line| !line.trim().is_empty())
        .any(|line| line.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_files;
    use super::*;

    #[test]
    fn unsafe_needs_its_place_and_its_proof() {
        let block = "//! x\nfn f() {\n    unsafe { g() }\n}\n";
        let proven = "//! x\nfn f() {\n    // SAFETY: g holds.\n    unsafe { g() }\n}\n";
        let named = "//! x\n#[cfg_attr(a, unsafe(no_mangle))]\npub extern \"C\" fn f() {}\n";
        let methods = "//! x\n// SAFETY: all.\nunsafe impl A for B {\n    unsafe fn c() {}\n\n\
                       unsafe fn d() {}\n}\n";
        let said = "//! unsafe\n// unsafe\nconst A: &str = \"unsafe\";\nfn is_unsafe_here() {}\n";
        let files = [
            ("crates/cultivar-core/src/a.rs", proven),
            ("crates/cultivar-wasm/src/a.rs", block),
            ("crates/cultivar-wasm/src/b.rs", proven),
            ("crates/cultivar-wasm/src/c.rs", named),
            ("crates/cultivar-core/src/d.rs", said),
            ("crates/cultivar-wasm/src/e.rs", methods),
            ("crates/cultivar-wasm/src/f.rs", "//! x\nunsafe fn c() {}\n"),
        ];
        let found = check_files(check, &files);
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn the_ban_itself_is_checked() {
        let banned = "//! x\n#![forbid(unsafe_code)]\n";
        let mut files: Vec<(&str, &str)> = FORBIDDING.iter().map(|path| (*path, banned)).collect();
        assert_eq!(check_files(check_bans, &files).len(), 0);
        files[0].1 = "//! x\n// #![forbid(unsafe_code)]\n#![no_std]\n";
        assert_eq!(check_files(check_bans, &files).len(), 1);
        files.pop();
        let found = check_files(check_bans, &files);
        assert_eq!(found.len(), 2, "a root that is gone: {found:?}");
    }
}
