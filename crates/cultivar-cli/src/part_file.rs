//! A file that appears under its name only when it is complete.
//!
//! It is written as `NAME.PID.part` beside its place and renamed at the end; when dropped before
//! that, the part is removed, so a failure leaves nothing behind and an older file untouched. Only
//! a regular file is ever replaced: a link leads to the file that it names, and a device, a pipe or
//! a socket is refused.

use crate::failure::Failure;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
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
        let path = replaceable(path)?;
        let (file, part) = create_part(&path).map_err(|error| Failure::writing(&path, &error))?;
        Ok(PartFile {
            file,
            part,
            path,
            is_done: false,
        })
    }

    /// Writes at this byte.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.file.seek(SeekFrom::Start(offset));
        let written = written.and_then(|_| self.file.write_all(bytes));
        written.map_err(|error| Failure::writing(&self.path, &error))
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

/// The path that a rename may replace: nothing yet, or a regular file, links followed.
fn replaceable(path: &Path) -> Result<PathBuf, Failure> {
    // Of the name itself, so that a link to nothing is seen.
    if path.symlink_metadata().is_err() {
        return Ok(path.to_path_buf());
    }
    let found = path.canonicalize().and_then(|end| {
        let kind = end.metadata()?.file_type();
        Ok((end, kind))
    });
    match found {
        Ok((end, kind)) if kind.is_file() => Ok(end),
        Ok((_, kind)) if kind.is_dir() => {
            Err(Failure::usage("is a folder; give the name of a file").about(path))
        }
        Ok(_) => {
            let message = "is no regular file and is not replaced; give another name";
            Err(Failure::usage(message).about(path))
        }
        Err(error) => {
            let message = format!("is a link that leads nowhere: {error}");
            Err(Failure::usage(message).about(path))
        }
    }
}

/// A part beside `path` that no other process writes. One of the same name was left by a process
/// that was stopped, so the next number is taken.
fn create_part(path: &Path) -> io::Result<(File, PathBuf)> {
    let mut number = 0;
    loop {
        let mut part = path.as_os_str().to_os_string();
        match number {
            0 => part.push(format!(".{}.part", std::process::id())),
            _ => part.push(format!(".{}-{number}.part", std::process::id())),
        }
        let mut options = File::options();
        match options.read(true).write(true).create_new(true).open(&part) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 100 => {
                number += 1;
            }
            opened => return opened.map(|file| (file, PathBuf::from(part))),
        }
    }
}
