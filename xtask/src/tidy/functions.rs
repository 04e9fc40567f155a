//! Check on the length of functions: one screen is the aim, and this is where it ends. Tables that
//! the language wants written as a function are listed, each with its reason. Rust only: a script's
//! factory holds the functions that it hands out, and its file has a limit of its own.

use super::blank::{Language, blank};
use super::{Finding, Source, Tree, report};

/// Lines at which a function is refused, from its signature to its closing brace.
const LINES_MAX: usize = 100;

/// Functions that may be longer: (file, name, why).
const TABLES: &[(&str, &str, &str)] = &[
    (
        "crates/cultivar-core/src/tokenizer/error.rs",
        "fmt",
        "one sentence per error, no other logic",
    ),
    (
        "crates/cultivar-import/src/error.rs",
        "fmt",
        "one sentence per error, no other logic",
    ),
];

/// A function with a body.
struct Function {
    name: String,
    /// Counted from 1.
    line: usize,
    n_lines: usize,
}

/// No function too long.
pub fn check(tree: &Tree, found: &mut Vec<Finding>) {
    for file in tree.files.iter().filter(|file| file.ends(".rs")) {
        for function in functions(file) {
            let (name, n_lines) = (&function.name, function.n_lines);
            let is_table = TABLES
                .iter()
                .any(|(path, table, _)| file.path == *path && name == table);
            if n_lines > LINES_MAX && !is_table {
                let what = format!("{name} has {n_lines} lines; the limit is {LINES_MAX}");
                report(found, file, function.line, what);
            }
        }
    }
}

/// Every named function of a file.
fn functions(file: &Source) -> Vec<Function> {
    let code = blank(file.text(), Language::Rust, false);
    let mut found = Vec::new();
    for (at, keyword) in code.match_indices("fn ") {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        let rest = &code[at + keyword.len()..];
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
        if is_word(before) || name.is_empty() {
            continue;
        }
        if let Some(len) = body_end(rest) {
            found.push(Function {
                name,
                line: code[..at].matches('\n').count() + 1,
                n_lines: rest[..len].matches('\n').count() + 1,
            });
        }
    }
    found
}

/// Where the body closes, behind a function's keyword; `None` if it has none.
fn body_end(rest: &str) -> Option<usize> {
    // Braces inside brackets belong to the signature: `[u8; { N }]`.
    let mut n_brackets = 0_usize;
    let mut n_braces = 0_usize;
    for (at, c) in rest.char_indices() {
        match c {
            '(' | '[' if n_braces == 0 => n_brackets += 1,
            ')' | ']' if n_braces == 0 => n_brackets = n_brackets.saturating_sub(1),
            ';' if n_braces == 0 && n_brackets == 0 => return None,
            '{' if n_brackets == 0 => n_braces += 1,
            '}' if n_brackets == 0 => {
                n_braces = n_braces.checked_sub(1)?;
                if n_braces == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_files;
    use super::*;

    /// A function of so many lines.
    fn long(head: &str, n_lines: usize) -> String {
        format!("{head} {{\n{}}}\n", "    g({}, [1]);\n".repeat(n_lines - 2))
    }

    #[test]
    fn long_functions_are_found() {
        let exact = long("fn f(a: [u8; 4]) -> [u8; 4]", LINES_MAX);
        let over = long("    pub const fn f(a: fn(u8))", LINES_MAX + 1);
        let sized = long("fn f(a: [u8; { N }])", LINES_MAX + 1);
        let said = format!("// fn f() {{\n{}// }}\n", "//\n".repeat(LINES_MAX));
        let two = format!(
            "trait A {{\n    fn f();\n}}\n{}",
            long("fn g()", LINES_MAX).repeat(2)
        );
        let files = [
            ("a.rs", &*exact),
            ("b.rs", &over),
            ("c.rs", &sized),
            ("d.rs", &said),
            ("e.rs", &two),
            ("f.md", &over),
        ];
        let found = check_files(check, &files);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("b.rs:1: f has 101"), "{found:?}");
        assert!(found[1].starts_with("c.rs:1:"), "{found:?}");
    }

    #[test]
    fn a_table_may_be_long() {
        let over = long("fn fmt()", LINES_MAX + 1);
        assert_eq!(check_files(check, &[(TABLES[0].0, &over)]).len(), 0);
        assert_eq!(check_files(check, &[("a/error.rs", &over)]).len(), 1);
    }
}
