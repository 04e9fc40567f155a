//! The demo beside the page: `web/demo/` holds a copy of the family's package, so that `web/` as
//! a whole can be put on any static host. The copy is built, not committed.

use crate::{TaskError, TaskResult, workspace};
use std::path::PathBuf;

/// The package that the page offers, in `fixtures/family` and in `web/demo`.
const FILE: &str = "sprout.slm";

/// Copies the package where the page looks for it, if it is not there already.
pub fn place() -> TaskResult {
    let root = workspace::root();
    let (from, folder) = (
        root.join("fixtures/family").join(FILE),
        root.join("web/demo"),
    );
    let failed =
        |path: &PathBuf, error| TaskError::Failed(format!("the demo: {}: {error}", path.display()));
    let package = std::fs::read(&from).map_err(|error| failed(&from, error))?;
    let to = folder.join(FILE);
    if std::fs::read(&to).is_ok_and(|placed| placed == package) {
        return Ok(());
    }
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&to, package))
        .map_err(|error| failed(&to, error))
}
