//! `site`: the folder to publish. The page, the kit and the modules as `lab` serves them, without
//! tests: ready for any static host.

use crate::flags::Given;
use crate::{TaskError, TaskResult, served_script, wasm, workspace};
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
    let root = workspace::root();
    let n_bytes = write(&root.join("web"), &folder)?;
    fs::copy(root.join("LICENSE"), folder.join("LICENSE"))
        .map_err(|error| cannot(&folder.join("LICENSE"), &error))?;
    let shown = folder.display();
    println!("site: {shown}  {} in all", wasm::kib(n_bytes));
    Ok(())
}

/// The bytes of a file as they are served.
pub fn served(path: &Path) -> std::io::Result<Vec<u8>> {
    let bytes = fs::read(path)?;
    if path.extension().is_none_or(|ending| ending != "js") {
        return Ok(bytes);
    }
    Ok(match String::from_utf8(bytes) {
        Ok(script) => served_script::blanked(&script).into_bytes(),
        Err(error) => error.into_bytes(),
    })
}

/// Whether a file of `web/`, by its path there, is part of the site.
pub fn is_published(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    !path.starts_with("test/") && path != "package.json" && !name.starts_with('.')
}

fn write(web: &Path, folder: &Path) -> TaskResult<u64> {
    let mut n_bytes = 0;
    for path in files(web, "") {
        if !is_published(&path) {
            continue;
        }
        let to = folder.join(&path);
        let bytes = served(&web.join(&path)).map_err(|error| cannot(&to, &error))?;
        let made = to.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::write(&to, &bytes))
            .map_err(|error| cannot(&to, &error))?;
        n_bytes += bytes.len() as u64;
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
    fn the_folder_holds_what_is_served_and_no_tests() {
        let folder = std::env::temp_dir().join(format!("site-{}", std::process::id()));
        let web = folder.join("web");
        for name in ["runtime", "test/lab", "wasm"] {
            fs::create_dir_all(web.join(name)).unwrap();
        }
        for (name, text) in [
            ("index.html", "<!-- kept -->"),
            ("package.json", "{}"),
            ("runtime/a.js", "// gone\nb();\n"),
            ("runtime/a.d.ts", "// kept\n"),
            ("test/lab/c.js", "c();"),
            ("wasm/d.wasm", "// kept"),
        ] {
            fs::write(web.join(name), text).unwrap();
        }
        let site = folder.join("site");
        let n_bytes = write(&web, &site).ok();
        let read = |name: &str| fs::read_to_string(site.join(name)).unwrap_or_default();
        assert_eq!(read("index.html"), "<!-- kept -->");
        assert_eq!(read("runtime/a.js"), "\nb();\n");
        assert_eq!(read("runtime/a.d.ts"), "// kept\n");
        assert_eq!(read("wasm/d.wasm"), "// kept");
        assert_eq!(files(&site, "").len(), 4);
        assert_eq!(n_bytes, Some(13 + 6 + 8 + 7));
        fs::remove_dir_all(&folder).unwrap();
    }
}
