//! A file that appears under its name only when it is complete.
//!
//! It is written as `NAME.part` beside its place and renamed at the end; when dropped before that,
//! the part is removed, so a failure leaves nothing behind and an older file untouched.

use crate::failure::Failure;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file being written.
pub struct PartFile {
    file: File,
    part: PathBuf,
    path: PathBuf,
    is_done: bool,
}

impl PartFile {
    /// Begins `path`.
    pub fn create(path: &Path) -> Result<PartFile, Failure> {
        if path.is_dir() {
            return Err(Failure::usage("is a folder; give the name of a file").about(path));
        }
        let mut part = path.as_os_str().to_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(true);
        let file = options
            .open(&part)
            .map_err(|error| Failure::writing(&part, &error))?;
        Ok(PartFile {
            file,
            part,
            path: path.to_path_buf(),
            is_done: false,
        })
    }

    /// Writes at this byte.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.file.seek(SeekFrom::Start(offset));
        let written = written.and_then(|_| self.file.write_all(bytes));
        written.map_err(|error| Failure::writing(&self.part, &error))
    }

    /// The part's path, for reading it back before it is finished.
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// Gives the file its name.
    pub fn finish(mut self) -> Result<(), Failure> {
        let renamed = self.file.sync_all();
        let renamed = renamed.and_then(|()| std::fs::rename(&self.part, &self.path));
        renamed.map_err(|error| Failure::writing(&self.path, &error))?;
        self.is_done = true;
        Ok(())
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.is_done {
            // Nothing more can be done about a part that cannot be removed.
            let _ = std::fs::remove_file(&self.part);
        }
    }
}
