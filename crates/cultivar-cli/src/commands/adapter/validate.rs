//! `cultivar adapter validate`: all that is checked before an adapter is used, field by field.

use super::{base, only_file};
use crate::adapter_files::{LIMITS, read};
use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::Report;
use crate::package_file::PackageFile;
use cultivar_core::adapter::{
    Adapter, Compatibility, FieldStatus, FusedCheck, LoadedAdapter, StackError,
};
use cultivar_core::model::Model;
use std::fmt::Write;

pub fn run(given: &Arguments) -> Result<Report, Failure> {
    let (path, base) = (only_file(given)?, base(given)?);
    let bytes = read(path)?;
    let adapter = Adapter::parse(&bytes).map_err(|error| Failure::from(error).about(path))?;
    let model = PackageFile::open(base)?.model()?;
    let mut report = Compatibility::new(&adapter, &model.head);
    if report.verdict() != FieldStatus::Refused {
        report.note_fused(fused(&adapter, &model));
    }
    let mut text = String::new();
    for line in &report.fields {
        let _ = writeln!(text, "{:<14} {}", line.field.name(), line.status.name());
        if let Some((code, message)) = &line.refusal {
            let _ = writeln!(text, "{:<14} {message} ({code})", "");
        }
        if matches!(line.status, FieldStatus::Warning | FieldStatus::Refused) {
            let _ = writeln!(text, "{:<14} {}", "", line.field.advice());
        }
    }
    let verdict = report.verdict();
    let _ = writeln!(text, "{:<14} {}", "verdict", verdict.name());
    Ok(Report {
        json: report.to_json(),
        text,
        is_no: verdict == FieldStatus::Refused,
    })
}

/// Whether base plus delta is finite in the base's formats.
fn fused(adapter: &Adapter<'_>, model: &Model) -> Result<(), StackError> {
    let loaded = LoadedAdapter::new(adapter, &model.head, LIMITS.max_bytes)?;
    FusedCheck::new().step(&loaded, 1.0, model, usize::MAX)?;
    Ok(())
}
