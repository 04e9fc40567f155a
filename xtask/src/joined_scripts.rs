//! Joins the page's modules into a few files, so that a visitor's browser asks for five scripts
//! instead of seventy. Not a general bundler: it reads the forms of `import` and `export` that this
//! project writes, each at the beginning of a line, and refuses what it does not know.
//!
//! Every module becomes a function that runs once and hands out its exports, after those that it
//! imports. Modules that several scripts need stand in one shared file. The sources run as they
//! are, too.

use crate::lean_script;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A script of the site: its path there and its text.
pub type Script = (String, String);

/// One module after reading.
struct Module {
    path: String,
    text: String,
    statements: Vec<Statement>,
    /// Indices of the entries that need it.
    entries: Vec<usize>,
}

/// An `import { … } from` or `export { … } from`, whole lines of the text.
struct Statement {
    lines: std::ops::Range<usize>,
    is_export: bool,
    /// Name there and name here.
    names: Vec<(String, String)>,
    from: String,
}

/// The joined scripts: one per entry, at its place, and `shared`, if there is something in it.
///
/// `read` gives the text of a module by its path; entries are paths too, and stay modules of their
/// own also where another entry imports them.
pub fn join(
    read: &dyn Fn(&str) -> Option<String>,
    entries: &[String],
    shared: &str,
) -> Result<Vec<Script>, String> {
    let mut modules = Vec::new();
    for (idx, entry) in entries.iter().enumerate() {
        let mut open = Vec::new();
        visit(read, entries, entry, (idx, &mut open), &mut modules)?;
    }
    let place = |module: &Module| match entries.contains(&module.path) {
        true => module.path.clone(),
        false if module.entries.len() > 1 => shared.to_string(),
        false => entries[module.entries[0]].clone(),
    };
    let places: Vec<String> = modules.iter().map(place).collect();
    let mut files: Vec<&str> = entries.iter().map(String::as_str).collect();
    files.push(shared);
    let mut scripts = Vec::new();
    for file in files {
        if let Some(text) = script(file, entries, &modules, &places)? {
            scripts.push((file.to_string(), text));
        }
    }
    Ok(scripts)
}

/// Puts a module behind those that it imports, and notes who needs it.
fn visit(
    read: &dyn Fn(&str) -> Option<String>,
    entries: &[String],
    path: &str,
    (entry, open): (usize, &mut Vec<String>),
    modules: &mut Vec<Module>,
) -> Result<(), String> {
    if open.iter().any(|other| other == path) {
        return Err(format!("{path} imports itself, by way of others"));
    }
    let known = modules.iter().position(|module| module.path == path);
    let module = match known {
        Some(at) if modules[at].entries.contains(&entry) => return Ok(()),
        Some(at) => {
            modules[at].entries.push(entry);
            None
        }
        None => {
            let source = read(path).ok_or_else(|| format!("{path} is imported, but not there"))?;
            let text = lean_script::lean(&source);
            let statements = statements(path, &text)?;
            let entries = vec![entry];
            let path = path.to_string();
            Some(Module {
                path,
                text,
                statements,
                entries,
            })
        }
    };
    let of = |module: &Module| -> Vec<String> {
        let froms = module.statements.iter().map(|one| one.from.clone());
        froms.filter(|from| !entries.contains(from)).collect()
    };
    let imported = match (&module, known) {
        (Some(module), _) => of(module),
        (None, Some(at)) => of(&modules[at]),
        (None, None) => Vec::new(),
    };
    open.push(path.to_string());
    for from in imported {
        visit(read, entries, &from, (entry, open), modules)?;
    }
    open.pop();
    modules.extend(module);
    Ok(())
}

/// The statements of a module that name another.
fn statements(path: &str, text: &str) -> Result<Vec<Statement>, String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let is_export = lines[at].starts_with("export {");
        if !is_export && !lines[at].starts_with("import ") {
            at += 1;
            continue;
        }
        let rest = lines[at..].iter();
        let len = 1 + rest.take_while(|line| !line.ends_with(';')).count();
        let end = (at + len).min(lines.len());
        let whole = lines[at..end].join(" ");
        let read = statement(path, &whole).ok_or_else(|| format!("{path}: not known: {whole}"))?;
        found.push(Statement {
            lines: at..end,
            is_export,
            names: read.0,
            from: read.1,
        });
        at = end;
    }
    Ok(found)
}

/// `import { a, b as c } from "./x.js";` as names and the path that is meant.
fn statement(path: &str, whole: &str) -> Option<(Vec<(String, String)>, String)> {
    let (_, rest) = whole.split_once('{')?;
    let (names, rest) = rest.split_once('}')?;
    let from = rest.trim().strip_prefix("from \"")?.strip_suffix("\";")?;
    let names = names
        .split(',')
        .map(str::trim)
        .filter(|one| !one.is_empty());
    let pairs = names.map(|one| {
        let (there, here) = one.split_once(" as ").unwrap_or((one, one));
        (there.to_string(), here.to_string())
    });
    Some((pairs.collect(), resolved(path, from)?))
}

/// The path that `./x.js` or `../y/x.js` in the module at `path` means.
fn resolved(path: &str, from: &str) -> Option<String> {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    if !from.starts_with('.') {
        return None;
    }
    for part in from.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// How a script at `file` names what is at `path`.
fn relative(file: &str, path: &str) -> String {
    let (from, to): (Vec<&str>, Vec<&str>) = (file.split('/').collect(), path.split('/').collect());
    let folders = &from[..from.len() - 1];
    let same = folders.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = "../".repeat(folders.len() - same);
    let here = if up.is_empty() { "./" } else { "" };
    format!("{here}{up}{}", to[same..].join("/"))
}

/// The joined text of one file; `None` when nothing belongs there.
fn script(
    file: &str,
    entries: &[String],
    modules: &[Module],
    places: &[String],
) -> Result<Option<String>, String> {
    let mut body = String::new();
    let mut outside = Outside::new();
    let mut given = Vec::new();
    for (idx, module) in modules.iter().enumerate() {
        if places[idx] != file {
            continue;
        }
        let (head, mut exports) = links(module, modules, (file, places), entries, &mut outside)?;
        let (text, declared) = own_text(module, file);
        if module.path == file {
            let _ = write!(body, "{head}{text}");
            for (value, name) in &exports {
                let _ = writeln!(body, "const $_{name} = {value};");
                let _ = writeln!(body, "export {{ $_{name} as {name} }};");
            }
            let _ = writeln!(body, "export {{ {} }};", declared.join(", "));
        } else {
            exports.extend(declared.into_iter().map(|name| (name.clone(), name)));
            let pairs = exports.iter().map(|(value, name)| match value == name {
                true => name.clone(),
                false => format!("{name}: {value}"),
            });
            let names = pairs.collect::<Vec<_>>().join(", ");
            let _ = writeln!(body, "const ${idx} = (() => {{");
            let _ = writeln!(body, "{head}{text}return {{ {names} }};\n}})();");
            given.push(format!("${idx}"));
        }
    }
    if body.is_empty() {
        return Ok(None);
    }
    if !entries.iter().any(|entry| entry == file) {
        let _ = writeln!(body, "export {{ {} }};", given.join(", "));
    }
    Ok(Some(imports(file, outside) + &body))
}

/// What a file takes from others: their paths, and names, with a star where it is all of a script.
type Outside = BTreeMap<String, Vec<String>>;

/// A module's imports as constants, and what it hands on: the value and its name.
fn links(
    module: &Module,
    modules: &[Module],
    (file, places): (&str, &[String]),
    entries: &[String],
    outside: &mut Outside,
) -> Result<(String, Vec<(String, String)>), String> {
    let mut head = String::new();
    let mut exports = Vec::new();
    for one in &module.statements {
        let at = modules.iter().position(|other| other.path == one.from);
        let at = at.ok_or_else(|| format!("{} is not there", one.from))?;
        if places[at] != file {
            let star = if entries.contains(&one.from) { "*" } else { "" };
            let names = outside.entry(places[at].clone()).or_default();
            names.push(format!("{star}${at}"));
        }
        let names = one.names.iter();
        if one.is_export {
            exports.extend(names.map(|(there, here)| (format!("${at}.{there}"), here.clone())));
            continue;
        }
        let pairs = names.map(|(there, here)| match there == here {
            true => there.clone(),
            false => format!("{there}: {here}"),
        });
        let names = pairs.collect::<Vec<_>>().join(", ");
        let _ = writeln!(head, "const {{ {names} }} = ${at};");
    }
    Ok((head, exports))
}

/// The imports at the head of a file: an entry as a whole, the shared modules by name.
fn imports(file: &str, outside: Outside) -> String {
    let mut head = String::new();
    for (from, mut names) in outside {
        names.sort();
        names.dedup();
        let from = relative(file, &from);
        let (whole, single): (Vec<&String>, Vec<&String>) =
            names.iter().partition(|name| name.starts_with('*'));
        for name in whole {
            let name = name.trim_start_matches('*');
            let _ = writeln!(head, "import * as {name} from \"{from}\";");
        }
        let single: Vec<&str> = single.into_iter().map(String::as_str).collect();
        if !single.is_empty() {
            let _ = writeln!(head, "import {{ {} }} from \"{from}\";", single.join(", "));
        }
    }
    head
}

/// A module's own text without its statements, and the names that it exports.
fn own_text(module: &Module, file: &str) -> (String, Vec<String>) {
    let mut text = String::new();
    let mut names = Vec::new();
    for (idx, line) in module.text.lines().enumerate() {
        if module.statements.iter().any(|one| one.lines.contains(&idx)) {
            continue;
        }
        let line = match line.strip_prefix("export ") {
            Some(declaration) => {
                names.extend(declared_name(declaration));
                declaration
            }
            None => line,
        };
        text += line;
        text.push('\n');
    }
    if module.path != file {
        let place = relative(file, &module.path);
        let url = format!("new URL(\"{place}\", import.meta.url)");
        text = text.replace("import.meta.url", &url);
    }
    (text, names)
}

/// The name in `function a(`, `async function* a(`, `class a {` or `const a =`.
fn declared_name(declaration: &str) -> Option<String> {
    let mut words = declaration.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'));
    let name = words.find(|word| !["", "async", "function", "class", "const"].contains(word))?;
    Some(name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn joined(sources: &[(&str, &str)], entries: &[&str]) -> Result<Vec<Script>, String> {
        let read = |path: &str| {
            let found = sources.iter().find(|(name, _)| *name == path);
            found.map(|(_, text)| text.to_string())
        };
        let entries: Vec<String> = entries.iter().map(|one| (*one).to_string()).collect();
        join(&read, &entries, "lib/shared.js")
    }

    const SOURCES: &[(&str, &str)] = &[
        (
            "app/main.js",
            "/** App. */\nimport { twice } from \"./deep/twice.js\";\n\
             import { Kit } from \"../lib/kit.js\";\nimport {\n  one as first,\n} from \
             \"../lib/one.js\";\nexport const answer = [twice(first), new Kit().n, Kit.place];\n",
        ),
        (
            "app/deep/twice.js",
            "/** Twice. */\nimport { one } from \"../../lib/one.js\";\n\
             export function twice(x) {\n  return 2 * x * one;\n}\n",
        ),
        ("lib/one.js", "/** One. */\nexport const one = 21;\n"),
        (
            "lib/kit.js",
            "/** Kit. */\nimport { one } from \"./one.js\";\n\
             export { one as only } from \"./one.js\";\n\
             export class Kit {\n  static place = import.meta.url.slice(-6);\n  n = one;\n}\n",
        ),
    ];

    #[test]
    fn joined_scripts_do_what_their_sources_do() {
        let scripts = joined(SOURCES, &["app/main.js", "lib/kit.js"]).unwrap();
        let names: Vec<&str> = scripts.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["app/main.js", "lib/kit.js", "lib/shared.js"]);
        let folder = std::env::temp_dir().join(format!("joined-{}", std::process::id()));
        for name in ["app", "lib"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        for (name, text) in &scripts {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let check = "import { answer } from './app/main.js'; import { only } from './lib/kit.js';\n\
                     console.log(JSON.stringify([...answer, only]));";
        std::fs::write(folder.join("package.json"), "{\"type\":\"module\"}").unwrap();
        std::fs::write(folder.join("check.js"), check).unwrap();
        let ran = Command::new("node")
            .arg("check.js")
            .current_dir(&folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let failed = String::from_utf8_lossy(&ran.stderr).into_owned();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(said, "[882,21,\"kit.js\",21]\n", "{failed}");
    }

    #[test]
    fn a_moved_module_finds_what_it_found() {
        let sources = [
            ("a/main.js", "import { url } from \"./b/c.js\";\nurl;\n"),
            (
                "a/b/c.js",
                "export const url = new URL(\"../x\", import.meta.url);\n",
            ),
        ];
        let scripts = joined(&sources, &["a/main.js"]).unwrap();
        let expected = "new URL(\"../x\", new URL(\"./b/c.js\", import.meta.url))";
        assert!(scripts[0].1.contains(expected), "{}", scripts[0].1);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (text, part) in [
            ("import x from \"./y.js\";\n", "not known"),
            ("import \"./y.js\";\n", "not known"),
            ("import { x } from \"y\";\n", "not known"),
            ("export { x };\n", "not known"),
            ("import { x } from \"./y.js\";\n", "not there"),
            ("import { x } from \"./main.js\";\n", "itself"),
        ] {
            let sources = [
                ("a/main.js", "import { z } from \"./z.js\";\n"),
                ("a/z.js", text),
            ];
            let sources = match part {
                "itself" => vec![sources[0], ("a/z.js", "import { z } from \"./z.js\";\n")],
                _ => sources.to_vec(),
            };
            let refusal = joined(&sources, &["a/main.js"]).unwrap_err();
            assert!(refusal.contains(part), "{refusal}");
        }
    }
}
