//! Where the command writes: only a regular file is ever replaced, a part never outlives a failure,
//! and a full or closed standard output has its own exit code.
#![cfg(unix)]

mod command;

use command::{asked, files, folder_with_model, text};
use std::fs::File;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

const LOGITS: [&str; 6] = ["logits", "tiny.slm", "--prompt-ids", "1", "--all", "-o"];

#[test]
fn what_is_no_regular_file_is_refused_and_stays() {
    let folder = folder_with_model("not-regular", "f32");
    let mut make = Command::new("mkfifo");
    let made = make.arg("pipe").current_dir(&folder).status().unwrap();
    assert!(made.success());
    std::fs::create_dir(folder.join("sub")).unwrap();
    symlink("pipe", folder.join("to-pipe")).unwrap();
    symlink("sub", folder.join("to-sub")).unwrap();
    symlink("gone", folder.join("to-nothing")).unwrap();
    let before = files(&folder);
    for (name, reason) in [
        ("pipe", "no regular file"),
        ("to-pipe", "no regular file"),
        ("sub", "is a folder"),
        ("to-sub", "is a folder"),
        ("to-nothing", "leads nowhere"),
    ] {
        let error = asked(&folder, 2, &[&LOGITS[..], &[name]].concat());
        let message = text(&error, "message");
        assert!(message.starts_with(name), "{message}");
        assert!(message.contains(reason), "{message}");
    }
    assert_eq!(files(&folder), before);
    let kind = folder.join("pipe").symlink_metadata().unwrap();
    assert!(kind.file_type().is_fifo());
    for link in ["to-pipe", "to-sub", "to-nothing"] {
        let kind = folder.join(link).symlink_metadata().unwrap();
        assert!(kind.file_type().is_symlink(), "{link}");
    }
}

#[test]
fn a_link_stays_a_link_and_its_file_is_replaced() {
    let folder = folder_with_model("linked", "f32");
    std::fs::create_dir(folder.join("sub")).unwrap();
    std::fs::write(folder.join("sub/all.f32"), "older").unwrap();
    symlink("sub/all.f32", folder.join("link")).unwrap();
    asked(&folder, 0, &[&LOGITS[..], &["link"]].concat());
    let kind = folder.join("link").symlink_metadata().unwrap();
    assert!(kind.file_type().is_symlink());
    let written = std::fs::read(folder.join("sub/all.f32")).unwrap();
    assert_eq!(written.len(), 258 * 4);
    assert_eq!(files(&folder), ["link", "sub", "tiny.slm"]);
    assert_eq!(files(&folder.join("sub")), ["all.f32"]);
}

/// Exit code of `inspect` with this standard output.
fn exit_with(folder: &Path, out: impl Into<Stdio>, flags: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cultivar"));
    command.args(["inspect", "tiny.slm"]).args(flags);
    let child = command.current_dir(folder).stdout(out);
    let child = child.stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap_or(-1), errors)
}

#[test]
fn a_full_standard_output_is_exit_code_4() {
    let full = || File::options().write(true).open("/dev/full");
    if full().is_err() {
        eprintln!("skipped: this system has no device that is always full");
        return;
    }
    let folder = folder_with_model("full", "f32");
    for flags in [&[][..], &["--json"]] {
        let (exit, errors) = exit_with(&folder, full().unwrap(), flags);
        assert_eq!(exit, 4, "{errors}");
        assert!(errors.contains("standard output"), "{errors}");
    }
}

#[test]
fn a_closed_standard_output_is_exit_code_5() {
    let folder = folder_with_model("closed", "f32");
    for flags in [&[][..], &["--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (exit, errors) = exit_with(&folder, writer, flags);
        assert_eq!(exit, 5, "{errors}");
        assert!(errors.contains("standard output"), "{errors}");
    }
}
