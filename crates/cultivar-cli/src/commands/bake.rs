//! `cultivar bake`: adapters are added to a copy of a model's weights.

use super::{Command, human_bytes};
use crate::adapter_files::{ADAPTER_FLAG, LICENSE_FLAG, WeightedFile, output_path, stack};
use crate::arguments::{Arguments, Flag};
use crate::failure::{Exit, Failure};
use crate::output::Report;
use crate::package_file::PackageFile;
use crate::part_file::PartFile;
use cultivar_breed::{BakeOptions, Baker, BreedStep};
use cultivar_core::package::Head;
use cultivar_core::tensor::Format;
use std::path::Path;

pub const COMMAND: Command = Command {
    name: "bake",
    summary: "Add adapters to a copy of a model's weights",
    usage: &["MODEL.slm --adapter FILE.sla[=W] [--adapter ...] [--format F] -o OUT.slm [--json]"],
    about: "The base is not changed; the new model's genome names it. Each matrix keeps its\n\
            format unless --format is given, and the error of storing it is reported.",
    flags: &[
        ADAPTER_FLAG,
        Flag::with(
            "--format",
            "F",
            "f32, f16, q8_0, q5_0, q4_0, q4_k, q6_k or keep (keep)",
        ),
        Flag::with("--name", "TEXT", "name in the metadata"),
        LICENSE_FLAG,
        Flag {
            name: "--out",
            short: "-o",
            repeats: false,
            value: "OUT.slm",
            help: "where the new model goes",
        },
    ],
    run,
};

fn run(given: &Arguments) -> Result<Report, Failure> {
    let path = given.file()?;
    let files = WeightedFile::parse_all(given.values("--adapter"))?;
    if files.is_empty() {
        return Err(Failure::usage("which adapters? Give --adapter FILE.sla"));
    }
    let format = match given.text("--format")? {
        None | Some("keep") => None,
        Some(name) => Some(
            Format::by_name(name)
                .filter(|format| format.name != "u32")
                .ok_or_else(|| {
                    Failure::usage(format!("--format: there is no weight format {name:?}"))
                })?,
        ),
    };
    let mut inputs: Vec<&Path> = files.iter().map(|file| file.path.as_path()).collect();
    inputs.push(path);
    let out = output_path(given, "OUT.slm", &inputs)?;
    let mut file = PackageFile::open(path)?;
    let head = file.head()?;
    let stack = stack(&files, &head)?;
    let options = BakeOptions {
        format,
        name: String::from(given.text("--name")?.unwrap_or("")),
        license: String::from(given.text("--license")?.unwrap_or("")),
    };
    let mut baker = Baker::new(head, stack, options)?;
    let mut sink = PartFile::create(out)?;
    loop {
        match baker.step()? {
            BreedStep::Read { offset, len, .. } => {
                let bytes = file.bytes(offset, len)?;
                baker.supply(&bytes).map_err(|error| file.about(error))?;
            }
            BreedStep::Write { offset } => sink.write_at(offset, baker.output())?,
            BreedStep::Done => break,
        }
    }
    // What was written is read back before it gets its name.
    let mut written = PackageFile::open(sink.part())?;
    let head = written.head()?;
    written.tail(&head)?;
    if written.file_bytes == 0 {
        return Err(Failure::new(Exit::OutOfSpace, "nothing was written").about(out));
    }
    let file_bytes = written.file_bytes;
    drop(written);
    sink.finish()?;
    Ok(report(out, &baker, &head, file_bytes))
}

/// What was made, and the error of every tensor.
fn report(out: &Path, baker: &Baker, written: &Head, file_bytes: u64) -> Report {
    let worst = baker.baked().iter().map(|tensor| tensor.relative_error);
    let worst = worst.fold(0.0, f64::max);
    let text = format!(
        "{}: {}, worst relative error {worst:.3e}, weights {}\n",
        out.display(),
        human_bytes(file_bytes),
        written.identities.weights
    );
    Report::new(baker.report(Some(&out.to_string_lossy())), text)
}
