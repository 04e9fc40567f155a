//! `cultivar verify`: every digest of a package anew, and every value finite.
//!
//! A package that can be read but does not agree with itself is answered with no (exit 1) and
//! everything that differs; a file that is no package, or not a whole one, is bad input (exit 3).

use super::Command;
use crate::arguments::Arguments;
use crate::failure::{Exit, Failure};
use crate::output::Report;
use crate::package_file::PackageFile;
use cultivar_core::adapter::AdapterHead;
use cultivar_core::digest::Digest;
use cultivar_core::json::JsonWriter;
use cultivar_core::package::{
    Directory, Entry, Head, Header, PackageErrorKind, PackageKind, verify_tensor,
};
use cultivar_core::tokenizer::Tokenizer;
use std::fmt::Write;
use std::path::Path;

pub const COMMAND: Command = Command {
    name: "verify",
    summary: "Check every digest and every value of a package",
    usage: &["FILE [--json]"],
    about: "Exit code 0: all is well. 1: something differs, and all of it is listed.\n\
            3: the file is no package, or not a whole one.",
    flags: &[],
    run,
};

/// What was read of a package before its tensors.
struct Opened {
    directory: Directory,
    data_end: u64,
    weights: Digest,
}

fn run(given: &Arguments) -> Result<Report, Failure> {
    verify(given.file()?)
}

/// Whether every digest and value of this package is right.
pub fn is_whole(path: &Path) -> Result<bool, Failure> {
    Ok(!verify(path)?.is_no)
}

fn verify(path: &Path) -> Result<Report, Failure> {
    let mut file = PackageFile::open(path)?;
    let mut problems = Vec::new();
    let (header, bytes) = match file.head_bytes() {
        Ok(read) => read,
        Err(failure) => return differs(failure).map(|problem| report(&file, None, &[problem])),
    };
    let opened = match open(&file, header, &bytes, &mut problems) {
        Ok(opened) => opened,
        Err(failure) => {
            let problem = differs(failure).map_err(|failure| file.about(failure))?;
            return Ok(report(&file, None, &[problem]));
        }
    };
    check_tensors(&mut file, &opened, &mut problems)?;
    let tail = file.bytes(
        opened.data_end,
        file.file_bytes.saturating_sub(opened.data_end),
    )?;
    let content = match header.kind {
        PackageKind::Model => {
            let head = Head::parse(&bytes, file.file_bytes).map_err(|e| file.about(e))?;
            head.parse_tail(&tail).map_err(Failure::from)
        }
        PackageKind::Adapter => {
            let head = AdapterHead::parse(&bytes, file.file_bytes).map_err(|e| file.about(e))?;
            head.parse_tail(&tail).map_err(Failure::from)
        }
    };
    match content {
        Ok(tail) if problems.is_empty() => {
            let identities = [("content", tail.content), ("weights", opened.weights)];
            return Ok(report(&file, Some(&identities), &problems));
        }
        Ok(_) => {}
        Err(failure) => problems.push(differs(failure).map_err(|failure| file.about(failure))?),
    }
    Ok(report(&file, None, &problems))
}

/// Reads the head; a tokenizer that cannot work is noted.
fn open(
    file: &PackageFile,
    header: Header,
    bytes: &[u8],
    problems: &mut Vec<String>,
) -> Result<Opened, Failure> {
    match header.kind {
        PackageKind::Model => {
            let head = Head::parse(bytes, file.file_bytes)?;
            let data_end = head.tail_offset();
            if let Err(error) = Tokenizer::new(head.tokenizer) {
                problems.push(error.to_string());
            }
            Ok(Opened {
                directory: head.directory,
                data_end,
                weights: head.identities.weights,
            })
        }
        PackageKind::Adapter => {
            let head = AdapterHead::parse(bytes, file.file_bytes)?;
            let data_end = head.sections.data_end();
            Ok(Opened {
                directory: head.directory,
                data_end,
                weights: head.weights,
            })
        }
    }
}

/// Reads every tensor and the zeros behind it, one at a time.
fn check_tensors(
    file: &mut PackageFile,
    opened: &Opened,
    problems: &mut Vec<String>,
) -> Result<(), Failure> {
    let entries = opened.directory.entries();
    let ends = entries.iter().skip(1).map(|next| next.offset);
    for (entry, end) in entries.iter().zip(ends.chain([opened.data_end])) {
        let bytes = file.bytes(entry.offset, end.saturating_sub(entry.offset))?;
        check_tensor(entry, &bytes, problems);
    }
    Ok(())
}

fn check_tensor(entry: &Entry, bytes: &[u8], problems: &mut Vec<String>) {
    let (stored, padding) = bytes.split_at(bytes.len().min(entry.bytes as usize));
    if let Err(error) = verify_tensor(entry, stored) {
        problems.push(error.to_string());
    }
    if padding.iter().any(|byte| *byte != 0) {
        problems.push(format!(
            "The zeros behind tensor {} are not zero.",
            entry.name
        ));
    }
}

/// The problem, if the failure says that a package disagrees with itself; else the failure.
fn differs(failure: Failure) -> Result<String, Failure> {
    let disagreements = [
        PackageErrorKind::HeaderDigest,
        PackageErrorKind::SectionDigest,
        PackageErrorKind::TensorDataDigest,
        PackageErrorKind::PaddingNotZero,
    ];
    let is_one = disagreements.iter().any(|kind| kind.code() == failure.code);
    match is_one && failure.exit == Exit::BadInput {
        true => Ok(failure.message),
        false => Err(failure),
    }
}

fn report(
    file: &PackageFile,
    identities: Option<&[(&str, Digest)]>,
    problems: &[String],
) -> Report {
    let is_ok = problems.is_empty();
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field_str("schema", "cultivar.verify.v1");
    json.field_bool("ok", is_ok);
    json.field_u64("file_bytes", file.file_bytes);
    json.key("identities").begin_object();
    let mut text = String::from(if is_ok {
        "verified\n"
    } else {
        "NOT verified\n"
    });
    for (name, digest) in identities.unwrap_or_default() {
        json.field_display(name, digest);
        let _ = writeln!(text, "{name:<8} {digest}");
    }
    json.end_object();
    json.key("problems").begin_array();
    for problem in problems {
        json.string(problem);
        let _ = writeln!(text, "{problem}");
    }
    json.end_array().end_object();
    Report {
        json: json.finish(),
        text,
        is_no: !is_ok,
    }
}
