//! The demo beside the page: `web/demo/` holds copies of the family's package and adapters, so that
//! `web/` as a whole can be put on any static host. The copies are built, not committed.

use crate::{TaskError, TaskResult, workspace};
use std::path::PathBuf;

/// The package that the page offers, in `fixtures/family` and in `web/demo`.
const PACKAGE: &str = "sprout.slm";
/// Its adapters, each a folder of `adapters`.
const SKILLS: [&str; 5] = ["fact", "add", "plural", "reverse", "json"];
/// What such a folder holds.
const PARTS: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];

/// Copies everything to where the page looks for it, if it is not there already.
pub fn place() -> TaskResult {
    place_file(PACKAGE.into())?;
    for skill in SKILLS {
        for part in PARTS {
            place_file(PathBuf::from("adapters").join(skill).join(part))?;
        }
    }
    Ok(())
}

fn place_file(path: PathBuf) -> TaskResult {
    let root = workspace::root();
    let (from, to) = (
        root.join("fixtures/family").join(&path),
        root.join("web/demo").join(&path),
    );
    let failed =
        |path: &PathBuf, error| TaskError::Failed(format!("the demo: {}: {error}", path.display()));
    let bytes = std::fs::read(&from).map_err(|error| failed(&from, error))?;
    if std::fs::read(&to).is_ok_and(|placed| placed == bytes) {
        return Ok(());
    }
    let folder = to.parent().map_or(Ok(()), std::fs::create_dir_all);
    folder
        .and_then(|()| std::fs::write(&to, bytes))
        .map_err(|error| failed(&to, error))
}
