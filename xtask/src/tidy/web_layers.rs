//! Checks on the page and the kit: who may import whom, that one file alone touches the module's
//! memory, that nothing random or timed reaches a digest, and that no text becomes markup or code.

use super::blank::{Language, blank};
use super::{Finding, Source, Tree, report};

/// Folder and what its files may import, first match wins. A panel is deaf to other panels, so
/// `panels/` does not list itself; a panel that is a folder may use that folder.
const LAYERS: &[(&str, &[&str])] = &[
    ("web/runtime/", &["web/runtime/"]),
    ("web/lab/state/", &["web/lab/state/"]),
    ("web/lab/ui/", &["web/lab/ui/"]),
    ("web/lab/panels/", &["web/lab/ui/", "web/lab/state/"]),
    ("web/lab/", &["web/lab/", "web/runtime/cultivar.js"]),
    ("web/test/", &["web/"]),
];

/// The one file that makes views of the module's memory.
const MEMORY_FILE: &str = "web/runtime/memory.js";

/// Folders on whose code digests and replays depend.
const REPEATABLE: &[&str] = &["web/lab/state/", "web/runtime/"];

const UNREPEATABLE: &[&str] = &[
    "Math.random",
    "Date.now",
    "new Date",
    "Date(",
    "getRandomValues",
    "randomUUID",
];

/// Ways for text to become markup or code; the page's policy forbids the last two anyway.
const MARKUP: &[&str] = &[
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "eval(",
    "new Function",
];

/// Imports are relative, exist, and follow the layers.
pub fn check_imports(tree: &Tree, found: &mut Vec<Finding>) {
    for file in tree
        .files
        .iter()
        .filter(|file| is_script(file) && file.path.starts_with("web/"))
    {
        let Some((_, allowed)) = LAYERS.iter().find(|(at, _)| file.path.starts_with(at)) else {
            report(
                found,
                file,
                1,
                "lies in no folder that the table of layers names",
            );
            continue;
        };
        for (line, target) in imports(file) {
            if target.starts_with("node:") && file.path.starts_with("web/test/") {
                continue;
            }
            let Some(path) = resolve(&file.path, &target) else {
                report(
                    found,
                    file,
                    line,
                    format!("imports \"{target}\", which is not relative"),
                );
                continue;
            };
            if tree.find(&path).is_none() {
                report(
                    found,
                    file,
                    line,
                    format!("imports {path}, which does not exist"),
                );
            }
            let own_panel = panel(&file.path).is_some_and(|own| path.starts_with(own));
            if !own_panel && !allowed.iter().any(|at| path.starts_with(at)) {
                report(
                    found,
                    file,
                    line,
                    format!("may not import {path}, another layer"),
                );
            }
        }
    }
}

/// The folder of a panel that is one: `web/lab/panels/NAME/`.
fn panel(path: &str) -> Option<&str> {
    let start = "web/lab/panels/".len();
    let rest = path.strip_prefix("web/lab/panels/")?;
    rest.find('/').map(|len| &path[..start + len + 1])
}

/// Every module specifier in the file, with its line: `from "x"`, `import "x"`, `import("x")`.
fn imports(file: &Source) -> Vec<(usize, String)> {
    let code = blank(file.text(), Language::JavaScript, true);
    let names = blank(file.text(), Language::JavaScript, false);
    let mut found = Vec::new();
    for word in ["from", "import"] {
        for (at, _) in names.match_indices(word) {
            // Blanking keeps the number of characters, not of bytes: both texts are cut by
            // character.
            let chars = names[..at].chars().count();
            let before = names[..at].chars().next_back().unwrap_or(' ');
            let rest: String = code.chars().skip(chars + word.len()).take(200).collect();
            let rest = rest.trim_start().trim_start_matches('(').trim_start();
            let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
            let (Some(quote), false) = (quote, before.is_alphanumeric() || before == '.') else {
                continue;
            };
            if let Some(target) = rest[1..].split(quote).next() {
                found.push((names[..at].matches('\n').count() + 1, target.to_string()));
            }
        }
    }
    found
}

/// A relative specifier against the file that holds it; `None` if it is not relative.
fn resolve(from: &str, target: &str) -> Option<String> {
    if !target.starts_with("./") && !target.starts_with("../") {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// One file alone touches the module's memory.
pub fn check_memory(tree: &Tree, found: &mut Vec<Finding>) {
    let shipped = |file: &&Source| is_shipped(file) && file.path != MEMORY_FILE;
    for file in tree.files.iter().filter(shipped) {
        refuse(file, &["memory.buffer"], found, |word| {
            format!("{word} belongs into {MEMORY_FILE} only")
        });
    }
}

/// Same link, same seed, same child: nothing random or timed where digests are made.
pub fn check_repeatable(tree: &Tree, found: &mut Vec<Finding>) {
    let concerned = |file: &&Source| {
        is_script(file)
            && REPEATABLE
                .iter()
                .any(|folder| file.path.starts_with(folder))
    };
    for file in tree.files.iter().filter(concerned) {
        refuse(file, UNREPEATABLE, found, |word| {
            format!("{word} in a path that reaches a digest")
        });
    }
}

/// Text is set as text: no model's output can become markup or code.
pub fn check_markup(tree: &Tree, found: &mut Vec<Finding>) {
    for file in tree.files.iter().filter(is_shipped) {
        refuse(file, MARKUP, found, |word| {
            format!("{word} turns text into markup or code")
        });
    }
}

fn refuse(file: &Source, words: &[&str], found: &mut Vec<Finding>, what: fn(&str) -> String) {
    let code = blank(file.text(), Language::JavaScript, false);
    for (idx, line) in code.lines().enumerate() {
        for word in words.iter().filter(|word| has_word(line, word)) {
            report(found, file, idx + 1, what(word));
        }
    }
}

/// Whether the line holds the text where no longer name ends with it.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().unwrap_or(' ');
        !(before.is_alphanumeric() || before == '_' || before == '$')
    })
}

fn is_script(file: &Source) -> bool {
    file.ends(".js") || file.ends(".mjs")
}

/// Scripts that a visitor gets.
fn is_shipped(file: &&Source) -> bool {
    is_script(file) && file.path.starts_with("web/") && !file.path.starts_with("web/test/")
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_files;
    use super::*;

    #[test]
    fn imports_follow_the_layers() {
        let files = [
            (
                "web/runtime/cultivar.js",
                "import { a } from './memory.js';\n",
            ),
            (
                "web/runtime/memory.js",
                "export * from \"../lab/main.js\";\n",
            ),
            (
                "web/lab/main.js",
                "import '../runtime/cultivar.js';\nimport './panels/a.js';\n",
            ),
            ("web/lab/ui/el.js", "import x from 'lodash';\n"),
            (
                "web/lab/panels/a.js",
                "import { b } from './b.js'; // from './c.js'\n",
            ),
            (
                "web/lab/panels/b.js",
                "import '../ui/el.js';\nimport '../../runtime/memory.js';\n",
            ),
            ("web/lab/panels/c/x.js", "import './y.js';\n"),
            (
                "web/lab/panels/c/y.js",
                "const f = () => import('../gone.js');\n",
            ),
            ("web/test/lab/x.test.mjs", "import test from 'node:test';\n"),
        ];
        let found = check_files(check_imports, &files);
        // memory.js up into lab, el.js bare, a.js to b.js, b.js past the kit, y.js gone and deaf.
        assert_eq!(found.len(), 6, "{found:#?}");
    }

    #[test]
    fn shipped_scripts_keep_their_hands_off() {
        let files = [
            ("web/runtime/memory.js", "x.memory.buffer;\n"),
            (
                "web/runtime/engine.js",
                "x.memory.buffer; // memory.buffer\n",
            ),
            ("web/test/x.mjs", "x.memory.buffer; a.innerHTML = 1;\n"),
            (
                "web/lab/panels/a.js",
                "node.innerHTML = text; Math.random();\n",
            ),
            ("web/lab/state/url.js", "new Date(); update();\n"),
        ];
        assert_eq!(check_files(check_memory, &files).len(), 1);
        assert_eq!(check_files(check_markup, &files).len(), 1);
        let found = check_files(check_repeatable, &files);
        assert!(
            !found.is_empty() && found.iter().all(|one| one.contains("url.js")),
            "{found:?}"
        );
    }
}
