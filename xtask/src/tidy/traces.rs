//! Checks for what must not stay in a finished tree: marks of unfinished work, tests switched off,
//! and traces of the machine that it was written on.

use super::blank::{Language, blank};
use super::{Finding, Source, Tree, report};

/// Marks of unfinished work, refused in sources also inside comments. Split so that this file
/// does not find itself.
const UNFINISHED: &[&str] = &[
    concat!("FIX", "ME"),
    concat!("TO", "DO"),
    concat!("X", "XX:"),
];

/// Tests that are switched off or that pass by crashing, in code.
const SWITCHED_OFF: &[&str] = &[
    concat!("#[ig", "nore"),
    concat!("should_", "panic"),
    "test.only(",
    "it.only(",
    "test.todo(",
];

/// Folders of one machine, and hosts that only a lock file of that machine would name.
const MACHINE: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/tmp/", "plan"),
    concat!("/tmp/", "target"),
    concat!("registry.", "npmjs"),
    concat!("static.", "crates.io"),
    concat!("index.", "crates.io"),
    concat!("files.", "pythonhosted"),
    concat!("deb.", "debian.org"),
    concat!("\"reso", "lved\":"),
];

/// No mark of unfinished work, no test switched off.
pub fn check_marks(tree: &Tree, found: &mut Vec<Finding>) {
    for file in tree.files.iter().filter(|file| is_source(file)) {
        let language = if file.ends(".rs") {
            Language::Rust
        } else {
            Language::JavaScript
        };
        let code = blank(file.text(), language, false);
        for (idx, (line, code)) in file.text().lines().zip(code.lines()).enumerate() {
            for mark in UNFINISHED.iter().filter(|mark| line.contains(**mark)) {
                report(
                    found,
                    file,
                    idx + 1,
                    format!("{mark} marks work that is not done"),
                );
            }
            for mark in SWITCHED_OFF.iter().filter(|mark| code.contains(**mark)) {
                report(found, file, idx + 1, format!("{mark} switches a test off"));
            }
        }
    }
}

/// No folder of one machine, no registry's address.
pub fn check_machine(tree: &Tree, found: &mut Vec<Finding>) {
    for file in &tree.files {
        for (idx, line) in file.text().lines().enumerate() {
            for trace in MACHINE.iter().filter(|trace| line.contains(**trace)) {
                report(
                    found,
                    file,
                    idx + 1,
                    format!("names a machine's place: {trace}"),
                );
            }
        }
    }
}

fn is_source(file: &Source) -> bool {
    [".rs", ".js", ".mjs", ".ts"]
        .iter()
        .any(|ending| file.ends(ending))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_files;
    use super::*;

    #[test]
    fn marks_are_found_in_code_and_comments() {
        let unfinished = format!("//! {}\n", UNFINISHED[0]);
        let off = format!("{}]\nfn a() {{}}\n", SWITCHED_OFF[0]);
        let said = format!("//! {}\n", SWITCHED_OFF[1]);
        let found = check_files(
            check_marks,
            &[
                ("a.rs", &unfinished),
                ("b.rs", &off),
                ("c.rs", &said),
                ("d.md", &unfinished),
            ],
        );
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn places_of_a_machine_are_found() {
        let lock = format!("{} \"x\"\n", MACHINE[MACHINE.len() - 1]);
        let path = format!("see {}main\n", MACHINE[0]);
        assert_eq!(
            check_files(check_machine, &[("a.json", &lock), ("b.md", &path)]).len(),
            2
        );
    }
}
