//! `cultivar adapter validate`: all that is checked before an adapter is used, field by field.
//!
//! Base plus deltas is checked at the weights given, in the base's own formats; the base is read
//! only where something changes.

use super::base;
use crate::adapter_files::{LIMITS, WeightedFile, read, stack};
use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::Report;
use crate::package_file::PackageFile;
use cultivar_breed::{BreedError, BreedStep, StackCheck};
use cultivar_core::adapter::{Adapter, Compatibility, FieldStatus, LoadedAdapter, StackError};
use std::fmt::Write;
use std::sync::Arc;

pub fn run(given: &Arguments) -> Result<Report, Failure> {
    let file = match given.files()? {
        [_, file] => WeightedFile::parse(file)?,
        [_, _, second, ..] => {
            return Err(Failure::usage(format!(
                "one adapter is enough: what is {second:?} for? Those below it go with --adapter"
            )));
        }
        _ => return Err(Failure::usage("which file? Give its name")),
    };
    let below = WeightedFile::parse_all(given.values("--adapter"))?;
    let bytes = read(&file.path)?;
    let adapter = Adapter::parse(&bytes);
    let adapter = adapter.map_err(|error| Failure::from(error).about(&file.path))?;
    let mut base = PackageFile::open(base(given)?)?;
    let head = base.head()?;
    let mut report = Compatibility::new(&adapter, &head);
    if report.verdict() != FieldStatus::Refused {
        let mut stack = stack(&below, &head)?;
        let pushed = LoadedAdapter::new(&adapter, &head, LIMITS.max_bytes)
            .and_then(|loaded| stack.push(Arc::new(loaded), file.weight));
        report.note_fused(match pushed {
            Ok(_) => fused(&mut base, StackCheck::new(head, stack))?,
            Err(error) => Err(error),
        });
    }
    let verdict = report.verdict();
    Ok(Report {
        json: report.to_json(),
        text: to_text(&report),
        is_no: verdict == FieldStatus::Refused,
    })
}

/// Whether base plus deltas is finite in the base's formats; fails where the base cannot be read.
fn fused(base: &mut PackageFile, mut check: StackCheck) -> Result<Result<(), StackError>, Failure> {
    while let BreedStep::Read { offset, len, .. } = check.step() {
        let bytes = base.bytes(offset, len)?;
        match check.supply(&bytes) {
            Ok(()) => {}
            Err(BreedError::Stack(error)) => return Ok(Err(error)),
            Err(error) => return Err(base.about(error)),
        }
    }
    Ok(Ok(()))
}

fn to_text(report: &Compatibility) -> String {
    let mut text = String::new();
    for line in &report.fields {
        let _ = writeln!(text, "{:<14} {}", line.field.name(), line.status.name());
        if let Some((code, message)) = &line.refusal {
            let _ = writeln!(text, "{:<14} {message} ({code})", "");
        }
        if let Some(advice) = line.field.advice(line.status) {
            let _ = writeln!(text, "{:<14} {advice}", "");
        }
    }
    let _ = writeln!(text, "{:<14} {}", "verdict", report.verdict().name());
    text
}
