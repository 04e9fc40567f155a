//! `site`: the folder to publish. The page, the kit, the modules and the demo, without tests and
//! with their scripts joined: ready for any static host.

use crate::flags::Given;
use crate::joined_scripts::{self, Script};
use crate::lean_script;
use crate::{TaskError, TaskResult, wasm, workspace};
use std::fs;
use std::path::{Path, PathBuf};

/// Builds the modules and writes the folder.
pub fn run(given: &Given) -> TaskResult {
    let folder = match given.value("-o") {
        Some(folder) => PathBuf::from(folder),
        None => workspace::target_dir().join("site"),
    };
    // What is there is replaced only where this task put it.
    let is_ours = given.value("-o").is_none();
    if is_ours && folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| cannot(&folder, &error))?;
    }
    if fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
        let shown = folder.display();
        return Err(TaskError::Usage(format!(
            "{shown} is not empty; give a new folder to -o"
        )));
    }
    wasm::build(false, false)?;
    write_to(&folder)
}

/// Writes the site of the modules as they are built into a new folder.
pub fn write_to(folder: &Path) -> TaskResult {
    let root = workspace::root();
    let n_bytes = write(&root.join("web"), folder)?;
    fs::copy(root.join("LICENSE"), folder.join("LICENSE"))
        .map_err(|error| cannot(&folder.join("LICENSE"), &error))?;
    let shown = folder.display();
    println!("site: {shown}  {} in all", wasm::kib(n_bytes));
    Ok(())
}

/// Where scripts begin, beside those of the workers: the page's and the kit's.
const ENTRIES: &[&str] = &["lab/main.js", "runtime/cultivar.js"];
/// What several of them need.
const SHARED: &str = "runtime/shared.js";

/// Whether a file of `web/`, by its path there, is a script that is joined with others.
fn is_source(path: &str) -> bool {
    is_published(path) && path.ends_with(".js")
}

/// Whether a file of `web/`, by its path there, is part of the site.
fn is_published(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    !path.starts_with("test/") && path != "package.json" && !name.starts_with('.')
}

/// The joined scripts of a folder such as `web/`: path and text.
pub fn scripts(web: &Path) -> TaskResult<Vec<Script>> {
    let read = |path: &str| fs::read_to_string(web.join(path)).ok();
    let sources = files(web, "").into_iter().filter(|path| is_source(path));
    let mut entries: Vec<String> = sources
        .clone()
        .filter(|path| ENTRIES.contains(&path.as_str()))
        .collect();
    // A worker begins with a script of its own.
    entries.extend(sources.filter(|path| path.ends_with("worker.js")));
    let joined = joined_scripts::join(&read, &entries, SHARED).map_err(TaskError::Failed)?;
    let tight = |(name, text): Script| (name, lean_script::tight(&text));
    Ok(joined.into_iter().map(tight).collect())
}

fn write(web: &Path, folder: &Path) -> TaskResult<u64> {
    let mut n_bytes = 0;
    let mut put = |path: &str, bytes: &[u8]| {
        let to = folder.join(path);
        let made = to.parent().map_or(Ok(()), fs::create_dir_all);
        n_bytes += bytes.len() as u64;
        made.and_then(|()| fs::write(&to, bytes))
            .map_err(|error| cannot(&to, &error))
    };
    for (path, text) in scripts(web)? {
        put(&path, text.as_bytes())?;
    }
    let others = files(web, "").into_iter();
    for path in others.filter(|path| is_published(path) && !is_source(path)) {
        let from = web.join(&path);
        let bytes = fs::read(&from).map_err(|error| cannot(&from, &error))?;
        put(&path, &bytes)?;
    }
    Ok(n_bytes)
}

/// Files below a folder, built ones included, by their path with slashes, sorted.
fn files(web: &Path, below: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(web.join(below))
        .into_iter()
        .flatten()
        .flatten()
    {
        let path = format!("{below}{}", entry.file_name().to_string_lossy());
        match entry.path().is_dir() {
            true => found.extend(files(web, &(path + "/"))),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

fn cannot(path: &Path, error: &std::io::Error) -> TaskError {
    TaskError::Failed(format!("{} cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_holds_joined_scripts_and_no_tests() {
        let folder = std::env::temp_dir().join(format!("site-{}", std::process::id()));
        let web = folder.join("web");
        for name in ["runtime", "test/lab", "wasm"] {
            fs::create_dir_all(web.join(name)).unwrap();
        }
        for (name, text) in [
            ("index.html", "<!-- kept -->"),
            ("package.json", "{}"),
            (
                "runtime/cultivar.js",
                "// gone\nimport { b } from \"./a.js\";\nb();\n",
            ),
            ("runtime/a.js", "// gone\nexport const b = 1;\n"),
            ("runtime/a.d.ts", "// kept\n"),
            ("test/lab/c.js", "c();"),
            ("wasm/d.wasm", "// kept"),
        ] {
            fs::write(web.join(name), text).unwrap();
        }
        let site = folder.join("site");
        assert!(write(&web, &site).is_ok_and(|n| n > 40));
        let read = |name: &str| fs::read_to_string(site.join(name)).unwrap_or_default();
        assert_eq!(read("index.html"), "<!-- kept -->");
        let script = read("runtime/cultivar.js");
        assert!(
            script.contains("const b=1;") && !script.contains("gone"),
            "{script}"
        );
        assert_eq!(read("runtime/a.d.ts"), "// kept\n");
        assert_eq!(read("wasm/d.wasm"), "// kept");
        assert_eq!(files(&site, "").len(), 4);
        fs::remove_dir_all(&folder).unwrap();
    }
}
