//! Checks on files as text: how long they are, how wide, how they begin. The numbers are tripwires:
//! split where the interface is narrowest, not where the ruler falls.

use super::{Finding, Source, Tree, report};

/// Lines at which a file is refused, by ending.
const LINES_MAX: &[(&str, usize)] = &[
    (".rs", 800),
    (".js", 300),
    (".mjs", 300),
    (".ts", 300),
    (".css", 400),
];

/// Documents that are to be read in one sitting, by path.
const DOCUMENT_LINES_MAX: &[(&str, usize)] = &[("docs/architecture.md", 200)];

/// Names that say nothing of what a file or folder holds.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc"];

/// Columns at which a line is refused: two files side by side fit a screen.
const COLUMNS_MAX: usize = 100;

/// Files above this stay in history for ever, so each is listed with its reason.
const BYTES_MAX: u64 = 256 * 1024;

/// Generated files, exempt from the limit on lines.
const GENERATED: &[&str] = &[
    "web/runtime/abi.js",
    "crates/cultivar-core/src/tokenizer/unicode/tables.rs",
    "crates/cultivar-import/src/tokenizers/compatibility_table.rs",
];

/// Files and folders allowed above `BYTES_MAX`: (start of the path, why).
const LARGE: &[(&str, &str)] = &[
    ("docs/images/", "screenshots"),
    (
        "fixtures/",
        "the demo family: a small real model is megabytes",
    ),
];

/// How a file of each kind begins.
const FIRST_LINE: &[(&str, &str)] = &[
    (".rs", "//!"),
    (".js", "/**"),
    (".mjs", "/**"),
    (".d.ts", "/**"),
    (".css", "/*"),
];

/// Text files, in which a space at a line's end is a slip and not a meaning.
const TEXT: &[&str] = &[
    ".rs", ".js", ".mjs", ".ts", ".css", ".html", ".md", ".toml", ".json", ".py", ".sh", ".txt",
];

/// No file too long in lines or bytes.
pub fn check_sizes(tree: &Tree, found: &mut Vec<Finding>) {
    for file in &tree.files {
        if file.bytes > BYTES_MAX && !LARGE.iter().any(|(start, _)| file.path.starts_with(start)) {
            let bytes = file.bytes;
            report(
                found,
                file,
                0,
                format!("{bytes} bytes; above {BYTES_MAX} it must be listed"),
            );
        }
        let by_ending = LINES_MAX.iter().find(|(ending, _)| file.ends(ending));
        let by_path = DOCUMENT_LINES_MAX
            .iter()
            .find(|(path, _)| file.path == *path);
        let limit = by_path.or(by_ending);
        let Some((_, limit)) = limit.filter(|_| !GENERATED.contains(&file.path.as_str())) else {
            continue;
        };
        let n_lines = file.text().lines().count();
        if n_lines > *limit {
            report(
                found,
                file,
                0,
                format!("{n_lines} lines; the limit is {limit}"),
            );
        }
    }
}

/// No line too wide, no space at its end, and a line break at the end of the file.
pub fn check_lines(tree: &Tree, found: &mut Vec<Finding>) {
    for file in tree.files.iter().filter(|file| is_text(file)) {
        let narrow = [".rs", ".js", ".mjs"]
            .iter()
            .any(|ending| file.ends(ending));
        for (idx, line) in file.text().lines().enumerate() {
            let columns = line.chars().count();
            if narrow && columns > COLUMNS_MAX {
                let what = format!("{columns} columns; the limit is {COLUMNS_MAX}");
                report(found, file, idx + 1, what);
            }
            if line.ends_with([' ', '\t']) {
                report(found, file, idx + 1, "a space at the end of the line");
            }
        }
        if !file.text().is_empty() && !file.text().ends_with('\n') {
            report(found, file, 0, "no line break at the end of the file");
        }
    }
}

/// Every source file says first what it holds.
pub fn check_first_line(tree: &Tree, found: &mut Vec<Finding>) {
    for file in &tree.files {
        let Some((_, mark)) = FIRST_LINE.iter().find(|(ending, _)| file.ends(ending)) else {
            continue;
        };
        let mut lines = file
            .text()
            .lines()
            .skip_while(|line| line.starts_with("#!/"));
        if !lines.next().is_some_and(|line| line.starts_with(mark)) {
            report(
                found,
                file,
                1,
                format!("must begin with {mark}: what the file holds, and why"),
            );
        }
    }
}

/// Files and folders are named after what they hold.
pub fn check_names(tree: &Tree, found: &mut Vec<Finding>) {
    for file in &tree.files {
        for part in file.path.split('/') {
            let stem = part.split('.').next().unwrap_or_default();
            if EMPTY_NAMES.contains(&stem.to_ascii_lowercase().as_str()) {
                let what = format!("\"{part}\" does not say what it holds");
                report(found, file, 0, what);
            }
        }
    }
}

fn is_text(file: &Source) -> bool {
    TEXT.iter().any(|ending| file.ends(ending))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_files;
    use super::*;

    #[test]
    fn long_files_are_found() {
        let long = "//! x\n".repeat(801);
        assert_eq!(
            check_files(check_sizes, &[("a.rs", &long), ("b.md", &long)]).len(),
            1
        );
        let chapter = "x\n".repeat(201);
        let documents = [("docs/architecture.md", &*chapter), ("docs/x.md", &chapter)];
        assert_eq!(check_files(check_sizes, &documents).len(), 1);
        let big = "x".repeat(300_000);
        assert_eq!(check_files(check_sizes, &[("big.bin", &big)]).len(), 1);
    }

    #[test]
    fn empty_names_are_found() {
        let files = [
            ("a/utils.rs", ""),
            ("a/common/mod.rs", ""),
            ("web/Helpers.test.mjs", ""),
            ("a/commons.rs", ""),
            ("a/uncommon/helper_thread.rs", ""),
        ];
        let found = check_files(check_names, &files);
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn bad_lines_are_found() {
        let wide = format!("//! {}\n", "ä".repeat(97));
        let found = check_files(
            check_lines,
            &[
                ("a.rs", &wide),
                ("b.rs", "//! x \n"),
                ("c.rs", "//! x"),
                ("d.md", "ok\n"),
            ],
        );
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn files_without_a_first_word_are_found() {
        let files = [
            ("a.rs", "use x;\n"),
            ("b.js", "// x\n"),
            ("c.mjs", "#!/usr/bin/env node\n/** x */\n"),
            ("d.rs", "//! x\n"),
            ("e.rs", ""),
        ];
        assert_eq!(check_files(check_first_line, &files).len(), 3);
    }
}
